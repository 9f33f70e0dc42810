//! Gives a workflow up.

use celeriac_broker::{Broker, BrokerError, WorkflowRevoked};
use celeriac_core::WorkflowId;

/// Gives a workflow up for good, in the name of `by`: nothing of it begins any more, jobs that wait end as revoked, and the workers of those that
/// run are told. Callbacks do not run.
///
/// # Errors
/// What the store says. If the workflow was revoked before the error, its jobs are revoked by the next worker that looks.
pub async fn revoke(broker: &dyn Broker, id: &WorkflowId, by: &str) -> Result<WorkflowRevoked, BrokerError> {
    broker.revoke_workflow(id, by).await
}
