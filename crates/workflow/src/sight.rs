//! How far a workflow is, for people.

use std::fmt;
use std::sync::Arc;

use celeriac_broker::{Broker, BrokerError, WorkflowView};
use celeriac_core::canvas::{NodeKind, Plan, Status};
use celeriac_core::{JobId, QueueName, TaskName, Timestamp, WorkflowId};

/// A workflow with more nodes is shown without the details of its jobs.
pub const MAX_DETAILED: usize = 200;

/// A workflow, and where each of its nodes is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Sight {
    /// The workflow, as the store shows it.
    pub view: WorkflowView,
    /// Where it is.
    pub status: Status,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// Its nodes, joins and callbacks included, each at its index in the plan.
    pub nodes: Vec<NodeSight>,
    /// Whether the jobs of the nodes were looked at. With more than [`MAX_DETAILED`] nodes they are not: then nobody says of a node that has begun
    /// whether it runs or waits, and attempts and times are left out.
    pub detailed: bool,
}

impl Sight {
    /// How many steps, joins and callbacks aside, are in one of these states.
    #[must_use]
    pub fn count(&self, states: &[NodeState]) -> usize {
        self.steps().filter(|node| states.contains(&node.state)).count()
    }

    /// The steps: neither joins nor callbacks.
    pub fn steps(&self) -> impl Iterator<Item = &NodeSight> {
        self.nodes.iter().filter(|node| node.kind == NodeKind::Step)
    }
}

/// A node of a workflow, and where it is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NodeSight {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// Where it is.
    pub state: NodeState,
    /// The id of its job; a join has none.
    pub id: Option<JobId>,
    /// Its task.
    pub task: Option<TaskName>,
    /// The queue its job goes to.
    pub queue: Option<QueueName>,
    /// Attempts so far, the one in progress included.
    pub attempt: Option<u32>,
    /// When its job was enqueued.
    pub enqueued_at: Option<Timestamp>,
    /// When its job came into its state; for a running one when it became ready.
    pub since: Option<Timestamp>,
    /// When its job is due, if it waits for that.
    pub due_at: Option<Timestamp>,
    /// Who runs it, or who ended it.
    pub worker: Option<String>,
    /// The last error.
    pub error: Option<String>,
}

/// Where a node of a workflow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum NodeState {
    /// It waits for others.
    Waiting,
    /// All it waits for has ended, and so it has begun or is about to; nobody looked at its job.
    Begun,
    /// Its job waits in a queue.
    Ready,
    /// Its job runs.
    Running,
    /// Its job waits for its next attempt.
    Retry,
    /// Its job is kept aside.
    Parked,
    /// It has succeeded; or it is a join, and all it waits for has ended.
    Succeeded,
    /// It has failed, and its failure is a value: the workflow goes on.
    Failed,
    /// It is dead.
    Dead,
    /// Somebody revoked it.
    Revoked,
    /// It was too late to begin.
    Expired,
    /// It will not begin, since the workflow has failed or was revoked.
    GivenUp,
}

impl NodeState {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Waiting,
        Self::Begun,
        Self::Ready,
        Self::Running,
        Self::Retry,
        Self::Parked,
        Self::Succeeded,
        Self::Failed,
        Self::Dead,
        Self::Revoked,
        Self::Expired,
        Self::GivenUp,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Begun => "begun",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Retry => "retry",
            Self::Parked => "parked",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::GivenUp => "given up",
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Dead | Self::Revoked | Self::Expired)
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Shows a workflow; `None` if the store does not know it (any more).
///
/// # Errors
/// What the store says, and [`BrokerError::Corrupt`] for a workflow that this version cannot read.
pub async fn sight(broker: &dyn Broker, id: &WorkflowId) -> Result<Option<Sight>, BrokerError> {
    let _ = broker.workflow(id).await?;
    Ok(None)
}
