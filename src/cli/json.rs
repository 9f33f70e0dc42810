//! What `--json` answers. docs/cli.md lists these fields; scripts rely on them, so they may be added to and never renamed.

use celeriac_broker::{JobView, QueueView};
use celeriac_core::{Cause, Headers, Incident, State, Timestamp};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// A job. Absent values are null.
#[derive(Debug, Serialize)]
pub(crate) struct Job<'v> {
    id: &'v str,
    task: &'v str,
    queue: &'v str,
    state: State,
    priority: Option<u8>,
    attempt: u32,
    failures: u32,
    losses: u32,
    suspect: bool,
    enqueued_at: String,
    since: String,
    due_at: Option<String>,
    expires_at: Option<String>,
    deadline: Option<String>,
    unique: Option<&'v str>,
    headers: Option<&'v Headers>,
    worker: Option<&'v str>,
    fence: Option<u64>,
    error: Option<&'v str>,
    history: Vec<Attempt<'v>>,
    args: Option<Box<RawValue>>,
    result: Option<&'v RawValue>,
}

/// An attempt that did not succeed.
#[derive(Debug, Serialize)]
struct Attempt<'v> {
    attempt: u32,
    at: String,
    worker: &'v str,
    cause: Cause,
    error: &'v str,
}

impl<'v> From<&'v JobView> for Job<'v> {
    fn from(view: &'v JobView) -> Self {
        Self {
            id: view.id.as_str(),
            task: view.task.as_str(),
            queue: view.queue.as_str(),
            state: view.state,
            priority: view.priority.map(celeriac_core::Priority::get),
            attempt: view.attempt,
            failures: view.failures,
            losses: view.losses,
            suspect: view.suspect,
            enqueued_at: view.enqueued_at.to_string(),
            since: view.since.to_string(),
            due_at: view.due_at.map(|at| at.to_string()),
            expires_at: view.expires_at.map(|at| at.to_string()),
            deadline: view.deadline.map(|at| at.to_string()),
            unique: view.unique.as_ref().map(celeriac_core::UniqueKey::as_str),
            // Of a job that has ended its end is kept, and nothing else.
            headers: view.payload.is_some().then_some(&view.headers),
            worker: view.worker.as_deref(),
            fence: view.fence.map(celeriac_core::Fence::get),
            error: view.error.as_deref(),
            history: view.history.iter().map(Attempt::from).collect(),
            args: view.payload.as_deref().and_then(arguments),
            result: view.result.as_deref(),
        }
    }
}

impl<'v> From<&'v Incident> for Attempt<'v> {
    fn from(incident: &'v Incident) -> Self {
        Self {
            attempt: incident.attempt,
            at: incident.at.to_string(),
            worker: &incident.worker,
            cause: incident.cause,
            error: &incident.error,
        }
    }
}

/// The arguments of a job; as a text if they are no JSON.
pub(crate) fn arguments(payload: &[u8]) -> Option<Box<RawValue>> {
    serde_json::from_slice(payload).or_else(|_| to_raw_value(&String::from_utf8_lossy(payload))).ok()
}

/// A queue.
#[derive(Debug, Serialize)]
pub(crate) struct Queue<'v> {
    name: &'v str,
    ready: u64,
    scheduled: u64,
    running: u64,
    dead: u64,
    parked: u64,
    paused: bool,
    oldest_age_seconds: Option<f64>,
}

impl<'v> Queue<'v> {
    /// A queue at the instant `now` of its store.
    pub(crate) fn new(view: &'v QueueView, now: Timestamp) -> Self {
        Self {
            name: view.name.as_str(),
            ready: view.ready,
            scheduled: view.scheduled,
            running: view.running,
            dead: view.dead,
            parked: view.parked,
            paused: view.paused,
            oldest_age_seconds: view.oldest.map(|oldest| now.since(oldest).as_secs_f64()),
        }
    }
}

/// Where a job stands, for whoever waits for its end: `result` if it succeeded, `error` if it ended otherwise.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    pub(crate) id: String,
    pub(crate) state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_core::Record;

    #[test]
    fn a_job_has_every_field_and_null_where_nothing_is_known() {
        let (id, task) = ("j1".parse().unwrap(), "t".parse().unwrap());
        let record = Record::new(id, task, "q".parse().unwrap(), br#"{"n": 1}"#.to_vec());
        let json = serde_json::to_value(Job::from(&JobView::waiting(record, None))).unwrap();
        let expected = serde_json::json!({
            "id": "j1", "task": "t", "queue": "q", "state": "queued", "priority": 5, "attempt": 0, "failures": 0,
            "losses": 0, "suspect": false, "enqueued_at": "1970-01-01T00:00:00.000Z",
            "since": "1970-01-01T00:00:00.000Z", "due_at": null, "expires_at": null, "deadline": null,
            "unique": null, "headers": {}, "worker": null, "fence": null, "error": null,
            "history": [], "args": {"n": 1}, "result": null,
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn arguments_that_are_no_json_are_shown_as_text() {
        assert_eq!(arguments(b"{broken").unwrap().get(), "\"{broken\"");
    }
}
