//! What moves between a store and a worker: requests, deliveries and settlements.

use std::time::Duration;

use celeriac_core::{Fence, Incarnation, JobId, Lease, Progress, QueueName, Record, Timestamp, Transition};

/// What a worker asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// The queues to take from, the first one first.
    pub queues: Vec<QueueName>,
    /// The most jobs to take, at most [`crate::MAX_BATCH_JOBS`].
    pub max_jobs: usize,
    /// Whether the worker holds nothing, so that it may be given a suspect. A suspect comes alone.
    pub holds_nothing: bool,
    /// Whether the least urgent jobs of each queue come first, as they must now and then, or they would starve.
    pub lowest_first: bool,
}

impl FetchRequest {
    /// Up to `max_jobs` of these queues for a worker that holds something, the most urgent first.
    #[must_use]
    pub fn new(queues: Vec<QueueName>, max_jobs: usize) -> Self {
        Self { queues, max_jobs, holds_nothing: false, lowest_first: false }
    }
}

/// A job that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The job as it is stored; this attempt is `record.attempt + 1`.
    pub record: Record,
    /// The right to settle it.
    pub lease: Lease,
}

/// The answer to a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The jobs: of each queue by priority, and of one priority in the order in which they were accepted.
    pub jobs: Vec<Delivery>,
    /// Now, by the store's clock.
    pub now: Timestamp,
    /// When the next waiting job is due.
    pub next_due: Option<Timestamp>,
    /// Whether ready jobs are left in one of the queues asked for, paused ones and suspects aside. If not, whatever comes later
    /// ends a wait that begins now.
    pub more: bool,
    /// Whether suspects are left in one of the queues asked for, paused ones aside.
    pub suspects_waiting: bool,
    /// Ids of records that could not be decoded. The store has parked them with their bytes unchanged.
    pub unreadable: Vec<JobId>,
}

/// A request to end one delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The job.
    pub id: JobId,
    /// The token it was handed out with.
    pub fence: Fence,
    /// The way out.
    pub transition: Transition,
}

/// What the handler of a held job has told since it last told something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The job.
    pub id: JobId,
    /// The token it was handed out with.
    pub fence: Fence,
    /// How far it is, if it said so.
    pub progress: Option<Progress>,
    /// Lines of its log.
    pub lines: Vec<String>,
}

/// How long what a job has told is kept after it last told something.
pub const NOTES_TTL: Duration = Duration::from_secs(24 * 3600);

/// What became of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settled {
    /// It was applied.
    Done,
    /// The holder does not hold the job under this token; nothing was changed.
    NotHeld,
    /// The job was revoked while it was held, and this transition would let it go on. It is still held; settle it as revoked.
    Revoked,
}

/// The answer to settlements and a fetch in one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanged {
    /// What became of each settlement, in order.
    pub settled: Vec<Settled>,
    /// What was handed out.
    pub fetched: Fetched,
}

/// What a promotion did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promoted {
    /// Jobs that became ready.
    pub count: usize,
    /// When the next one is due; it may be past, if the call stopped at its limit.
    pub next_due: Option<Timestamp>,
    /// Now, by the store's clock.
    pub now: Timestamp,
}

/// What a look at the leases found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condemned {
    /// Incarnations that this call condemned.
    pub incarnations: Vec<Incarnation>,
    /// Condemned incarnations that are still to be drained, those of this call among them.
    pub lost: Vec<Incarnation>,
    /// When the earliest lease that still holds will end.
    pub next_expiry: Option<Timestamp>,
    /// When the next waiting job is due.
    pub next_due: Option<Timestamp>,
    /// Now, by the store's clock.
    pub now: Timestamp,
    /// Whether something was ready in one of the queues asked for, paused ones and suspects aside. False when none was asked for.
    pub work_waiting: bool,
    /// Whether there are events of workflows to be taken.
    pub events_waiting: bool,
}

/// What a clean-up removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Dead jobs past their retention.
    pub dead: usize,
    /// Ends of jobs whose time was over.
    pub results: usize,
    /// Registrations of workers that vanished without holding a job.
    pub workers: usize,
    /// Workflows past their retention.
    pub workflows: usize,
}
