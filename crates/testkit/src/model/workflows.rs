//! Workflows of the model: what it keeps of each, and the calls about whole workflows.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use celeriac_broker::{
    Advance, Advanced, Begun, BrokerError, KeptEnd, MAX_BATCH_BYTES, MAX_STEPS, NewWorkflow, REVIEW, ROOT, Submitted,
    UNSTARTED_TTL, WorkflowEvent, WorkflowMark, WorkflowRevoked, WorkflowView, Workflows,
};
use celeriac_core::canvas::{Policy, StepEnd, WaitingStep};
use celeriac_core::{JobId, Outcome, Record, State, Timestamp, WorkflowId};

use super::broker::ModelBroker;
use super::places::{Job, Place};
use super::store::Store;

/// A workflow.
#[derive(Debug)]
pub(crate) struct KeptWorkflow {
    pub(crate) view: WorkflowView,
    token: String,
    spec: String,
    /// Until when it is kept, once it has ended or while it has not begun.
    pub(crate) until: Option<Timestamp>,
    pub(crate) nodes: BTreeMap<u32, KeptNode>,
}

/// A node of which there is something to say.
#[derive(Debug, Default)]
pub(crate) struct KeptNode {
    pub(crate) end: Option<StepEnd>,
    pub(crate) pending: bool,
    pub(crate) advanced: u32,
    /// How many of those it waits for have ended.
    pub(crate) counted: u32,
    pub(crate) waiting: Option<WaitingStep>,
}

impl KeptWorkflow {
    pub(crate) fn node(&mut self, node: u32) -> &mut KeptNode {
        self.nodes.entry(node).or_default()
    }

    /// Keeps what is not there yet.
    fn put_waiting(&mut self, steps: &[WaitingStep]) {
        for step in steps {
            if let Some(link) = &step.record.options.step {
                self.node(link.at).waiting.get_or_insert_with(|| step.clone());
            }
        }
    }

    /// Takes back that it has ended.
    pub(crate) fn reopen(&mut self) {
        (self.view.ended_at, self.until) = (None, None);
    }
}

#[async_trait]
impl Workflows for ModelBroker {
    async fn put_workflow(&self, workflow: &NewWorkflow) -> Result<Submitted, BrokerError> {
        check_steps(workflow.waiting.len() + workflow.roots.len())?;
        check_jobs(&workflow.id, workflow.waiting.iter().map(|step| &step.record).chain(&workflow.roots))?;
        if !workflow.begins && !workflow.roots.is_empty() {
            return Err(BrokerError::Invalid("a workflow that does not begin has no jobs".to_owned()));
        }
        Ok(self.call(|store| store.put_workflow(workflow)))
    }

    async fn put_waiting(&self, workflow: &WorkflowId, steps: &[WaitingStep]) -> Result<(), BrokerError> {
        check_steps(steps.len())?;
        check_jobs(workflow, steps.iter().map(|step| &step.record))?;
        self.call(|store| {
            if let Some(kept) = store.workflows.get_mut(workflow).filter(|kept| !kept.view.begun) {
                kept.put_waiting(steps);
            }
        });
        Ok(())
    }

    async fn start_workflow(&self, workflow: &WorkflowId) -> Result<bool, BrokerError> {
        Ok(self.call(|store| {
            let Some(kept) = store.workflows.get_mut(workflow) else { return false };
            if !kept.view.begun {
                kept.view.begun = true;
                kept.until.take_if(|_| kept.view.ended_at.is_none());
                store.leave_event(workflow, ROOT);
            }
            true
        }))
    }

    async fn begin_steps(
        &self,
        workflow: &WorkflowId,
        jobs: &[Record],
        again: bool,
    ) -> Result<Vec<Begun>, BrokerError> {
        check_steps(jobs.len())?;
        check_jobs(workflow, jobs)?;
        Ok(self.call(|store| jobs.iter().map(|job| store.begin_step(job, again)).collect()))
    }

    async fn advance(&self, workflow: &WorkflowId, advance: &Advance) -> Result<Advanced, BrokerError> {
        check_steps(advance.begin.len() + advance.counts.len())?;
        check_jobs(workflow, &advance.begin)?;
        Ok(self.call(|store| store.advance(workflow, advance)))
    }

