//! How far a workflow is, for people.

use std::fmt;
use std::sync::Arc;

use celeriac_broker::{Broker, BrokerError, JobView, WorkflowView};
use celeriac_core::canvas::{EndKind, Node, NodeKind, Plan, Status};
use celeriac_core::{JobId, QueueName, State, TaskName, Timestamp, WorkflowId};

use crate::decide::Marks;
use crate::flow::Flow;
use crate::halt::failure;
use crate::plans::Plans;

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
    /// Whether the jobs of the nodes were looked at. With more than [`MAX_DETAILED`] nodes only those are that have begun and
    /// not ended, and only if they are no more than that: else nobody says whether they run or wait.
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

    /// Whether it has ended without success, and needs somebody.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Dead | Self::Revoked | Self::Expired)
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
    let Some(view) = broker.workflow(id).await? else { return Ok(None) };
    let Some(plan) = Plans::load(broker, &view).await? else { return Ok(None) };
    let flow = Flow::new(broker, &plan);
    let marks = flow.marks().await?;
    let status = if view.revoked_by.is_some() { Status::Revoked } else { marks.status(&plan) };
    let detailed = plan.len() <= MAX_DETAILED;
    let mut nodes: Vec<_> = plan.nodes().map(|node| NodeSight::new(node, state(node, &marks, status))).collect();
    // Of a large one those jobs are looked at that have not ended, if they are few.
    let begun = nodes.iter().filter(|sight| sight.state == NodeState::Begun).count();
    let looks_at_begun = begun <= MAX_DETAILED;
    for (node, sight) in plan.nodes().zip(&mut nodes) {
        let is_begun = sight.state == NodeState::Begun;
        let looks = sight.state != NodeState::Waiting && if is_begun { looks_at_begun } else { detailed };
        let job = match node.id().filter(|_| looks) {
            Some(id) => broker.job(&id).await?,
            None => None,
        };
        match job {
            Some(job) => sight.look_at(job),
            // As a rule its job was taken back before it began; where nobody looks, a few may still run.
            None if is_begun && is_over(status) => sight.state = NodeState::GivenUp,
            // Where nobody looks, and of a step that never had a job.
            None if sight.state.is_failure() => sight.error = flow.error(node).await?,
            None => {}
        }
    }
    Ok(Some(Sight { view, status, plan: Arc::new(plan), nodes, detailed }))
}

/// Whether nothing begins any more.
fn is_over(status: Status) -> bool {
    matches!(status, Status::Failed | Status::Revoked)
}

/// Where a node is, as far as ends tell.
fn state(node: Node<'_>, marks: &Marks, status: Status) -> NodeState {
    let is_over = is_over(status);
    match marks.get(node.index()).map(|mark| mark.kind) {
        Some(EndKind::Succeeded) => NodeState::Succeeded,
        Some(EndKind::Error) => NodeState::Failed,
        Some(EndKind::Revoked) => NodeState::Revoked,
        Some(EndKind::Expired) => NodeState::Expired,
        Some(_) => NodeState::Dead,
        None if node.kind() == NodeKind::OnFailure => match status {
            Status::Failed | Status::Waiting => NodeState::Begun,
            Status::Running => NodeState::Waiting,
            _ => NodeState::GivenUp,
        },
        // What runs may end, though nothing follows it.
        None if marks.may_begin(node) && (!is_over || node.kind() == NodeKind::Step) => NodeState::Begun,
        None if is_over => NodeState::GivenUp,
        None => NodeState::Waiting,
    }
}

impl NodeSight {
    fn new(node: Node<'_>, state: NodeState) -> Self {
        let template = node.template();
        Self {
            name: node.name(),
            kind: node.kind(),
            state,
            id: node.id(),
            task: template.map(|template| template.task.clone()),
            queue: template.map(|template| template.queue.clone().unwrap_or_default()),
            attempt: None,
            enqueued_at: None,
            since: None,
            due_at: None,
            worker: None,
            error: None,
        }
    }

    /// Adds what the job tells. One that has ended only lately may tell more than the ends did.
    fn look_at(&mut self, job: JobView) {
        if self.state == NodeState::Begun {
            self.state = match job.state {
                State::Running => NodeState::Running,
                State::Retry | State::Scheduled => NodeState::Retry,
                State::Parked => NodeState::Parked,
                State::Succeeded => NodeState::Succeeded,
                State::Dead => NodeState::Dead,
                State::Revoked => NodeState::Revoked,
                State::Expired => NodeState::Expired,
                _ => NodeState::Ready,
            };
        }
        self.attempt = Some(job.attempt);
        (self.enqueued_at, self.since, self.due_at) = (Some(job.enqueued_at), Some(job.since), job.due_at);
        (self.worker, self.error) = (job.worker, job.error);
    }
}

impl Flow<'_> {
    /// The error that a node has ended with.
    async fn error(self, node: Node<'_>) -> Result<Option<String>, BrokerError> {
        let end = self.end(node.index()).await?;
        Ok(end.and_then(|kept| failure(node, &kept.end.value)).map(|failure| failure.error))
    }
}
