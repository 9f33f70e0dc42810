//! How the model moves workflows on: steps that begin, steps that end, and what follows.

use celeriac_broker::{Advance, Advanced, Begun, REVIEW, ROOT};
use celeriac_core::canvas::{Counts, EndKind, MAX_INLINE_BYTES, Policy, StepEnd, StepLink};
use celeriac_core::{Record, State, WorkflowId};

use super::store::Store;
use super::workflows::KeptWorkflow;

/// How the job of a step has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Whoever held it has said so.
    Settled,
    /// It waited, and somebody has ended it.
    Unheld,
}

impl Store {
    /// Leaves an event for whoever looks after workflows; one that is there comes again.
    pub(crate) fn leave_event(&mut self, workflow: &WorkflowId, node: u32) {
        self.events.insert((workflow.clone(), node), self.now);
    }

    /// Enqueues the job of a step, if it may begin.
    pub(crate) fn begin_step(&mut self, job: &Record, again: bool) -> Begun {
        let Some(link) = job.options.step.as_deref() else { return Begun::Unknown };
        let Some(kept) = self.workflows.get_mut(&link.workflow) else { return Begun::Unknown };
        let kind = kept.node(link.at).end.as_ref().map(|end| end.kind);
        if kind.is_some_and(|kind| kind.lets_go_on() || !again) {
            return Begun::Before;
        }
        if kept.view.revoked_by.is_some() || (kept.view.halted && !again && link.policy != Policy::Callback) {
            return Begun::Halted;
        }
        if self.jobs.get(&job.id).is_some_and(|job| job.state() != State::Dead) {
            return Begun::Before;
        }
        self.retry_step(link);
        self.ends.remove(&job.id);
        let mut record = job.clone();
        record.enqueued_at = self.now;
        self.make_ready(record);
        if let Some(kept) = self.workflows.get_mut(&link.workflow) {
            kept.node(link.at).waiting = None;
        }
        Begun::Done
    }

    /// Forgets that a step has ended without success. Without any such step the workflow goes on, unless it was revoked.
    pub(crate) fn retry_step(&mut self, link: &StepLink) {
        let now = self.now;
        let Some(kept) = self.workflows.get_mut(&link.workflow) else { return };
        let has_failed = |end: &mut StepEnd| !end.kind.lets_go_on();
        if kept.view.revoked_by.is_some() || kept.node(link.at).end.take_if(has_failed).is_none() {
            return;
        }
        if link.policy == Policy::Callback {
            return;
        }
        kept.drop_failure(link.policy);
        if kept.view.failures == 0 && kept.view.halted {
            kept.view.halted = false;
            kept.reopen();
            self.events.insert((link.workflow.clone(), REVIEW), now);
            self.forget_end_of(&link.workflow);
        }
    }

    /// Moves a workflow on whose step has ended.
    pub(crate) fn end_step(&mut self, link: Option<&StepLink>, end: Option<StepEnd>, how: How) {
        let Some((link, end)) = link.zip(end) else { return };
        let Some(kept) = self.workflows.get_mut(&link.workflow) else { return };
        let value = end.value.clone();
        let Some(kind) = kept.note_end(link.at, end, link.policy) else { return };
        if !kind.lets_go_on() {
            kept.view.halted |= link.halts(kind);
            if link.policy != Policy::Callback {
                self.leave_event(&link.workflow, link.at);
            }
            return;
        }
        let halted = kept.view.halted;
        let left = halted || link.many || value.len() > MAX_INLINE_BYTES || how == How::Unheld;
        kept.node(link.at).pending = left;
        if halted {
            return;
        }
        if left {
            return self.leave_event(&link.workflow, link.at);
        }
        for next in &link.next {
            match self.workflows.get_mut(&link.workflow).and_then(|kept| kept.node(next.0).waiting.clone()) {
                Some(waiting) => drop(self.begin_step(&waiting.fill(&value), false)),
                None => self.leave_event(&link.workflow, next.0),
            }
        }
        self.count(&link.workflow, &link.counts);
        if link.last {
            self.leave_event(&link.workflow, link.at);
        }
    }

    /// Counts an end for nodes that wait for several.
    fn count(&mut self, workflow: &WorkflowId, counts: &[Counts]) {
        for Counts(node, needed) in counts {
            let Some(kept) = self.workflows.get_mut(workflow) else { return };
            let counted = &mut kept.node(*node).counted;
            *counted += 1;
            if *counted >= *needed {
                self.leave_event(workflow, *node);
            }
        }
    }

    pub(crate) fn advance(&mut self, workflow: &WorkflowId, advance: &Advance) -> Advanced {
        let Some(kept) = self.workflows.get_mut(workflow) else { return Advanced::Unknown };
        if kept.view.halted {
            return Advanced::Halted;
        }
        let advanced = kept.node(advance.node).advanced;
        if advanced != advance.from {
            return Advanced::Moved(advanced);
        }
        for job in &advance.begin {
            self.begin_step(job, false);
        }
        self.count(workflow, &advance.counts);
        if let Some(kept) = self.workflows.get_mut(workflow) {
            let node = kept.node(advance.node);
            node.advanced = advance.to;
            if advance.last && advance.node != ROOT {
                node.pending = false;
                node.end.get_or_insert_with(|| StepEnd::new(EndKind::Succeeded, ""));
            }
        }
        Advanced::Done
    }

    pub(crate) fn fail_step(&mut self, workflow: &WorkflowId, node: u32, end: &StepEnd, policy: Policy) {
        let Some(kept) = self.workflows.get_mut(workflow) else { return };
        let Some(kind) = kept.note_end(node, end.clone(), policy) else { return };
        if kind.lets_go_on() {
            kept.node(node).pending = true;
            if kept.view.halted {
                return;
            }
        } else {
            kept.view.halted |= policy == Policy::Fail;
            if policy == Policy::Callback {
                return;
            }
        }
        self.leave_event(workflow, node);
    }
}

impl KeptWorkflow {
    /// Keeps the end of a step, unless it has ended well before; answers its kind if it is kept.
    fn note_end(&mut self, at: u32, end: StepEnd, policy: Policy) -> Option<EndKind> {
        let old = self.node(at).end.as_ref().map(|end| end.kind);
        let kind = end.kind;
        match old {
            Some(old) if old.lets_go_on() => return None,
            Some(_) if kind.lets_go_on() => self.drop_failure(policy),
            None if !kind.lets_go_on() && policy != Policy::Callback => self.view.failures += 1,
            _ => {}
        }
        let node = self.node(at);
        (node.end, node.pending) = (Some(end), false);
        Some(kind)
    }

    fn drop_failure(&mut self, policy: Policy) {
        if policy != Policy::Callback {
            self.view.failures = self.view.failures.saturating_sub(1);
        }
    }
}