    async fn fail_step(
        &self,
        workflow: &WorkflowId,
        node: u32,
        end: &StepEnd,
        policy: Policy,
    ) -> Result<(), BrokerError> {
        self.call(|store| store.fail_step(workflow, node, end, policy));
        Ok(())
    }

    async fn take_events(&self, max: usize, lease: Duration) -> Result<Vec<WorkflowEvent>, BrokerError> {
        Ok(self.call(|store| store.take_events(max.min(MAX_STEPS), lease)))
    }

    async fn finish_event(&self, event: &WorkflowEvent) -> Result<(), BrokerError> {
        let key = (event.workflow.clone(), event.node);
        self.call(|store| {
            if store.events.get(&key) == Some(&event.until) {
                store.events.remove(&key);
            }
        });
        Ok(())
    }

    async fn step_ends(
        &self,
        workflow: &WorkflowId,
        nodes: &[u32],
        values: bool,
    ) -> Result<Vec<Option<KeptEnd>>, BrokerError> {
        check_steps(nodes.len())?;
        Ok(self.ask(|store| store.step_ends(workflow, nodes, values)))
    }

    async fn counted(&self, workflow: &WorkflowId, node: u32) -> Result<u32, BrokerError> {
        let counted = |store: &Store| Some(store.workflows.get(workflow)?.nodes.get(&node)?.counted);
        Ok(self.ask(counted).unwrap_or_default())
    }

    async fn workflow(&self, id: &WorkflowId) -> Result<Option<WorkflowView>, BrokerError> {
        Ok(self.ask(|store| store.workflows.get(id).map(|kept| kept.view.clone())))
    }

    async fn workflow_spec(&self, id: &WorkflowId) -> Result<Option<String>, BrokerError> {
        Ok(self.ask(|store| store.workflows.get(id).map(|kept| kept.spec.clone())))
    }

    async fn workflows(&self, before: Option<&WorkflowMark>, max: usize) -> Result<Vec<WorkflowView>, BrokerError> {
        Ok(self.ask(|store| {
            let mut views: Vec<_> = store.workflows.values().map(|kept| kept.view.clone()).collect();
            views.retain(|view| before.is_none_or(|mark| (view.made_at, &view.id) < (mark.made_at, &mark.id)));
            views.sort_by(|one, other| (other.made_at, &other.id).cmp(&(one.made_at, &one.id)));
            views.truncate(max.min(MAX_STEPS));
            views
        }))
    }

    async fn finish_workflow(
        &self,
        workflow: &WorkflowId,
        outcome: &Outcome,
        keep: Duration,
        retention: Duration,
    ) -> Result<bool, BrokerError> {
        Ok(self.call(|store| {
            let now = store.now;
            let halted = outcome.state != State::Succeeded;
            let may_end = |kept: &&mut KeptWorkflow| kept.view.ended_at.is_none() && kept.view.halted == halted;
            let Some(kept) = store.workflows.get_mut(workflow).filter(may_end) else { return false };
            (kept.view.ended_at, kept.until) = (Some(now), Some(now.after(retention)));
            store.keep_end(outcome.clone(), keep);
            true
        }))
    }

    async fn revoke_workflow(&self, workflow: &WorkflowId, by: &str) -> Result<WorkflowRevoked, BrokerError> {
        Ok(self.call(|store| {
            let Some(kept) = store.workflows.get_mut(workflow) else { return WorkflowRevoked::Unknown };
            let has_succeeded = kept.view.ended_at.is_some() && !kept.view.halted;
            if has_succeeded || kept.view.revoked_by.is_some() {
                return WorkflowRevoked::TooLate;
            }
            (kept.view.revoked_by, kept.view.halted) = (Some(by.to_owned()), true);
            kept.reopen();
            store.forget_end_of(workflow);
            store.leave_event(workflow, REVIEW);
            WorkflowRevoked::Done
        }))
    }

    async fn withdraw(&self, workflow: &WorkflowId, ids: &[JobId]) -> Result<Option<usize>, BrokerError> {
        check_steps(ids.len())?;
        Ok(self.call(|store| {
            let halted = store.workflows.get(workflow).is_some_and(|kept| kept.view.halted);
            halted.then(|| ids.iter().filter(|id| store.withdraw(workflow, id)).count())
        }))
    }
}

