//! What can go wrong when a workflow is begun or waited for.

use std::error::Error;
use std::time::Duration;

use celeriac_broker::BrokerError;
use celeriac_core::WorkflowId;
use celeriac_core::canvas::SpecError;

use crate::error::Invalid;

/// Why a workflow was not begun, or may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Its id, or the arguments of a step, cannot be written down. Nothing was sent.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It cannot be carried out; the error names the place. Nothing was sent.
    #[error("a workflow that cannot be carried out: {0}")]
    Spec(SpecError),
    /// The id that the caller chose belongs to another workflow. Nothing was changed.
    #[error("workflow id {id} is in use")]
    IdInUse {
        /// The id.
        id: WorkflowId,
    },
    /// Nothing of it has begun.
    #[error("workflow {id} has not begun")]
    NotApplied {
        /// The id it would have had.
        id: WorkflowId,
        /// What the store, or the way to it, said last.
        #[source]
        source: BrokerError,
    },
    /// No answer came: it may have begun. [`Client::workflow`](crate::Client::workflow) says whether it has; with the same id, it does not begin
    /// twice.
    #[error("workflow {id} may have begun")]
    Unknown {
        /// Its id.
        id: WorkflowId,
        /// Why its fate is not known.
        #[source]
        source: BrokerError,
    },
}

impl RunError {
    /// Whether the same call may succeed later without anybody changing anything. After [`RunError::Unknown`] give it the id that it had.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotApplied { source, .. } => source.is_transient(),
            Self::Unknown { .. } => true,
            Self::Invalid(_) | Self::Spec(_) | Self::IdInUse { .. } => false,
        }
    }
}

/// Why a workflow has no result for the caller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkflowError {
    /// A step has ended without success. Others may still run; a [retry](crate::WorkflowHandle::retry) lets the workflow go on.
    #[error("workflow {id} has failed at {error}")]
    Failed {
        /// The workflow.
        id: WorkflowId,
        /// The name of the step and its error.
        error: String,
    },
    /// Somebody has revoked it.
    #[error("workflow {id} was {error}")]
    Revoked {
        /// The workflow.
        id: WorkflowId,
        /// Who has.
        error: String,
    },
    /// The store knows neither the workflow nor its end, or its end is kept no longer.
    #[error("the store knows nothing of workflow {id}: its result is not kept, or there was no such workflow")]
    NotKept {
        /// The workflow.
        id: WorkflowId,
    },
    /// It has not ended within the time the caller gave it.
    #[error("workflow {id} has not ended within {}", celeriac_core::format_duration(*waited))]
    NotYet {
        /// The workflow.
        id: WorkflowId,
        /// How long was waited.
        waited: Duration,
    },
    /// It has succeeded with a result of more than 1 MiB, which is not kept as a whole. Let the last step read it page by page instead.
    #[error("workflow {id} has succeeded, and its result is too large to be kept")]
    TooLarge {
        /// The workflow.
        id: WorkflowId,
    },
    /// The store could not be asked.
    #[error("the store was asked for workflow {id}")]
    Store {
        /// The workflow.
        id: WorkflowId,
        /// What the store, or the way to it, said.
        #[source]
        source: BrokerError,
    },
    /// It has succeeded, and its result is not of the type that was asked for.
    #[error("the result of workflow {id} has another type")]
    Decode {
        /// The workflow.
        id: WorkflowId,
        /// What does not fit.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl WorkflowError {
    /// Whether asking again may give another answer, although nobody has retried anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotYet { .. } => true,
            Self::Store { source, .. } => source.is_transient(),
            _ => false,
        }
    }
}
