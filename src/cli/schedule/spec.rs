//! One schedule, from flags or from a table of the file.

use std::time::{Duration, SystemTime};

use celeriac_beat::{MAX_CATCH_UP, Periodic, PeriodicError};
use celeriac_broker::{Owner, ScheduleEntry};
use celeriac_core::{CatchUp, Overlap};

use crate::cli::job_spec::JobSpec;

/// One schedule. What must fit together is checked when it becomes an entry.
#[derive(Debug)]
pub(crate) struct ScheduleSpec {
    pub(crate) job: JobSpec,
    /// When, as a timetable writes it.
    pub(crate) when: String,
    pub(crate) zone: Option<String>,
    pub(crate) options: ScheduleOptions,
}

/// What may be said of a schedule beside when and what.
#[derive(Debug, Default)]
pub(crate) struct ScheduleOptions {
    pub(crate) catch_up: CatchUp,
    pub(crate) overlap: Overlap,
    pub(crate) jitter: Duration,
    pub(crate) starts_at: Option<SystemTime>,
    pub(crate) ends_at: Option<SystemTime>,
    pub(crate) keep_late: bool,
    pub(crate) paused: bool,
}

impl ScheduleSpec {
    /// A schedule of which nothing else is said.
    pub(crate) fn new(job: JobSpec, when: String) -> Self {
        Self { job, when, zone: None, options: ScheduleOptions::default() }
    }

    /// Checks everything, for a store to keep.
    pub(crate) fn into_entry(self, name: &str, owner: Owner) -> Result<ScheduleEntry, PeriodicError> {
        let Self { job, when, zone, options } = self;
        let mut periodic = Periodic::new(name, when, job.signature());
        if let Some(zone) = zone {
            periodic = periodic.zone(zone);
        }
        if let Some(instant) = options.starts_at {
            periodic = periodic.starts_at(instant);
        }
        if let Some(instant) = options.ends_at {
            periodic = periodic.ends_at(instant);
        }
        if options.keep_late {
            periodic = periodic.keep_late();
        }
        let periodic = periodic.catch_up(options.catch_up).overlap(options.overlap);
        periodic.jitter(options.jitter).paused(options.paused).into_entry(owner)
    }
}

/// Reads what is done about missed occurrences.
pub(crate) fn catch_up(text: &str) -> Result<CatchUp, String> {
    match text {
        "skip" => Ok(CatchUp::Skip),
        "latest" => Ok(CatchUp::Latest),
        "all" => Ok(CatchUp::All(MAX_CATCH_UP)),
        number => match number.parse() {
            Ok(most @ 1..=MAX_CATCH_UP) => Ok(CatchUp::All(most)),
            _ => Err(format!("write skip, latest, all, or how many at most, 1 to {MAX_CATCH_UP}; not {text:?}")),
        },
    }
}

/// Reads what is done while the job before has not ended.
pub(crate) fn overlap(text: &str) -> Result<Overlap, String> {
    match text {
        "allow" => Ok(Overlap::Allow),
        "skip" => Ok(Overlap::Skip),
        _ => Err(format!("write allow or skip; not {text:?}")),
    }
}
