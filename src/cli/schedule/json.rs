//! What `--json` answers of a schedule. docs/cli.md lists these fields; scripts rely on them, so they may be added to and never renamed.

use celeriac_core::{CatchUp, Headers, JobOptions, Overlap, State};
use serde::Serialize;
use serde_json::value::RawValue;

use super::sight::{LastJob, Sight};

/// A schedule. Absent values are null.
#[derive(Debug, Serialize)]
pub(super) struct Schedule<'v> {
    name: &'v str,
    owner: Option<&'v str>,
    state: &'static str,
    paused: bool,
    warning: Option<String>,
    timetable: Option<&'v str>,
    task: Option<&'v str>,
    queue: Option<&'v str>,
    args: Option<&'v RawValue>,
    priority: Option<u8>,
    retries: Option<u32>,
    timeout_seconds: Option<f64>,
    expires_seconds: Option<f64>,
    keep_late: Option<bool>,
    unique: Option<&'v str>,
    headers: Option<&'v Headers>,
    catch_up: Option<serde_json::Value>,
    overlap: Option<&'static str>,
    jitter_seconds: Option<f64>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    next_at: Option<String>,
    next: Vec<String>,
    overdue_seconds: f64,
    last_at: Option<String>,
    last_job: Option<Last<'v>>,
    lag_seconds: Option<f64>,
    fired: u64,
    missed: u64,
    skipped: u64,
}

/// The last job; its state and error are null if its end is kept no longer.
#[derive(Debug, Serialize)]
struct Last<'v> {
    id: &'v str,
    state: Option<State>,
    error: Option<&'v str>,
}

impl<'v> From<&'v LastJob> for Last<'v> {
    fn from(job: &'v LastJob) -> Self {
        let view = job.view.as_ref();
        let error = view.and_then(|view| view.error.as_deref());
        Self { id: job.id.as_str(), state: view.map(|view| view.state), error }
    }
}

impl<'v> From<&'v Sight> for Schedule<'v> {
    fn from(sight: &'v Sight) -> Self {
        let view = &sight.view;
        let says = view.schedule.as_ref().ok();
        let option = |read: fn(&JobOptions) -> Option<u64>| says.and_then(|says| read(&says.options)).map(seconds);
        Self {
            name: view.name.as_str(),
            owner: sight.owner(),
            state: sight.state(),
            paused: view.paused || says.is_some_and(|says| says.rests),
            warning: sight.warning(),
            timetable: says.map(|says| says.timetable.as_str()),
            task: says.map(|says| says.task.as_str()),
            queue: says.map(|says| says.queue.as_str()),
            args: says.map(|says| &*says.args),
            priority: says.map(|says| says.priority.get()),
            retries: says.and_then(|says| says.options.retries),
            timeout_seconds: option(|options| options.timeout_ms),
            expires_seconds: option(|options| options.expires_ms),
            keep_late: says.map(|says| says.keeps_late),
            unique: says.and_then(|says| says.options.unique.as_ref()).map(celeriac_core::UniqueKey::as_str),
            headers: says.map(|says| &says.options.headers),
            catch_up: says.map(|says| catch_up(says.catch_up)),
            overlap: says.map(|says| if says.overlap == Overlap::Skip { "skip" } else { "allow" }),
            jitter_seconds: says.map(|says| seconds(says.jitter_ms)),
            starts_at: says.and_then(|says| says.starts_at).map(|at| at.to_string()),
            ends_at: says.and_then(|says| says.ends_at).map(|at| at.to_string()),
            next_at: sight.next_at().map(|at| at.to_string()),
            next: sight.upcoming.next.iter().map(ToString::to_string).collect(),
            overdue_seconds: sight.upcoming.overdue.as_secs_f64(),
            last_at: view.fired_at.map(|at| at.to_string()),
            last_job: sight.last_job.as_ref().map(Last::from),
            lag_seconds: view.fired_at.map(|_| view.lag.as_secs_f64()),
            fired: view.fired,
            missed: view.missed,
            skipped: view.skipped,
        }
    }
}

fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}

/// The policy as it is typed: a word or a number.
fn catch_up(policy: CatchUp) -> serde_json::Value {
    match policy {
        CatchUp::Skip => "skip".into(),
        CatchUp::All(most) => most.into(),
        _ => "latest".into(),
    }
}
