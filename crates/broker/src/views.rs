//! Jobs, queues and workers as people see them.

use std::fmt;

use celeriac_core::{
    Fence, Headers, Incarnation, Incident, JobId, Outcome, Priority, QueueName, Record, State, TaskName, Timestamp,
    UniqueKey,
};
use serde_json::value::RawValue;

/// A job, wherever it is in its life.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JobView {
    /// The id.
    pub id: JobId,
    /// The task.
    pub task: TaskName,
    /// The queue.
    pub queue: QueueName,
    /// Where it is.
    pub state: State,
    /// How urgent it is; `None` once it has ended and its record is gone.
    pub priority: Option<Priority>,
    /// Attempts so far, the one in progress included.
    pub attempt: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// Attempts whose worker vanished.
    pub losses: u32,
    /// Whether it may only run alone.
    pub suspect: bool,
    /// When it was accepted.
    pub enqueued_at: Timestamp,
    /// When it came into its state; for a running job when it became ready.
    pub since: Timestamp,
    /// When it is due, if it waits for that.
    pub due_at: Option<Timestamp>,
    /// Who runs it, or who ended it.
    pub worker: Option<String>,
    /// The token of the hand-out in progress.
    pub fence: Option<Fence>,
    /// The last error.
    pub error: Option<String>,
    /// The newest attempts that did not succeed.
    pub history: Vec<Incident>,
    /// The unique key it has, or had while it had not ended.
    pub unique: Option<UniqueKey>,
    /// What travels with it.
    pub headers: Headers,
    /// When it is too late for an attempt to begin.
    pub expires_at: Option<Timestamp>,
    /// When it must have ended.
    pub deadline: Option<Timestamp>,
    /// The arguments, as long as the record is kept.
    pub payload: Option<Vec<u8>>,
    /// The result, for a job that succeeded.
    pub result: Option<Box<RawValue>>,
}

impl JobView {
    /// A job whose record is kept and that nobody runs.
    #[must_use]
    pub fn waiting(record: Record, due_at: Option<Timestamp>) -> Self {
        let last = record.history.last();
        Self {
            worker: last.map(|incident| incident.worker.clone()),
            error: last.map(|incident| incident.error.clone()),
            expires_at: record.expires_at(),
            deadline: record.deadline(),
            unique: record.options.unique.clone(),
            headers: record.options.headers.clone(),
            id: record.id,
            task: record.task,
            queue: record.queue,
            state: record.state,
            priority: Some(record.priority),
            attempt: record.attempt,
            failures: record.failures,
            losses: record.losses,
            suspect: record.suspect,
            enqueued_at: record.enqueued_at,
            since: record.since,
            due_at,
            fence: None,
            history: record.history,
            payload: Some(record.payload),
            result: None,
        }
    }

    /// A job that `holder` runs under `fence`.
    #[must_use]
    pub fn running(record: Record, holder: &Incarnation, fence: Fence) -> Self {
        let mut view = Self::waiting(record, None);
        view.state = State::Running;
        view.attempt += 1;
        view.worker = Some(holder.worker_name().to_owned());
        view.fence = Some(fence);
        view
    }

    /// A job that has ended and whose record is gone.
    #[must_use]
    pub fn ended(outcome: Outcome) -> Self {
        Self {
            id: outcome.id,
            task: outcome.task,
            queue: outcome.queue,
            state: outcome.state,
            priority: None,
            attempt: outcome.attempt,
            failures: outcome.failures,
            losses: outcome.losses,
            suspect: false,
            enqueued_at: outcome.enqueued_at,
            since: outcome.finished_at,
            due_at: None,
            worker: Some(outcome.worker.to_string()),
            fence: None,
            error: outcome.error,
            history: Vec::new(),
            unique: None,
            headers: Headers::default(),
            expires_at: None,
            deadline: None,
            payload: None,
            result: outcome.result,
        }
    }
}

/// Which jobs to list. Ended jobs other than the dead are not listed: their ends are kept by id only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobFilter {
    /// Only jobs in this state.
    pub state: Option<State>,
    /// Only jobs of this queue.
    pub queue: Option<QueueName>,
    /// Only jobs of this task.
    pub task: Option<TaskName>,
    /// Only jobs whose last error holds this text.
    pub error: Option<String>,
    /// Only jobs that came into their state at this instant or before.
    pub until: Option<Timestamp>,
    /// The most jobs to return; 100 unless set.
    pub limit: usize,
}

impl JobFilter {
    /// Whether a job is one of those.
    #[must_use]
    pub fn fits(&self, view: &JobView) -> bool {
        let same = self.state.is_none_or(|state| state == view.state)
            && self.queue.as_ref().is_none_or(|queue| *queue == view.queue)
            && self.task.as_ref().is_none_or(|task| *task == view.task);
        let holds = |text: &String| view.error.as_ref().is_some_and(|error| error.contains(text));
        same && self.error.as_ref().is_none_or(holds) && self.until.is_none_or(|until| view.since <= until)
    }
}

/// Where a page ended: what the next one is asked with. Each store has marks of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageMark(pub(crate) String);

#[cfg(any(feature = "redis", feature = "sqlite"))]
impl PageMark {
    /// What is said of a mark that this store did not make.
    pub(crate) fn refused(&self) -> crate::BrokerError {
        crate::BrokerError::Invalid(format!("{:?} is no page mark", celeriac_core::excerpt(&self.0)))
    }
}

impl fmt::Display for PageMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for PageMark {
    /// A mark that was shown to somebody. A store refuses one that it did not make.
    fn from(mark: String) -> Self {
        Self(mark)
    }
}

/// Some jobs, and where more are.
#[derive(Debug, Clone, Default)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobView>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<PageMark>,
}

impl Default for JobFilter {
    /// Any job, and at most 100 of them.
    fn default() -> Self {
        Self { state: None, queue: None, task: None, error: None, until: None, limit: 100 }
    }
}

/// A queue and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueView {
    /// The name.
    pub name: QueueName,
    /// Jobs that the next fetch may take, suspects included.
    pub ready: u64,
    /// Jobs that wait for their due time, retries included.
    pub scheduled: u64,
    /// Jobs held by workers.
    pub running: u64,
    /// Dead jobs that are still kept.
    pub dead: u64,
    /// Jobs kept aside.
    pub parked: u64,
    /// Whether fetches take nothing from it.
    pub paused: bool,
    /// When the oldest ready job became ready.
    pub oldest: Option<Timestamp>,
}

impl QueueView {
    /// An empty queue.
    #[must_use]
    pub fn empty(name: QueueName) -> Self {
        Self { name, ready: 0, scheduled: 0, running: 0, dead: 0, parked: 0, paused: false, oldest: None }
    }
}

/// A worker that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerView {
    /// This life of the worker.
    pub incarnation: Incarnation,
    /// The machine it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The queues it serves.
    pub queues: Vec<QueueName>,
    /// The tasks it knows.
    pub tasks: Vec<TaskName>,
    /// How many jobs it holds.
    pub running: u64,
}

impl WorkerView {
    /// A worker that holds nothing.
    #[must_use]
    pub fn new(incarnation: Incarnation, host: String, pid: u32) -> Self {
        Self { incarnation, host, pid, queues: Vec::new(), tasks: Vec::new(), running: 0 }
    }
}
