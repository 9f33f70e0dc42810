//! What the benchmark and its child processes say to each other: lines of JSON on the child's standard input and output.
//!
//! The child reads one [`Order`], prepares itself and says [`Event::Ready`]; on [`GO`] it begins, tells its progress, and ends
//! with one [`Event::Done`]. [`STOP`] ends what has no end of its own. When standard input closes the child ends at once,
//! so none outlives the benchmark. The address of the store goes this way and not on the command line, because it may hold a password.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cli::process::{cpu_ns, monotonic_ns};

/// Begin now. A worker without jobs hears it twice: to start, and to begin to measure.
pub(super) const GO: &str = "go";

/// Come to an end.
pub(super) const STOP: &str = "stop";

/// What a child is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    /// The store, with its password.
    pub(super) store: String,
    /// How many jobs there are.
    pub(super) jobs: u64,
    /// Bytes of each job's arguments.
    pub(super) payload: usize,
    pub(super) role: Role,
}

/// The part a child plays.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Role {
    /// Enqueues all jobs.
    Produce(Manner),
    /// Enqueues jobs with pauses between them, each followed by the shortest question the store answers.
    Probe {
        /// Whether to wait for each result.
        results: bool,
        /// Where to write, if the store is a file: then the floor is a synced write and not a PING.
        file: Option<PathBuf>,
    },
    /// Runs jobs until told to stop.
    Work(Work),
    /// Enqueues, fetches and settles on the store itself, without client and worker.
    Seam,
    /// Pushes the same bytes to a list of Redis.
    Push,
    /// Pops them.
    Pop,
    /// Spawns an empty task for each job.
    Spawn,
    /// Writes the same bytes to a file and syncs them.
    Sync(PathBuf),
}

/// How jobs are enqueued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Manner {
    /// One by one, by [`IN_FLIGHT`] tasks that each wait for their answer.
    OneByOne,
    /// All in one call.
    Bulk,
}

/// How many tasks enqueue at once in [`Manner::OneByOne`].
pub(super) const IN_FLIGHT: usize = 64;

/// How a worker runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Work {
    pub(super) concurrency: usize,
    /// Whether results are kept.
    pub(super) results: bool,
    /// The queues to serve.
    pub(super) queues: Vec<String>,
    /// Where to write what ran, see the module `record`.
    pub(super) record: PathBuf,
    /// Whether to note when each job started.
    pub(super) starts: bool,
}

/// What a child says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Event {
    /// It waits for [`GO`].
    Ready,
    /// So many jobs are done.
    Progress(u64),
    /// It has ended.
    Done(Report),
    /// It could not do what it was told.
    Failed(String),
}

/// What a child measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) span: Span,
    /// Resident memory at the end, and at its highest, in bytes.
    pub(super) resident: Option<u64>,
    pub(super) peak_resident: Option<u64>,
    /// For [`Role::Probe`]: when each job was enqueued, how long each result took, how long each question took.
    pub(super) enqueued: Vec<u64>,
    pub(super) results: Vec<u64>,
    pub(super) answers: Vec<u64>,
}

/// A stretch of time in one process.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Span {
    /// Instants of the machine's monotonic clock, in nanoseconds.
    pub(super) began: u64,
    pub(super) ended: u64,
    /// Processor time of the process in between.
    pub(super) cpu: u64,
}

/// The beginning of a span.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    at: u64,
    cpu: u64,
}

impl Begun {
    pub(super) fn now() -> Self {
        Self { at: monotonic_ns(), cpu: cpu_ns() }
    }

    /// The span up to now.
    pub(super) fn until_now(self) -> Span {
        Span { began: self.at, ended: monotonic_ns(), cpu: cpu_ns().saturating_sub(self.cpu) }
    }
}
