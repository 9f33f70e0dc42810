//! What can go wrong when jobs are enqueued or waited for, sorted by what the caller may do next.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::BrokerError;
use celeriac_core::{HeaderError, JobId, JobIdError, NameError, PriorityError, State, UniqueKeyError};

use crate::unknown::UnknownBatch;

/// A job, or a client, that was described wrongly. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The name of the task or of the queue breaks the rule of names.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The id that the caller chose breaks the rule of names.
    #[error(transparent)]
    Id(#[from] JobIdError),
    /// The priority is above 9.
    #[error(transparent)]
    Priority(#[from] PriorityError),
    /// The unique key breaks its rule.
    #[error(transparent)]
    Unique(#[from] UniqueKeyError),
    /// A header breaks its rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The arguments have no JSON form, for example a map whose keys are no text.
    #[error("the arguments of {task} cannot be written as JSON")]
    Arguments {
        /// The task.
        task: String,
        /// What the serialiser said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// An option has a value that cannot work.
    #[error("{option} must be {rule}")]
    Option {
        /// The option.
        option: &'static str,
        /// What its value must be.
        rule: &'static str,
    },
}

/// Why a job was not enqueued, or may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnqueueError {
    /// Nothing was stored, and nothing will be.
    #[error("nothing was stored")]
    NotApplied {
        /// What the store, or the way to it, said last.
        #[source]
        source: Arc<BrokerError>,
    },
    /// The job was sent and no answer came within the enqueue timeout: it may have been stored, or be stored later.
    ///
    /// Give `batch` to [`Client::resend`](crate::Client::resend) to learn what became of it. Enqueueing the job anew
    /// instead may store it twice.
    #[error("{batch} may have been stored")]
    Unknown {
        /// The very batch that was sent.
        batch: UnknownBatch,
        /// Why its fate is not known.
        #[source]
        source: Arc<BrokerError>,
    },
    /// The store remembers nothing of a batch that was sent again, because that was too long after: it may have been
    /// stored the first time, and it was not stored now.
    #[error("the store no longer remembers the batch; nothing was stored now")]
    Forgotten,
    /// The id that the caller chose belongs to a job, or to the end of one that is still kept. Nothing was stored.
    #[error("job id {id} is in use")]
    IdInUse {
        /// The id.
        id: JobId,
    },
    /// An unfinished job has the unique key. Nothing was stored.
    #[error("job {holder} has the unique key")]
    UniqueInUse {
        /// The id that the refused job would have had.
        id: JobId,
        /// The job that has the key.
        holder: JobId,
    },
    /// The job was described wrongly. Nothing was sent.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The arguments are too large. Nothing was sent.
    #[error("the payload has {bytes} bytes; at most {limit} are allowed")]
    PayloadTooLarge {
        /// The size of the arguments as JSON.
        bytes: usize,
        /// The largest size that is accepted.
        limit: usize,
    },
    /// The client was closed, or the runtime it was made on has ended. Nothing was sent.
    #[error("the client is closed, or the runtime it was made on has ended")]
    Closed,
}

impl EnqueueError {
    /// Whether the same call may succeed later without anybody changing anything.
    ///
    /// Repeat the call after [`EnqueueError::NotApplied`]; after [`EnqueueError::Unknown`] only send the batch again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotApplied { source } => source.is_transient(),
            Self::Unknown { .. } => true,
            Self::Forgotten
            | Self::IdInUse { .. }
            | Self::UniqueInUse { .. }
            | Self::Invalid(_)
            | Self::PayloadTooLarge { .. }
            | Self::Closed => false,
        }
    }
}

/// Why not all of many jobs were enqueued.
#[derive(Debug, thiserror::Error)]
#[error("stopped at job {} after {} were accepted", index + 1, accepted.len())]
#[non_exhaustive]
pub struct EnqueueManyError {
    /// The jobs that the store has, in the order in which they were given.
    pub accepted: Vec<JobId>,
    /// Where the error happened: the place, counted from 0, of the first job it is about. Jobs after the batch that it
    /// is about were not sent.
    pub index: usize,
    /// What happened there.
    #[source]
    pub source: EnqueueError,
}

/// Why a job has no result for the caller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// The job ended without a result: it is dead, was revoked, or expired.
    #[error("job {id} is {state} after {attempts} attempts: {error}")]
    Failed {
        /// The job.
        id: JobId,
        /// The state in which it ended.
        state: State,
        /// The last error.
        error: String,
        /// How often it was handed out.
        attempts: u32,
        /// The worker that ended it.
        worker: String,
    },
    /// The store knows neither the job nor its end: the result was not kept or is kept no longer, or there never was
    /// such a job.
    #[error("the store knows nothing of job {id}: its result is not kept, or there was no such job")]
    NotKept {
        /// The job.
        id: JobId,
    },
    /// The job has not ended within the time the caller gave it.
    #[error("job {id} has not ended within {}", celeriac_core::format_duration(*waited))]
    NotYet {
        /// The job.
        id: JobId,
        /// How long was waited.
        waited: Duration,
    },
    /// The store could not be asked.
    #[error("the store was asked for job {id}")]
    Store {
        /// The job.
        id: JobId,
        /// What the store, or the way to it, said.
        #[source]
        source: BrokerError,
    },
    /// The job succeeded, and its result is not of the type that was asked for.
    #[error("the result of job {id} has another type")]
    Decode {
        /// The job.
        id: JobId,
        /// What does not fit.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl ResultError {
    /// Whether asking again may give another answer.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotYet { .. } => true,
            Self::Store { source, .. } => source.is_transient(),
            Self::Failed { .. } | Self::NotKept { .. } | Self::Decode { .. } => false,
        }
    }
}