impl Store {
    fn put_workflow(&mut self, new: &NewWorkflow) -> Submitted {
        if let Some(kept) = self.workflows.get(&new.id) {
            return if kept.token == new.token { Submitted::Done } else { Submitted::InUse };
        }
        self.forget_end_of(&new.id);
        let mut view = WorkflowView::new(new.id.clone(), new.version, new.nodes, self.now);
        view.begun = new.begins;
        let (token, spec) = (new.token.clone(), new.spec.clone());
        let until = (!new.begins).then(|| self.now.after(UNSTARTED_TTL));
        let mut kept = KeptWorkflow { view, token, spec, until, nodes: BTreeMap::new() };
        kept.put_waiting(&new.waiting);
        self.workflows.insert(new.id.clone(), kept);
        for root in &new.roots {
            self.begin_step(root, false);
        }
        Submitted::Done
    }

    /// Forgets the end that is kept under the id of a workflow.
    pub(crate) fn forget_end_of(&mut self, workflow: &WorkflowId) {
        self.ends.retain(|id, _| id.as_str() != workflow.as_str());
    }

    fn take_events(&mut self, max: usize, lease: Duration) -> Vec<WorkflowEvent> {
        let due = self.events.iter().filter(|(_, due)| **due <= self.now);
        let mut due: Vec<_> = due.map(|((workflow, node), due)| (*due, workflow.clone(), *node)).collect();
        due.sort();
        due.truncate(max);
        let until = self.now.after(lease);
        let mut taken = Vec::new();
        for (_, workflow, node) in due {
            self.events.remove(&(workflow.clone(), node));
            if self.workflows.contains_key(&workflow) {
                self.events.insert((workflow.clone(), node), until);
                taken.push(WorkflowEvent { workflow, node, until });
            }
        }
        taken
    }

    fn step_ends(&self, workflow: &WorkflowId, nodes: &[u32], values: bool) -> Vec<Option<KeptEnd>> {
        let mut bytes = 0;
        let mut ends = Vec::new();
        for node in nodes {
            let kept = self.workflows.get(workflow).and_then(|kept| kept.nodes.get(node));
            let end = kept.and_then(|kept| {
                let mut end = kept.end.clone()?;
                end.value.truncate(if values { usize::MAX } else { 0 });
                Some(KeptEnd { end, pending: kept.pending.then_some(kept.advanced) })
            });
            bytes += end.as_ref().map_or(0, |kept| kept.end.value.len());
            if bytes > MAX_BATCH_BYTES && !ends.is_empty() {
                break;
            }
            ends.push(end);
        }
        ends
    }

    /// Takes a job that has not begun out of its queue; answers whether there was one.
    fn withdraw(&mut self, workflow: &WorkflowId, id: &JobId) -> bool {
        let waits = |job: &&Job| !matches!(job.place, Place::Running { .. } | Place::Dead { .. });
        let link = self.jobs.get(id).filter(waits).and_then(|job| job.record.options.step.as_ref());
        let withdrawn = link.is_some_and(|link| link.workflow == *workflow && link.policy != Policy::Callback);
        withdrawn && self.jobs.remove(id).is_some()
    }

    /// Removes workflows whose time is over; answers how many.
    pub(crate) fn prune_workflows(&mut self, max: usize) -> usize {
        let is_over = |kept: &&KeptWorkflow| kept.until.is_some_and(|until| until <= self.now);
        let over = self.workflows.values().filter(is_over).map(|kept| kept.view.id.clone());
        let over: Vec<_> = over.take(max).collect();
        self.workflows.retain(|id, _| !over.contains(id));
        over.len()
    }

    /// Whether somebody can take an event.
    pub(crate) fn has_events(&self) -> bool {
        self.events.values().any(|due| *due <= self.now)
    }
}

fn check_steps(count: usize) -> Result<(), BrokerError> {
    if count > MAX_STEPS {
        return Err(BrokerError::Invalid(format!("{count} steps in one call")));
    }
    Ok(())
}

fn check_jobs<'r>(workflow: &WorkflowId, jobs: impl IntoIterator<Item = &'r Record>) -> Result<(), BrokerError> {
    let is_step = |job: &Record| job.options.step.as_ref().is_some_and(|link| link.workflow == *workflow);
    match jobs.into_iter().find(|job| !is_step(job) || job.options.unique.is_some()) {
        Some(job) => Err(BrokerError::Invalid(format!("job {} is no step of the workflow {workflow}", job.id))),
        None => Ok(()),
    }
}
