//! What the job of a step carries with it, so that whoever ends it can move its workflow on in the same commit.

use serde::{Deserialize, Serialize};

use super::payload::Failure;
use super::plan::{Fill, Node, NodeKind};
use super::workflow::WhenDead;
use crate::id::JobId;
use crate::name::{QueueName, WorkflowId};
use crate::outcome::Outcome;
use crate::record::Record;
use crate::state::State;

/// The most nodes that the end of one step begins or counts for by itself. Where more wait for it, they are told in steps of their own, so
/// that the commit which ends a job stays small.
pub const MAX_INLINE: usize = 16;

/// A result of more bytes is not copied into the job behind it by the commit that ends the step; that is done afterwards.
pub const MAX_INLINE_BYTES: usize = 64 * 1024;

/// What happens when the step ends without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[non_exhaustive]
pub enum Policy {
    /// The workflow has failed.
    #[default]
    #[serde(rename = "f")]
    Fail,
    /// The failure is a value like any other.
    #[serde(rename = "c")]
    Continue,
    /// What is behind it waits for a retry.
    #[serde(rename = "w")]
    Wait,
    /// Nothing: it is a callback.
    #[serde(rename = "n")]
    Callback,
}

impl Policy {
    fn is_fail(&self) -> bool {
        *self == Self::Fail
    }
}

/// A step that begins when this one has succeeded, because it waits for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next(
    /// Its index in the plan.
    pub u32,
    /// The queue its job goes to.
    pub QueueName,
);

/// A node that waits for several, and for how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Counts(
    /// Its index in the plan.
    pub u32,
    /// How many nodes it waits for.
    pub u32,
);

/// The place of a job in its workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepLink {
    /// The workflow.
    #[serde(rename = "of")]
    pub workflow: WorkflowId,
    /// The index of its node in the plan.
    pub at: u32,
    /// What happens when it ends without success.
    #[serde(default, skip_serializing_if = "Policy::is_fail")]
    pub policy: Policy,
    /// Steps that wait for it alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<Next>,
    /// Nodes that wait for it and for others, or that need more than a commit can do to begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Counts>,
    /// Whether more nodes wait for it than a commit may touch, so that `next` and `counts` say nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub many: bool,
    /// Whether the workflow has succeeded when it has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
}

/// How a node has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EndKind {
    /// With success, or it is a join and all it waits for has ended.
    Succeeded,
    /// Without success, but its failure is a value and the workflow goes on.
    Error,
    /// Dead.
    Dead,
    /// Revoked.
    Revoked,
    /// Too late to begin.
    Expired,
}

impl EndKind {
    const ALL: [Self; 5] = [Self::Succeeded, Self::Error, Self::Dead, Self::Revoked, Self::Expired];

    /// The letter that stands for it in a store.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Succeeded => 'S',
            Self::Error => 'E',
            Self::Dead => 'D',
            Self::Revoked => 'R',
            Self::Expired => 'X',
        }
    }

    /// The end that a letter stands for, large or small.
    #[must_use]
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.letter() == letter.to_ascii_uppercase())
    }

    /// Whether what waits for the node may begin.
    #[must_use]
    pub fn lets_go_on(self) -> bool {
        matches!(self, Self::Succeeded | Self::Error)
    }
}

/// The end of a step, as its workflow keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepEnd {
    /// How it ended.
    pub kind: EndKind,
    /// The value of the node as its followers see it, JSON; or the [`Failure`] of one that does not let them go on.
    pub value: String,
}

impl StepEnd {
    /// An end.
    #[must_use]
    pub fn new(kind: EndKind, value: impl Into<String>) -> Self {
        Self { kind, value: value.into() }
    }

    /// The end of a step whose failure is known.
    #[must_use]
    pub fn failed(policy: Policy, kind: EndKind, failure: &Failure) -> Self {
        match policy {
            Policy::Continue => Self::new(EndKind::Error, format!("{{\"error\":{}}}", failure.to_json())),
            _ => Self::new(kind, failure.to_json()),
        }
    }
}

impl StepLink {
    /// The place of a step that nothing waits for.
    #[must_use]
    pub fn new(workflow: WorkflowId, at: u32) -> Self {
        let (next, counts) = (Vec::new(), Vec::new());
        Self { workflow, at, policy: Policy::default(), next, counts, many: false, last: false }
    }

    /// The end of the step, from that of its job.
    #[must_use]
    pub fn end(&self, outcome: &Outcome) -> StepEnd {
        let kind = match outcome.state {
            State::Succeeded => EndKind::Succeeded,
            State::Revoked => EndKind::Revoked,
            State::Expired => EndKind::Expired,
            _ => EndKind::Dead,
        };
        if kind == EndKind::Succeeded {
            let result = outcome.result.as_ref().map_or("null", |result| result.get());
            return StepEnd::new(
                kind,
                if self.policy == Policy::Continue { format!("{{\"ok\":{result}}}") } else { result.to_owned() },
            );
        }
        let failure = Failure {
            step: self.step_name(&outcome.id),
            task: outcome.task.clone(),
            error: outcome.error.clone().unwrap_or_else(|| outcome.state.to_string()),
            attempts: outcome.attempt,
        };
        StepEnd::failed(self.policy, kind, &failure)
    }

