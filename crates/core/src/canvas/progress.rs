//! How far a workflow is: a state machine that is told how jobs ended, and says what happens next.
//!
//! The truth is one state for each node. What is counted is counted from these: so a report that comes twice changes nothing, and
//! [`Progress::restore`] goes on from what somebody has kept. A node that waits in a workflow that has failed or was revoked is not
//! marked: it is given up for as long as that is so, and waits again when a retry has mended it.

use std::collections::BTreeMap;

use super::plan::{NodeKind, Plan};
use super::workflow::WhenDead;
use crate::state::State;

/// How the job of a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// With a result.
    Succeeded,
    /// Dead, in this attempt. A retry goes on counting attempts, so the number tells one death from another.
    Dead {
        /// The attempt, counted from 1.
        attempt: u32,
    },
    /// Somebody revoked it, a person or the failure of the workflow.
    Revoked,
    /// It was too late to begin.
    Expired,
}

impl End {
    /// The end that a terminal state of a job is, in this attempt.
    #[must_use]
    pub fn of(state: State, attempt: u32) -> Option<Self> {
        match state {
            State::Succeeded => Some(Self::Succeeded),
            State::Dead => Some(Self::Dead { attempt }),
            State::Revoked => Some(Self::Revoked),
            State::Expired => Some(Self::Expired),
            _ => None,
        }
    }
}

/// Where a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeState {
    /// It waits for others, or is given up with its workflow.
    Waiting,
    /// Its job is in the store and has not ended.
    Ready,
    /// As ready, but the workflow has failed since, and the job is to be revoked unless it has begun.
    Stopping,
    /// Its job has succeeded, or it is a join and all it waits for has ended.
    Succeeded,
    /// Its job is dead.
    Dead,
    /// Its job was revoked by somebody.
    Revoked,
    /// Its job has expired.
    Expired,
    /// Its job was revoked because the workflow failed. It is made anew when a retry has mended that.
    Stopped,
}

impl NodeState {
    /// Whether it has ended without success, by itself.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Dead | Self::Revoked | Self::Expired)
    }

    /// Whether its job is in the store and has not ended.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Ready | Self::Stopping)
    }
}

/// Where a workflow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Something runs or will run.
    Running,
    /// Nothing runs, and nothing will before an operator has retried what is dead.
    Waiting,
    /// All steps have succeeded; under `"when_dead": "continue"`, all have ended.
    Succeeded,
    /// A step has died under `"when_dead": "fail"`. Jobs that had begun may still run.
    Failed,
    /// Somebody revoked it. Jobs that had begun may still run.
    Revoked,
}

/// What is to be done now, by the indices of the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "what is ready runs only if its job is enqueued"]
#[non_exhaustive]
pub struct Changes {
    /// Their jobs are to be enqueued: each for the first time, or anew after a retry.
    pub ready: Vec<u32>,
    /// Joins that all their dependencies have ended for; each comes behind those in this list that it waits for.
    pub joined: Vec<u32>,
    /// Their jobs are in the store; those that have not begun are to be revoked.
    pub stop: Vec<u32>,
    /// They will not begin, since the workflow has failed or was revoked.
    pub given_up: Vec<u32>,
    /// They were given up and wait again.
    pub resumed: Vec<u32>,
}

impl Changes {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A step that cannot be retried, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRetried {
    /// There is no such node, or it has not ended without success.
    #[error("the step is not dead")]
    NotDead,
    /// The workflow has gone on without it, or was revoked.
    #[error("the workflow has gone on without it")]
    TooLate,
}

/// How far a workflow is.
#[derive(Debug, Clone)]
pub struct Progress<'p> {
    plan: &'p Plan,
    states: Vec<NodeState>,
    /// For each node how many of its dependencies have not ended well enough to go on.
    missing: Vec<u32>,
    /// Steps and joins that have not ended well enough to go on.
    left: usize,
    /// Steps that have ended without success.
    bad: usize,
    /// Steps whose jobs are in the store and have not ended.
    open: usize,
    revoked: bool,
    /// For each node that has died, in which attempt it did so last.
    deaths: BTreeMap<u32, u32>,
}

impl<'p> Progress<'p> {
    /// A workflow that begins, and what is ready at once.
    pub fn start(plan: &'p Plan) -> (Self, Changes) {
        let mut progress = Self::restore(plan, vec![NodeState::Waiting; plan.len()], false);
        let mut changes = Changes::default();
        let first = plan.nodes().filter(|node| node.deps().is_empty() && node.kind() != NodeKind::OnFailure);
        for node in first {
            progress.begin(node.index(), &mut changes);
        }
        (progress, changes)
    }

