//! What a producer sends: numbered batches of new jobs, so that sending one twice applies it once.

use std::time::Duration;

use celeriac_core::{JobId, Record, Timestamp};

/// The most jobs in one batch, and in one fetch.
pub const MAX_BATCH_JOBS: usize = 500;

/// The most payload bytes in one batch, and in one fetch; a bigger job goes alone.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// How long a store remembers the last number of a lane after it was used.
///
/// A first batch is refused as a [`BatchAnswer::Gap`] once its lane is older: the store may have forgotten that it applied it.
pub const LANE_TTL: Duration = Duration::from_secs(24 * 3600);

/// One sequence of numbered batches. A producer has a few lanes and one batch in flight on each.
///
/// One in flight is what keeps the protocol small: a batch is either the next one, or the last one again, or the
/// store has lost something. Several in flight are several lanes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lane {
    /// The producer: random for each client, and never used again.
    pub producer: String,
    /// Which of the producer's lanes.
    pub index: u32,
    /// When the producer was made, by the store's clock.
    pub made_at: Timestamp,
}

/// When a new job may first run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Start {
    /// As soon as a worker is free.
    #[default]
    Now,
    /// This long after the store accepted it.
    After(Duration),
    /// At this instant by the store's clock; at once if it is past.
    At(Timestamp),
}

/// Who chose a job's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum IdOrigin {
    /// It was generated and cannot be in use.
    #[default]
    Generated,
    /// The caller chose it: the store refuses it while a job or the end of one has it.
    Given,
}

/// One job to be accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// The job; its state and instants are set by the store.
    pub record: Record,
    /// When it may first run.
    pub start: Start,
    /// Whether its id must be checked.
    pub id_origin: IdOrigin,
}

/// A numbered batch. Sending the same value again, in any process, is safe.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The sequence it belongs to.
    pub lane: Lane,
    /// Its number in the lane, counted from 1 without gaps.
    pub number: u64,
    /// The jobs, at most [`MAX_BATCH_JOBS`].
    pub jobs: Vec<NewJob>,
}

/// What became of one job of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Acceptance {
    /// The store has it.
    Accepted,
    /// The id is in use by a job or by the end of one; nothing was stored.
    IdInUse,
    /// An unfinished job has the unique key; nothing was stored.
    UniqueInUse {
        /// That job.
        holder: JobId,
    },
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchAnswer {
    /// It was applied, now or when an earlier copy arrived: one answer for each job, in order.
    Applied(Vec<Acceptance>),
    /// Nothing was applied: the store does not know the batch before it, or the lane is too old.
    Gap,
}
