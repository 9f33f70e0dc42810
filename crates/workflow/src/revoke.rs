//! Gives a workflow up.

use celeriac_broker::{Broker, BrokerError, WorkflowRevoked};
use celeriac_core::WorkflowId;

use crate::flow::Flow;
use crate::plans::Plans;
use crate::submit::persist;

/// Gives a workflow up for good, in the name of `by`: nothing of it begins any more, jobs that wait end as revoked, and the workers of those that
/// run are told. Callbacks do not run.
///
/// # Errors
/// What the store says. If the workflow was revoked before the error, its jobs are revoked by the next worker that looks.
pub async fn revoke(broker: &dyn Broker, id: &WorkflowId, by: &str) -> Result<WorkflowRevoked, BrokerError> {
    let revoked = match broker.revoke_workflow(id, by).await {
        Err(error) if error.is_in_doubt() => again(broker, id, by).await?,
        answer => answer?,
    };
    let Some(view) = broker.workflow(id).await?.filter(|_| revoked == WorkflowRevoked::Done) else {
        return Ok(revoked);
    };
    if let Some(plan) = Plans::load(broker, &view).await? {
        persist(|| Flow::new(broker, &plan).review(&view)).await?;
    }
    Ok(revoked)
}

/// Asks again after an answer that was lost: a revocation in the same name is then taken for this one.
async fn again(broker: &dyn Broker, id: &WorkflowId, by: &str) -> Result<WorkflowRevoked, BrokerError> {
    let revoked = persist(|| broker.revoke_workflow(id, by)).await?;
    let view = broker.workflow(id).await?;
    let is_ours = view.is_some_and(|view| view.revoked_by.as_deref() == Some(by));
    Ok(if revoked == WorkflowRevoked::TooLate && is_ours { WorkflowRevoked::Done } else { revoked })
}
