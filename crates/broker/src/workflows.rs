//! Workflows, as the seam speaks of them: where a store keeps what has ended, and how it moves a workflow on in the commit that ends a step.
//!
//! A store knows no plan. It keeps the description, the end of each node, and jobs that wait for one step. What a job of a step says in its
//! [`StepLink`](celeriac_core::canvas::StepLink) it carries out with the commit that ends the job, whoever ends it: it keeps the end,
//! begins what waits for that step alone, counts for what waits for several, and leaves an *event* for whatever else there is to do.
//! Workers take events and go on from the plan; whatever they do may be done twice.
//!
//! # Rules for every implementation
//! * A node ends well once: an end that lets its followers go on is never replaced, and only the first counts for them.
//! * An end without success is replaced by the next end of that step.
//! * While a workflow is *halted* (a step has failed, or somebody has revoked it) no step begins, a callback excepted. Steps that run end, and
//!   what should have followed is *pending*, until somebody resumes the workflow and goes through all its nodes.
//! * What is said of a workflow that the store does not know (any more) has no effect.

use std::time::Duration;

use async_trait::async_trait;
use celeriac_core::canvas::{Counts, EndKind, Policy, StepEnd, WaitingStep};
use celeriac_core::{JobId, Outcome, Record, Timestamp, WorkflowId};

use crate::error::BrokerError;

/// The most jobs, nodes or events in one call.
pub const MAX_STEPS: usize = 500;

/// The node of the event of a workflow that begins.
pub const ROOT: u32 = u32::MAX;

/// The node of the event of a workflow whose nodes are all to be looked at.
pub const REVIEW: u32 = u32::MAX - 1;

/// The side of a store that carries workflows out. A store that cannot has nothing to write here: each call fails with
/// [`BrokerError::Invalid`].
#[async_trait]
#[expect(unused_variables, reason = "a store that carries out no workflows looks at nothing")]
pub trait Workflows: Send + Sync {
    /// Stores a workflow and, if it says so, begins it in the same commit. A repeat with the same token does nothing and answers
    /// [`Submitted::Done`]. A crash after it leaves it stored; one that was never begun is pruned after [`UNSTARTED_TTL`].
    async fn put_workflow(&self, workflow: &NewWorkflow) -> Result<Submitted, BrokerError> {
        Err(unsupported())
    }

    /// Stores jobs that wait for one step, at most [`MAX_STEPS`]. What waits already is left as it is, and so is what has begun.
    async fn put_waiting(&self, workflow: &WorkflowId, steps: &[WaitingStep]) -> Result<(), BrokerError> {
        Err(unsupported())
    }

    /// Begins a workflow that was stored in several calls: leaves the event [`ROOT`]. Answers whether there is one. A repeat does nothing.
    async fn start_workflow(&self, workflow: &WorkflowId) -> Result<bool, BrokerError> {
        Err(unsupported())
    }

    /// Begins steps: enqueues each job, unless the step has ended or its job is there. At most [`MAX_STEPS`] jobs. One answer for each.
    ///
    /// A step that has ended without success begins anew if `again` says so, and its end is forgotten; when it was the last such end of a
    /// halted workflow, the workflow is resumed. A dead job of the same id is replaced, and an end that is kept of it removed.
    async fn begin_steps(
        &self,
        workflow: &WorkflowId,
        jobs: &[Record],
        again: bool,
    ) -> Result<Vec<Begun>, BrokerError> {
        Err(unsupported())
    }

    /// Lets some followers of an ended node go on, if nobody has done so: if as many were dealt with before as `advance.from` says.
    /// When it was the last part, the node's end is not pending any more; a join has ended then. At most [`MAX_STEPS`] followers.
    async fn advance(&self, workflow: &WorkflowId, advance: &Advance) -> Result<Advanced, BrokerError> {
        Err(unsupported())
    }

    /// Keeps the end of a step that has no job, because none can be made. It counts like that of a job with this policy.
    /// An end that lets others go on is pending.
    async fn fail_step(
        &self,
        workflow: &WorkflowId,
        node: u32,
        end: &StepEnd,
        policy: Policy,
    ) -> Result<(), BrokerError> {
        Err(unsupported())
    }

    /// Takes at most `max` events, the oldest first. Others get them again after `lease`, unless [`Workflows::finish_event`] comes before.
    /// Those of workflows that are gone go too, and are not answered.
    async fn take_events(&self, max: usize, lease: Duration) -> Result<Vec<WorkflowEvent>, BrokerError> {
        Err(unsupported())
    }

