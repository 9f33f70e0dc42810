//! What is to be done for a node, given how it and what it waits for have ended: rules without a store.

use celeriac_broker::KeptEnd;
use celeriac_core::canvas::{EndKind, Gather, Node, NodeKind, Plan, Policy, Status, WhenDead};

/// The end of a node, as far as decisions need it: small, because there is one for each of 200,000 nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) kind: EndKind,
    /// While followers are still to be dealt with: how many were.
    pub(crate) pending: Option<u32>,
    /// Whether it is not kept, but known: that of a join that waits for nothing any more.
    pub(crate) assumed: bool,
}

impl From<&KeptEnd> for Mark {
    fn from(kept: &KeptEnd) -> Self {
        Self { kind: kept.kind(), pending: kept.pending, assumed: false }
    }
}

impl Mark {
    /// The end of a join, which has one as soon as all it waits for has.
    const JOINED: Self = Self { kind: EndKind::Succeeded, pending: None, assumed: true };
}

/// What is to be done for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Todo {
    /// Nothing, as it stands.
    Nothing,
    /// Its job is to be enqueued.
    Begin,
    /// Its followers are to be dealt with, those behind the first so many.
    Advance(u32),
    /// It was the last: the workflow has succeeded.
    Finish,
    /// It has ended without success, and its policy is to be applied.
    Fail(Policy),
}

/// What is to be done for a node with this end, or none. `may_begin` is asked only if that counts: whether all it waits for has ended and lets
/// it go on.
pub(crate) fn todo(node: Node<'_>, end: Option<Mark>, may_begin: bool) -> Todo {
    match (end, node.kind()) {
        // Nobody waits for it, and it waits for nobody: only a failure begins it.
        (None, NodeKind::OnFailure) => Todo::Nothing,
        (None, _) if !may_begin => Todo::Nothing,
        (None, NodeKind::Join) => Todo::Advance(0),
        (None, _) => Todo::Begin,
        (Some(mark), _) if !mark.kind.lets_go_on() => node.policy().map_or(Todo::Nothing, Todo::Fail),
        (Some(Mark { pending: Some(advanced), .. }), _) => Todo::Advance(advanced),
        (Some(_), _) if is_output(node) => Todo::Finish,
        (Some(_), _) => Todo::Nothing,
    }
}

/// Whether the workflow has succeeded when this node has.
pub(crate) fn is_output(node: Node<'_>) -> bool {
    node.plan().output() == node.index()
}

/// The nodes whose values a node's own value or arguments are made of.
pub(crate) fn needs<'p>(node: Node<'p>) -> &'p [u32] {
    match node.gather() {
        Gather::Nothing | Gather::Empty | Gather::Failure => &[],
        _ => node.deps(),
    }
}

/// The ends of all nodes of a plan.
#[derive(Debug)]
pub(crate) struct Marks(pub(crate) Vec<Option<Mark>>);

impl Marks {
    pub(crate) fn get(&self, node: u32) -> Option<Mark> {
        self.0.get(node as usize).copied().flatten()
    }

    /// Takes every join for ended that waits for nothing any more. Its end is noted behind its last follower only, and those that come first
    /// must not wait for that.
    pub(crate) fn with_joins(mut self, plan: &Plan) -> Self {
        for node in plan.nodes().filter(|node| node.kind() == NodeKind::Join) {
            if self.get(node.index()).is_none() && self.may_begin(node) {
                self.0[node.index() as usize] = Some(Mark::JOINED);
            }
        }
        self
    }

    /// Whether all that a node waits for has ended and lets it go on.
    pub(crate) fn may_begin(&self, node: Node<'_>) -> bool {
        node.deps().iter().all(|dep| self.get(*dep).is_some_and(|mark| mark.kind.lets_go_on()))
    }

    /// Whether a job of this node may be in the store and has not ended.
    pub(crate) fn is_open(&self, node: Node<'_>) -> bool {
        node.kind() == NodeKind::Step && self.get(node.index()).is_none() && self.may_begin(node)
    }

    /// Where a workflow is that nobody has revoked.
    pub(crate) fn status(&self, plan: &Plan) -> Status {
        if self.get(plan.output()).is_some_and(|mark| mark.kind.lets_go_on()) {
            return Status::Succeeded;
        }
        let is_bad = |node: Node<'_>| {
            node.kind() == NodeKind::Step && self.get(node.index()).is_some_and(|mark| !mark.kind.lets_go_on())
        };
        match plan.when_dead() {
            _ if !plan.nodes().any(is_bad) => Status::Running,
            WhenDead::Wait if plan.nodes().any(|node| self.is_open(node)) => Status::Running,
            WhenDead::Wait => Status::Waiting,
            _ => Status::Failed,
        }
    }
}

#[cfg(test)]
mod tests;