    /// The name of the step whose job has this id.
    fn step_name(&self, id: &JobId) -> String {
        let id = id.as_str();
        id.strip_prefix(self.workflow.as_str()).and_then(|rest| rest.strip_prefix(':')).unwrap_or(id).to_owned()
    }

    /// Whether this end is one that the workflow counts as a failure, until it is retried.
    #[must_use]
    pub fn is_failure(&self, kind: EndKind) -> bool {
        !kind.lets_go_on() && self.policy != Policy::Callback
    }

    /// Whether nothing of the workflow begins any more after this end.
    #[must_use]
    pub fn halts(&self, kind: EndKind) -> bool {
        !kind.lets_go_on() && self.policy == Policy::Fail
    }
}

/// A step whose job is complete but for the result of the one it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingStep {
    /// The job, with a gap in its payload.
    pub record: Record,
    /// Where in the payload the result goes; nowhere if it takes none.
    pub gap: Option<usize>,
}

impl WaitingStep {
    /// A job that waits.
    #[must_use]
    pub fn new(record: Record, gap: Option<usize>) -> Self {
        Self { record, gap }
    }

    /// The job with a value in its gap.
    #[must_use]
    pub fn fill(mut self, value: &str) -> Record {
        if let Some(gap) = self.gap {
            let gap = gap.min(self.record.payload.len());
            self.record.payload.splice(gap..gap, value.bytes());
        }
        self.record
    }
}

/// Stands in arguments where a result goes. JSON has it nowhere.
const GAP: &str = "\0";

impl Node<'_> {
    /// What happens when its job ends without success; a join has none.
    #[must_use]
    pub fn policy(self) -> Option<Policy> {
        match (self.kind(), self.plan().when_dead()) {
            (NodeKind::Join, _) => None,
            (NodeKind::OnSuccess | NodeKind::OnFailure, _) => Some(Policy::Callback),
            (NodeKind::Step, WhenDead::Fail) => Some(Policy::Fail),
            (NodeKind::Step, WhenDead::Continue) => Some(Policy::Continue),
            (NodeKind::Step, WhenDead::Wait) => Some(Policy::Wait),
        }
    }

    /// What its job carries; a join has none.
    fn link(self) -> Option<StepLink> {
        let plan = self.plan();
        let policy = self.policy()?;
        let many = self.followers().len() > MAX_INLINE;
        let (mut next, mut counts) = (Vec::new(), Vec::new());
        for follower in self.followers().iter().filter(|_| !many).filter_map(|index| plan.node(*index)) {
            match follower.template().filter(|_| follower.gap().is_some()) {
                Some(template) => next.push(Next(follower.index(), template.queue.clone().unwrap_or_default())),
                None => counts.push(Counts(follower.index(), follower.deps().len() as u32)),
            }
        }
        let last = plan.output() == self.index();
        let (workflow, at) = (plan.workflow().clone(), self.index());
        Some(StepLink { workflow, at, policy, next, counts, many, last })
    }

    /// Its arguments with a gap where the result of the only node goes that it waits for, and where that is; `None` for a node whose
    /// arguments cannot be made by filling a gap.
    fn gap(self) -> Option<(Vec<u8>, Option<usize>)> {
        if self.deps().len() != 1 || self.kind() == NodeKind::Join {
            return None;
        }
        if self.fill() == Fill::Beside && self.keys().is_empty() {
            return None;
        }
        let mut payload = self.payload(|_| Some(GAP)).ok()?;
        let gap = payload.iter().position(|byte| *byte == GAP.as_bytes()[0]);
        if let Some(gap) = gap {
            payload.remove(gap);
        }
        Some((payload, gap))
    }

    /// Its job, ready to be enqueued with these arguments; a join has none. Without a queue it goes to `default`.
    #[must_use]
    pub fn record(self, payload: Vec<u8>) -> Option<Record> {
        let template = self.template()?;
        let queue = template.queue.clone().unwrap_or_default();
        let mut record = Record::new(self.id()?, template.task.clone(), queue, payload);
        (record.priority, record.options) = (template.priority, template.options.clone());
        record.options.step = self.link().map(Box::new);
        Some(record)
    }

    /// Its job for the commit that ends the only node it waits for; `None` if it waits for none or several, or takes the result in a way
    /// that needs more than putting it into its place.
    #[must_use]
    pub fn waiting(self) -> Option<WaitingStep> {
        let (payload, gap) = self.gap()?;
        Some(WaitingStep { record: self.record(payload)?, gap })
    }
}