    /// Removes an event, unless it has come again since it was taken.
    async fn finish_event(&self, event: &WorkflowEvent) -> Result<(), BrokerError> {
        Err(unsupported())
    }

    /// The ends of these nodes, at most [`MAX_STEPS`]: as many as fit into about 1 MiB, one at least, if there is one to ask for. Without
    /// `values` they have none, and all fit.
    async fn step_ends(
        &self,
        workflow: &WorkflowId,
        nodes: &[u32],
        values: bool,
    ) -> Result<Vec<Option<KeptEnd>>, BrokerError> {
        Err(unsupported())
    }

    /// How many of the nodes that this one waits for have ended and were counted for it, each once: by the commit that ended it, or by the part of
    /// its followers that this node was among.
    async fn counted(&self, workflow: &WorkflowId, node: u32) -> Result<u32, BrokerError> {
        Err(unsupported())
    }

    /// A workflow, and what it is described by.
    async fn workflow(&self, id: &WorkflowId) -> Result<Option<WorkflowView>, BrokerError> {
        Err(unsupported())
    }

    /// The description, as it was put.
    async fn workflow_spec(&self, id: &WorkflowId) -> Result<Option<String>, BrokerError> {
        Err(unsupported())
    }

    /// Workflows, the newest first: at most `max` of those older than `before`.
    async fn workflows(&self, before: Option<&WorkflowMark>, max: usize) -> Result<Vec<WorkflowView>, BrokerError> {
        Err(unsupported())
    }

    /// Notes that a workflow has ended, and how: whoever waits for the end of a job with the workflow's id is told. It is removed after
    /// `retention`, its end after `keep`. Answers whether it had not been noted since it last began; only then something is done.
    ///
    /// Success is noted of a workflow that is not halted, any other end of one that is: whoever notes it may have looked before somebody
    /// retried a step or revoked the workflow.
    async fn finish_workflow(
        &self,
        workflow: &WorkflowId,
        outcome: &Outcome,
        keep: Duration,
        retention: Duration,
    ) -> Result<bool, BrokerError> {
        Err(unsupported())
    }

    /// Halts a workflow for good, in the name of `by`, and leaves the event [`REVIEW`]. One that has succeeded stays as it is.
    async fn revoke_workflow(&self, workflow: &WorkflowId, by: &str) -> Result<WorkflowRevoked, BrokerError> {
        Err(unsupported())
    }

    /// Takes jobs of a halted workflow that have not begun out of their queues, at most [`MAX_STEPS`], as if they had never been enqueued.
    /// Answers how many there were; `None` if the workflow is not halted, and then nothing was done.
    async fn withdraw(&self, workflow: &WorkflowId, ids: &[JobId]) -> Result<Option<usize>, BrokerError> {
        Err(unsupported())
    }
}

/// How long a workflow is kept that was stored and never begun.
pub const UNSTARTED_TTL: Duration = Duration::from_secs(3600);

/// A workflow to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewWorkflow {
    /// Its id.
    pub id: WorkflowId,
    /// Whether no workflow and no job ever had the id, as is so for one that was generated. A store need not look for what they left then.
    pub fresh: bool,
    /// What tells a repeat of this call from another workflow of the same id.
    pub token: String,
    /// What it is described by: JSON, opaque to the store.
    pub spec: String,
    /// The version of the rules by which the description is compiled.
    pub version: u32,
    /// How many nodes its plan has.
    pub nodes: u32,
    /// Jobs that wait for one step, at most [`MAX_STEPS`] together with `roots`. More are put before it begins.
    pub waiting: Vec<WaitingStep>,
    /// Jobs that wait for nothing.
    pub roots: Vec<Record>,
    /// Whether it is complete with that, and begins now.
    pub begins: bool,
}

impl NewWorkflow {
    /// Refuses one that no store can put in one call.
    #[cfg(any(feature = "redis", feature = "sqlite"))]
    pub(crate) fn check(&self) -> Result<(), BrokerError> {
        check_steps(self.waiting.len() + self.roots.len())?;
        check_jobs(&self.id, self.waiting.iter().map(|step| &step.record).chain(&self.roots))?;
        if !self.begins && !self.roots.is_empty() {
            return Err(BrokerError::Invalid(format!("the workflow {} does not begin and has jobs", self.id)));
        }
        Ok(())
    }
}