    /// A workflow that is as somebody has kept it: the state of each node, and whether it was revoked. Missing states are
    /// [`NodeState::Waiting`]. Which death was told last is not part of that: a death that is told again counts as a new one if the
    /// step was retried in between.
    #[must_use]
    pub fn restore(plan: &'p Plan, mut states: Vec<NodeState>, revoked: bool) -> Self {
        states.resize(plan.len(), NodeState::Waiting);
        let missing = plan.nodes().map(|node| node.deps().len() as u32).collect();
        let mut progress = Self { plan, states, missing, left: 0, bad: 0, open: 0, revoked, deaths: BTreeMap::new() };
        for node in plan.nodes() {
            let is_over = progress.lets_go_on(progress.states[node.index() as usize]);
            if is_over {
                node.followers().iter().for_each(|follower| progress.missing[*follower as usize] -= 1);
            }
            if is_counted(node.kind()) {
                let state = progress.states[node.index() as usize];
                progress.left += usize::from(!is_over);
                progress.bad += usize::from(state.is_bad());
                progress.open += usize::from(state.is_open());
            }
        }
        progress
    }

    /// Where the workflow is.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.revoked {
            Status::Revoked
        } else if self.left == 0 {
            Status::Succeeded
        } else if self.has_failed() {
            Status::Failed
        } else if self.bad > 0 && self.open == 0 && self.plan.when_dead() == WhenDead::Wait {
            Status::Waiting
        } else {
            Status::Running
        }
    }

    /// Where a node is.
    #[must_use]
    pub fn state(&self, node: u32) -> Option<NodeState> {
        self.states.get(node as usize).copied()
    }

    /// The state of each node, to be kept.
    #[must_use]
    pub fn states(&self) -> &[NodeState] {
        &self.states
    }

    /// Whether somebody revoked the workflow, to be kept.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// How many jobs of steps are in the store and have not ended.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open
    }

    /// The steps that have ended without success.
    pub fn bad(&self) -> impl Iterator<Item = u32> {
        let steps = self.plan.nodes().filter(|node| is_counted(node.kind())).map(|node| node.index());
        steps.filter(|node| self.states[*node as usize].is_bad())
    }

    /// Takes in how the job of a node ended. What is known already, or cannot be, changes nothing: a node whose job was never ready, a
    /// death that was told before, another end than the first. Only a dead job can still end otherwise, since people can retry it.
    ///
    /// A job that was revoked or has expired, and is made anew by a retry, is taken for that again if it is told once more.
    pub fn report(&mut self, node: u32, end: End) -> Changes {
        let mut changes = Changes::default();
        let Some(state) = self.state(node) else { return changes };
        // Without a retry that was told here, the followers of a dead step have gone on or not; if they have, nothing can change that.
        let can_end = state.is_open() || (state == NodeState::Dead && self.plan.when_dead() != WhenDead::Continue);
        if !can_end || !self.is_news(node, end) {
            return changes;
        }
        let ended = match end {
            End::Succeeded => NodeState::Succeeded,
            End::Dead { attempt } => {
                self.deaths.insert(node, attempt);
                NodeState::Dead
            }
            End::Revoked if state == NodeState::Stopping => NodeState::Stopped,
            End::Revoked => NodeState::Revoked,
            End::Expired => NodeState::Expired,
        };
        self.end(node, ended, &mut changes);
        changes
    }

    /// Makes a step that has ended without success ready again. If it was the last such step of a workflow that had failed, all that was
    /// given up waits again, and what was stopped is made anew.
    ///
    /// # Errors
    /// [`NotRetried`]; then nothing has changed.
    pub fn retry(&mut self, node: u32) -> Result<Changes, NotRetried> {
        let state = self.state(node).filter(|state| state.is_bad()).ok_or(NotRetried::NotDead)?;
        let is_step = self.plan.node(node).is_some_and(|node| is_counted(node.kind()));
        if self.revoked || (is_step && self.plan.when_dead() == WhenDead::Continue) {
            return Err(NotRetried::TooLate);
        }
        if state != NodeState::Dead {
            // Its job is made anew and counts its attempts from 1.
            self.deaths.remove(&node);
        }
        let had_failed = self.has_failed();
        self.set(node, NodeState::Ready);
        let mut changes = Changes { ready: vec![node], ..Changes::default() };
        if had_failed && !self.has_failed() {
            self.resume(&mut changes);
        }
        Ok(changes)
    }

    /// Gives the workflow up for good, unless it has succeeded. The failure handler does not run.
    pub fn revoke(&mut self) -> Changes {
        let mut changes = Changes::default();
        if !self.revoked && self.left > 0 {
            let had_failed = self.has_failed();
            self.revoked = true;
            if !had_failed {
                self.give_up(&mut changes);
            }
        }
        changes
    }

    /// Whether what has ended this way lets its followers go on.
    fn lets_go_on(&self, state: NodeState) -> bool {
        match state {
            NodeState::Succeeded => true,
            _ => state.is_bad() && self.plan.when_dead() == WhenDead::Continue,
        }
    }

    fn has_failed(&self) -> bool {
        self.bad > 0 && self.plan.when_dead() == WhenDead::Fail
    }

    /// Whether an end was not told before, as far as the attempt tells.
    fn is_news(&self, node: u32, end: End) -> bool {
        let End::Dead { attempt } = end else { return true };
        self.deaths.get(&node).is_none_or(|last| attempt > *last)
    }

    /// Sets a state and counts it.
    fn set(&mut self, node: u32, state: NodeState) {
        let old = std::mem::replace(&mut self.states[node as usize], state);
        if self.plan.node(node).is_some_and(|node| is_counted(node.kind())) {
            self.bad = self.bad + usize::from(state.is_bad()) - usize::from(old.is_bad());
            self.open = self.open + usize::from(state.is_open()) - usize::from(old.is_open());
            self.left = self.left + usize::from(self.lets_go_on(old)) - usize::from(self.lets_go_on(state));
        }
    }

    /// Lets a node whose dependencies have all ended begin; joins end at once.
    fn begin(&mut self, node: u32, changes: &mut Changes) {
        let mut reached = vec![node];
        while let Some(index) = reached.pop() {
            let Some(node) = self.plan.node(index) else { continue };
            if node.kind() != NodeKind::Join {
                self.set(index, NodeState::Ready);
                changes.ready.push(index);
                continue;
            }
            self.set(index, NodeState::Succeeded);
            changes.joined.push(index);
            // The last comes off first, so that the order is that of the nodes.
            let followers = node.followers().iter().rev();
            reached.extend(followers.filter(|follower| self.miss_one_less(**follower)));
        }
    }

    /// Notes that one dependency of a node has ended; says whether that was the last, and the node may begin.
    fn miss_one_less(&mut self, node: u32) -> bool {
        let missing = &mut self.missing[node as usize];
        *missing -= 1;
        *missing == 0 && self.states[node as usize] == NodeState::Waiting
    }

    fn end(&mut self, node: u32, ended: NodeState, changes: &mut Changes) {
        let was_given_up = self.is_given_up();
        let had_failed = self.has_failed();
        self.set(node, ended);
        let is_step = self.plan.node(node).is_some_and(|node| is_counted(node.kind()));
        if is_step && ended.is_bad() {
            self.call_failure_handler(changes);
        }
        if self.lets_go_on(ended) {
            let followers = self.plan.node(node).map_or(&[][..], |node| node.followers());
            for follower in followers {
                if self.miss_one_less(*follower) && !self.is_given_up() {
                    self.begin(*follower, changes);
                }
            }
        }
        if !was_given_up && self.is_given_up() {
            self.give_up(changes);
        } else if had_failed && !self.has_failed() && !self.revoked {
            self.resume(changes);
        } else if ended == NodeState::Stopped && !self.is_given_up() {
            // It was mended before the order to stop it had been carried out.
            self.begin(node, changes);
        }
    }

    /// Whether nothing begins any more, as it stands.
    fn is_given_up(&self) -> bool {
        self.revoked || self.has_failed()
    }

    fn call_failure_handler(&mut self, changes: &mut Changes) {
        let handler = self.plan.on_failure().filter(|node| self.state(*node) == Some(NodeState::Waiting));
        if let Some(handler) = handler.filter(|_| !self.revoked) {
            self.begin(handler, changes);
        }
    }

    fn give_up(&mut self, changes: &mut Changes) {
        for node in self.plan.nodes() {
            let index = node.index();
            match self.states[index as usize] {
                NodeState::Ready if is_counted(node.kind()) => {
                    self.set(index, NodeState::Stopping);
                    changes.stop.push(index);
                }
                NodeState::Waiting if node.kind() != NodeKind::OnFailure => changes.given_up.push(index),
                _ => {}
            }
        }
    }

    /// Goes on where a failure had stopped everything.
    fn resume(&mut self, changes: &mut Changes) {
        for node in self.plan.nodes() {
            let index = node.index();
            match self.states[index as usize] {
                NodeState::Stopped => {
                    self.deaths.remove(&index);
                    self.begin(index, changes);
                }
                NodeState::Waiting if node.kind() == NodeKind::OnFailure => {}
                NodeState::Waiting if self.missing[index as usize] == 0 => self.begin(index, changes),
                NodeState::Waiting => changes.resumed.push(index),
                _ => {}
            }
        }
    }
}

/// Whether a node counts for where the workflow is: callbacks do not.
fn is_counted(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::Step | NodeKind::Join)
}
