//! What people order for a workflow whose steps have ended without success.

use celeriac_broker::{Begun, Broker, BrokerError, MAX_STEPS, Retried};
use celeriac_core::canvas::{Failure, Node, NodeKind};
use celeriac_core::{JobId, WorkflowId};

use crate::begin::Made;
use crate::decide::needs;
use crate::flow::Flow;
use crate::halt::failure;
use crate::plans::Plans;
use crate::submit::persist;

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
/// A step whose job is dead keeps its count of attempts; one that was revoked or too late, or whose dead job is gone, begins as at first.
///
/// # Errors
/// [`RetryError`]. After [`RetryError::Store`] some may have been retried; a repeat goes on.
pub async fn retry(broker: &dyn Broker, id: &WorkflowId, step: Option<&str>) -> Result<usize, RetryError> {
    let unknown = || RetryError::Unknown(id.clone());
    let view = persist(|| broker.workflow(id)).await?.ok_or_else(unknown)?;
    if let Some(by) = view.revoked_by {
        return Err(RetryError::Revoked(by));
    }
    let plan = persist(|| Plans::load(broker, &view)).await?.ok_or_else(unknown)?;
    let flow = Flow::new(broker, &plan);
    let bad = match step {
        None => persist(|| flow.failed()).await?,
        Some(name) => {
            let unknown = || RetryError::UnknownStep { step: name.to_owned(), nearest: plan.nearest(name) };
            let node = plan.find(name).filter(|node| node.kind() != NodeKind::Join).ok_or_else(unknown)?;
            let end = persist(|| flow.end(node.index())).await?;
            end.filter(|end| !end.kind().lets_go_on()).map(|_| node.index()).into_iter().collect()
        }
    };
    if bad.is_empty() {
        return Err(RetryError::NotFailed(
            step.map_or_else(|| format!("workflow {id}"), |name| format!("step {name}")),
        ));
    }
    // The failure handler comes first: it is told what has failed, as long as that is known.
    let (handler, steps): (Vec<u32>, Vec<u32>) = bad.into_iter().partition(|node| plan.on_failure() == Some(*node));
    let mut retried = 0;
    for page in handler.chunks(MAX_STEPS).chain(steps.chunks(MAX_STEPS)) {
        retried += persist(|| flow.retry(page)).await?;
    }
    // Workers would see to the rest. But one that has nothing to do looks for it only now and then.
    if let Err(error) = flow.go_on_after(view.halted).await {
        tracing::debug!(workflow = %id, %error, "workers go on with this workflow");
    }
    Ok(retried)
}

impl Flow<'_> {
    /// The nodes that have ended without success.
    async fn failed(self) -> Result<Vec<u32>, BrokerError> {
        let marks = self.marks().await?;
        let is_bad = |node: &u32| marks.get(*node).is_some_and(|mark| !mark.kind.lets_go_on());
        Ok((0..self.plan.len() as u32).filter(is_bad).collect())
    }

    /// Lets these begin anew. Answers how many there were.
    async fn retry(self, nodes: &[u32]) -> Result<usize, BrokerError> {
        let nodes: Vec<_> = nodes.iter().filter_map(|node| self.plan.node(*node)).collect();
        let ids: Vec<JobId> = nodes.iter().copied().filter_map(Node::id).collect();
        let answers = self.broker.retry_dead(&ids).await?;
        let mut retried = 0;
        for (node, answer) in nodes.into_iter().zip(answers) {
            let is_retried = answer == Retried::Done || self.begin_anew(node).await?;
            retried += usize::from(is_retried);
        }
        Ok(retried)
    }

    /// Goes on with a workflow that is halted no more.
    async fn go_on_after(self, was_halted: bool) -> Result<(), BrokerError> {
        match self.broker.workflow(self.id()).await?.filter(|view| was_halted && !view.halted) {
            Some(view) => self.review(&view).await,
            None => Ok(()),
        }
    }

    /// Makes the job of a node anew. Whether there is one then, or the node has ended again.
    async fn begin_anew(self, node: Node<'_>) -> Result<bool, BrokerError> {
        let job = if node.kind() == NodeKind::OnFailure {
            let failure = self.some_failure().await?;
            failure.and_then(|failure| node.record(node.failure_payload(&failure)))
        } else {
            match self.make(node, &self.values(needs(node)).await?).await? {
                Made::Job(job) => Some(*job),
                Made::Failed => return Ok(true),
                Made::Nothing => None,
            }
        };
        let Some(job) = job else { return Ok(false) };
        let begun = self.broker.begin_steps(self.id(), &[job], true).await?;
        Ok(begun.iter().all(|begun| matches!(begun, Begun::Done | Begun::Before)))
    }

    /// A failure of a step, for a failure handler that begins anew.
    async fn some_failure(self) -> Result<Option<Failure>, BrokerError> {
        let marks = self.marks().await?;
        let is_bad = |node: &Node<'_>| marks.get(node.index()).is_some_and(|mark| !mark.kind.lets_go_on());
        let mut steps = self.plan.nodes().filter(|node| node.kind() == NodeKind::Step);
        let Some(node) = steps.find(is_bad) else { return Ok(None) };
        let end = self.end(node.index()).await?;
        Ok(end.and_then(|kept| failure(node, &kept.end.value)))
    }
}