/// What became of a workflow that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Submitted {
    /// It is stored.
    Done,
    /// There is another workflow of this id. Nothing was changed.
    InUse,
}

/// What became of a step that should begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Begun {
    /// Its job is enqueued.
    Done,
    /// It has ended, or its job is there.
    Before,
    /// The workflow is halted.
    Halted,
    /// There is no such workflow.
    Unknown,
}

/// Some followers of a node that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Advance {
    /// The node; [`ROOT`] for those that wait for nothing.
    pub node: u32,
    /// How many of its followers were dealt with before.
    pub from: u32,
    /// How many are, hereby.
    pub to: u32,
    /// Whether these are all.
    pub last: bool,
    /// Jobs to be enqueued, each unless its step has ended or the job is there.
    pub begin: Vec<Record>,
    /// Nodes that wait for several: for each this end counts, and when all have, an event is left.
    pub counts: Vec<Counts>,
}

/// What became of an advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advanced {
    /// It is done.
    Done,
    /// Another number of followers was dealt with before; this many.
    Moved(u32),
    /// The workflow is halted: somebody who resumes it goes on here.
    Halted,
    /// There is no such workflow.
    Unknown,
}

/// Something to be done for a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkflowEvent {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The node that has ended, or that may begin; [`ROOT`] or [`REVIEW`].
    pub node: u32,
    /// Until when it is taken: what tells it from one that came later.
    pub until: Timestamp,
}

/// The end of a node, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEnd {
    /// The end; without a value if none was asked for.
    pub end: StepEnd,
    /// While followers are still to be dealt with: how many were.
    pub pending: Option<u32>,
}

impl KeptEnd {
    /// How it ended.
    #[must_use]
    pub fn kind(&self) -> EndKind {
        self.end.kind
    }
}

/// A workflow, as a store shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkflowView {
    /// Its id.
    pub id: WorkflowId,
    /// The version of the rules by which its description is compiled.
    pub version: u32,
    /// How many nodes its plan has.
    pub nodes: u32,
    /// When it was stored.
    pub made_at: Timestamp,
    /// Whether it has begun.
    pub begun: bool,
    /// How many steps have ended without success and were not retried.
    pub failures: u32,
    /// Whether no step begins.
    pub halted: bool,
    /// Who has revoked it.
    pub revoked_by: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl WorkflowView {
    /// A view of a store of its own.
    #[must_use]
    pub fn new(id: WorkflowId, version: u32, nodes: u32, made_at: Timestamp) -> Self {
        Self { id, version, nodes, made_at, begun: false, failures: 0, halted: false, revoked_by: None, ended_at: None }
    }
}

/// A place in the list of workflows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowMark {
    /// When the last one shown was stored.
    pub made_at: Timestamp,
    /// Its id.
    pub id: WorkflowId,
}

/// What became of a workflow that somebody revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkflowRevoked {
    /// Nothing of it begins any more; its jobs are revoked soon.
    Done,
    /// It has succeeded, or was revoked before.
    TooLate,
    /// There is none of this id.
    Unknown,
}

/// Refuses more steps than one call may touch.
#[cfg(any(feature = "redis", feature = "sqlite"))]
pub(crate) fn check_steps(count: usize) -> Result<(), BrokerError> {
    if count > MAX_STEPS {
        return Err(BrokerError::Invalid(format!("{count} steps in one call; at most {MAX_STEPS} are allowed")));
    }
    Ok(())
}

/// Refuses jobs that are no steps of this workflow, and those that another job could keep from being enqueued.
#[cfg(any(feature = "redis", feature = "sqlite"))]
pub(crate) fn check_jobs<'r>(
    workflow: &WorkflowId,
    jobs: impl IntoIterator<Item = &'r Record>,
) -> Result<(), BrokerError> {
    for job in jobs {
        if job.options.step.as_ref().is_none_or(|link| link.workflow != *workflow) {
            return Err(BrokerError::Invalid(format!("job {} is no step of the workflow {workflow}", job.id)));
        }
        if job.options.unique.is_some() {
            return Err(BrokerError::Invalid(format!("job {} is a step of a workflow and has a unique key", job.id)));
        }
    }
    Ok(())
}

fn unsupported() -> BrokerError {
    BrokerError::Invalid("this store carries out no workflows".to_owned())
}
