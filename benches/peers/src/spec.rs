//! What the parent tells a child process to do, and what the child answers: one line of JSON each way.

use serde::{Deserialize, Serialize};

use crate::systems::{System, Tuning};

/// One task of a child process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) system: System,
    pub(crate) role: Role,
    /// The address of the server, or the path of the file.
    pub(crate) store: String,
    /// The number of the first job to enqueue.
    pub(crate) first: u64,
    /// How many jobs to enqueue; a worker counts jobs below this number.
    pub(crate) jobs: u64,
    pub(crate) payload: usize,
    pub(crate) tuning: Tuning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// Prepares the store: tables, migrations.
    Prepare,
    /// Enqueues one by one, with 64 calls in flight.
    Enqueue,
    /// Enqueues in the fastest way the system has.
    Bulk,
    /// Enqueues a job each few milliseconds, with a PING between.
    Feed,
    /// Runs jobs until its input closes.
    Work,
}

/// What a child prints, a line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Message {
    /// So many jobs are handled by now.
    Progress(u64),
    /// The end of a child that enqueues.
    Produced(Produced),
    /// The end of a worker.
    Worked(Worked),
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Produced {
    /// When the first call was made and when the last was answered, in nanoseconds.
    pub(crate) began: u64,
    pub(crate) ended: u64,
    /// Processor time in nanoseconds.
    pub(crate) cpu: u64,
    /// When the call for each job began, if it was to feed.
    pub(crate) sent: Vec<u64>,
    /// How long each PING took.
    pub(crate) pings: Vec<u64>,
    /// Settings of the store that the reader must know.
    pub(crate) note: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Worked {
    /// When the first and the last job began; `None` if there was none.
    pub(crate) span: Option<(u64, u64)>,
    /// Processor time in nanoseconds, from before the worker connects to its end.
    pub(crate) cpu: u64,
    /// How often each job ran here.
    pub(crate) runs: Vec<u32>,
    /// When each job began.
    pub(crate) starts: Vec<u64>,
}
