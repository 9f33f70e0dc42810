//! A store that fails as planned: for tests of what uses a store.
//!
//! It stands in front of a real one. What a network can do to one call, it can do to the n-th call of an operation: nothing
//! is sent, the store refuses, the command is lost on its way, or it is carried out and the answer is lost.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use celeriac_core::{Incarnation, JobId, Notes, Outcome, QueueName, ScheduleName, TaskName, Timestamp};

use crate::{
    Advance, Advanced, Batch, BatchAnswer, Begun, Broker, BrokerError, Checkup, Condemned, Delivery, DueSchedules,
    Exchanged, FetchRequest, Fetched, Fired, Firing, Holder, Inspector, JobFilter, JobPage, JobView, KeptEnd,
    NewWorkflow, Note, Owner, PageMark, Promoted, Pruned, Pulse, Purged, Put, QueueView, Reconciled, Refusal,
    Registration, Retried, Revocation, ScheduleEntry, ScheduleMark, ScheduleView, Schedules, Session, Settled,
    Settlement, Submitted, WorkerView, WorkflowEvent, WorkflowMark, WorkflowRevoked, WorkflowView, Workflows,
};
use celeriac_core::canvas::{Policy, StepEnd, WaitingStep};
use celeriac_core::{Record, WorkflowId};

/// A method of [`Broker`], [`Inspector`], [`Schedules`] or [`Workflows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the method of that name")]
pub enum Operation {
    Sibling,
    Enqueue,
    Register,
    Reconcile,
    Heartbeat,
    Deregister,
    Fetch,
    Settle,
    WaitForWork,
    FetchWhenReady,
    Note,
    WaitForOrders,
    EndWait,
    Exchange,
    PromoteDue,
    CondemnExpired,
    Look,
    Lost,
    HeldBy,
    HeldAmong,
    FinishDrain,
    ReleaseParked,
    Prune,
    Result,
    WaitResult,
    Now,
    Job,
    Jobs,
    Page,
    Notes,
    Queues,
    Workers,
    RetryDead,
    DeleteDead,
    Revoke,
    Purge,
    SetPaused,
    Checkup,
    PutSchedules,
    RemoveSchedules,
    PauseSchedule,
    Schedules,
    Schedule,
    DueSchedules,
    Fire,
    WaitForSchedules,
    PutWorkflow,
    PutWaiting,
    StartWorkflow,
    BeginSteps,
    Advance,
    FailStep,
    TakeEvents,
    FinishEvent,
    StepEnds,
    /// [`Workflows::counted`](crate::Workflows::counted).
    Counted,
    Workflow,
    WorkflowSpec,
    Workflows,
    FinishWorkflow,
    RevokeWorkflow,
    Withdraw,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing is sent: [`BrokerError::Unreachable`].
    Unreachable,
    /// The store answers that it did not carry it out: [`BrokerError::Refused`].
    Refused(Refusal),
    /// It is not carried out, and the caller cannot know: [`BrokerError::InDoubt`].
    CommandLost,
    /// It is carried out, and the caller cannot know: [`BrokerError::InDoubt`].
    AnswerLost,
    /// It is not carried out: [`BrokerError::SessionLost`].
    SessionLost,
}

#[derive(Debug, Default)]
struct Plan {
    calls: BTreeMap<Operation, u64>,
    faults: BTreeMap<(Operation, u64), Fault>,
    outage: Option<Fault>,
}

/// A store whose calls fail as planned. Siblings share the plan and the counts.
#[derive(Debug)]
pub struct FaultyBroker {
    broker: Arc<dyn Broker>,
    plan: Arc<Mutex<Plan>>,
}

impl FaultyBroker {
    /// Stands in front of a store and passes every call, until something is planned.
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, plan: Arc::default() }
    }

    /// Plans that the next call of `operation` fails.
    pub fn fail_next(&self, operation: Operation, fault: Fault) {
        self.fail_nth(operation, 1, fault);
    }

    /// Plans that the `nth` call of `operation` from now on fails, 1 being the next.
    pub fn fail_nth(&self, operation: Operation, nth: u64, fault: Fault) {
        let mut plan = self.plan();
        let number = plan.calls.get(&operation).copied().unwrap_or_default() + nth;
        plan.faults.insert((operation, number), fault);
    }

    /// Lets every call fail, until [`FaultyBroker::heal`].
    pub fn fail_all(&self, fault: Fault) {
        self.plan().outage = Some(fault);
    }

    /// Forgets everything that was planned.
    pub fn heal(&self) {
        let mut plan = self.plan();
        plan.outage = None;
        plan.faults.clear();
    }

    /// How often `operation` was called so far, failed calls included.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> u64 {
        self.plan().calls.get(&operation).copied().unwrap_or_default()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and says what shall happen to it.
    fn next_fault(&self, operation: Operation) -> Option<Fault> {
        let mut plan = self.plan();
        let calls = plan.calls.entry(operation).or_default();
        *calls += 1;
        let number = *calls;
        plan.faults.remove(&(operation, number)).or(plan.outage)
    }

    async fn pass<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, BrokerError>>,
    ) -> Result<T, BrokerError> {
        let store = || self.broker.describe();
        let source = || format!("planned for {operation:?}").into();
        match self.next_fault(operation) {
            None => call.await,
            Some(Fault::Unreachable) => Err(BrokerError::Unreachable { store: store(), source: source() }),
            Some(Fault::Refused(reason)) => {
                Err(BrokerError::Refused { store: store(), reason, detail: format!("planned for {operation:?}") })
            }
            Some(Fault::CommandLost) => Err(BrokerError::InDoubt { store: store(), source: source() }),
            Some(Fault::AnswerLost) => {
                call.await?;
                Err(BrokerError::InDoubt { store: store(), source: source() })
            }
            Some(Fault::SessionLost) => Err(BrokerError::SessionLost),
        }
    }
}

#[async_trait]
impl Broker for FaultyBroker {
    fn describe(&self) -> String {
        self.broker.describe()
    }

    async fn sibling(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        let broker = self.pass(Operation::Sibling, self.broker.sibling()).await?;
        Ok(Arc::new(Self { broker, plan: Arc::clone(&self.plan) }))
    }

    async fn enqueue(&self, batch: &Batch) -> Result<BatchAnswer, BrokerError> {
        self.pass(Operation::Enqueue, self.broker.enqueue(batch)).await
    }

    async fn register(&self, worker: &Registration) -> Result<Session, BrokerError> {
        self.pass(Operation::Register, self.broker.register(worker)).await
    }

    async fn reconcile(&self, session: &Session) -> Result<Reconciled, BrokerError> {
        self.pass(Operation::Reconcile, self.broker.reconcile(session)).await
    }

    async fn heartbeat(&self, session: &Session) -> Result<Pulse, BrokerError> {
        self.pass(Operation::Heartbeat, self.broker.heartbeat(session)).await
    }

    async fn deregister(&self, session: &Session) -> Result<(), BrokerError> {
        self.pass(Operation::Deregister, self.broker.deregister(session)).await
    }

    async fn fetch(&self, session: &Session, request: &FetchRequest) -> Result<Fetched, BrokerError> {
        self.pass(Operation::Fetch, self.broker.fetch(session, request)).await
    }

    async fn settle(&self, holder: &Holder, settlements: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        self.pass(Operation::Settle, self.broker.settle(holder, settlements)).await
    }

    async fn wait_for_work(
        &self,
        session: &Session,
        queues: &[QueueName],
        timeout: Duration,
    ) -> Result<(), BrokerError> {
        self.pass(Operation::WaitForWork, self.broker.wait_for_work(session, queues, timeout)).await
    }

    async fn fetch_when_ready(
        &self,
        session: &Session,
        request: &FetchRequest,
        timeout: Duration,
    ) -> Result<Fetched, BrokerError> {
        self.pass(Operation::FetchWhenReady, self.broker.fetch_when_ready(session, request, timeout)).await
    }

    async fn note(&self, session: &Session, notes: &[Note]) -> Result<(), BrokerError> {
        self.pass(Operation::Note, self.broker.note(session, notes)).await
    }

    async fn wait_for_orders(&self, session: &Session, timeout: Duration) -> Result<(), BrokerError> {
        self.pass(Operation::WaitForOrders, self.broker.wait_for_orders(session, timeout)).await
    }

    async fn end_wait(&self, session: &Session) -> Result<(), BrokerError> {
        self.pass(Operation::EndWait, self.broker.end_wait(session)).await
    }

    async fn exchange(
        &self,
        session: &Session,
        settlements: &[Settlement],
        request: &FetchRequest,
    ) -> Result<Exchanged, BrokerError> {
        self.pass(Operation::Exchange, self.broker.exchange(session, settlements, request)).await
    }

    async fn promote_due(&self, max: usize) -> Result<Promoted, BrokerError> {
        self.pass(Operation::PromoteDue, self.broker.promote_due(max)).await
    }

    async fn condemn_expired(&self, max: usize) -> Result<Condemned, BrokerError> {
        self.pass(Operation::CondemnExpired, self.broker.condemn_expired(max)).await
    }

    async fn look(&self, queues: &[QueueName], max: usize) -> Result<Condemned, BrokerError> {
        self.pass(Operation::Look, self.broker.look(queues, max)).await
    }

    async fn lost(&self, max: usize) -> Result<Vec<Incarnation>, BrokerError> {
        self.pass(Operation::Lost, self.broker.lost(max)).await
    }

    async fn held_by(&self, incarnation: &Incarnation, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        self.pass(Operation::HeldBy, self.broker.held_by(incarnation, max)).await
    }

    async fn held_among(&self, incarnation: &Incarnation, ids: &[JobId]) -> Result<Vec<Delivery>, BrokerError> {
        self.pass(Operation::HeldAmong, self.broker.held_among(incarnation, ids)).await
    }

    async fn finish_drain(&self, incarnation: &Incarnation) -> Result<bool, BrokerError> {
        self.pass(Operation::FinishDrain, self.broker.finish_drain(incarnation)).await
    }

    async fn release_parked(&self, tasks: &[TaskName], max: usize) -> Result<usize, BrokerError> {
        self.pass(Operation::ReleaseParked, self.broker.release_parked(tasks, max)).await
    }

    async fn prune(&self, max: usize) -> Result<Pruned, BrokerError> {
        self.pass(Operation::Prune, self.broker.prune(max)).await
    }

    async fn result(&self, id: &JobId) -> Result<Option<Outcome>, BrokerError> {
        self.pass(Operation::Result, self.broker.result(id)).await
    }

    async fn wait_result(&self, id: &JobId) -> Result<Outcome, BrokerError> {
        self.pass(Operation::WaitResult, self.broker.wait_result(id)).await
    }
}

#[async_trait]
impl Inspector for FaultyBroker {
    async fn now(&self) -> Result<Timestamp, BrokerError> {
        self.pass(Operation::Now, self.broker.now()).await
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobView>, BrokerError> {
        self.pass(Operation::Job, self.broker.job(id)).await
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobView>, BrokerError> {
        self.pass(Operation::Jobs, self.broker.jobs(filter)).await
    }

    async fn page(&self, filter: &JobFilter, mark: Option<&PageMark>) -> Result<JobPage, BrokerError> {
        self.pass(Operation::Page, self.broker.page(filter, mark)).await
    }

    async fn notes(&self, id: &JobId) -> Result<Notes, BrokerError> {
        self.pass(Operation::Notes, self.broker.notes(id)).await
    }

    async fn queues(&self) -> Result<Vec<QueueView>, BrokerError> {
        self.pass(Operation::Queues, self.broker.queues()).await
    }

    async fn workers(&self) -> Result<Vec<WorkerView>, BrokerError> {
        self.pass(Operation::Workers, self.broker.workers()).await
    }

    async fn retry_dead(&self, ids: &[JobId]) -> Result<Vec<Retried>, BrokerError> {
        self.pass(Operation::RetryDead, self.broker.retry_dead(ids)).await
    }

    async fn delete_dead(&self, ids: &[JobId]) -> Result<Vec<bool>, BrokerError> {
        self.pass(Operation::DeleteDead, self.broker.delete_dead(ids)).await
    }

    async fn revoke(&self, ids: &[JobId], by: &str) -> Result<Vec<Revocation>, BrokerError> {
        self.pass(Operation::Revoke, self.broker.revoke(ids, by)).await
    }

    async fn purge(&self, queue: &QueueName, max: usize, by: &str) -> Result<Purged, BrokerError> {
        self.pass(Operation::Purge, self.broker.purge(queue, max, by)).await
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        self.pass(Operation::SetPaused, self.broker.set_paused(queue, paused)).await
    }

    async fn checkup(&self) -> Result<Checkup, BrokerError> {
        self.pass(Operation::Checkup, self.broker.checkup()).await
    }
}

#[async_trait]
impl Schedules for FaultyBroker {
    async fn put_schedules(&self, entries: &[ScheduleEntry]) -> Result<Vec<Put>, BrokerError> {
        self.pass(Operation::PutSchedules, self.broker.put_schedules(entries)).await
    }

    async fn remove_schedules(&self, names: &[ScheduleName], owner: Option<&Owner>) -> Result<Vec<bool>, BrokerError> {
        self.pass(Operation::RemoveSchedules, self.broker.remove_schedules(names, owner)).await
    }

    async fn pause_schedule(&self, name: &ScheduleName, paused: bool) -> Result<bool, BrokerError> {
        self.pass(Operation::PauseSchedule, self.broker.pause_schedule(name, paused)).await
    }

    async fn schedules(&self, after: Option<&ScheduleName>, max: usize) -> Result<Vec<ScheduleView>, BrokerError> {
        self.pass(Operation::Schedules, self.broker.schedules(after, max)).await
    }

    async fn schedule(&self, name: &ScheduleName) -> Result<Option<ScheduleView>, BrokerError> {
        self.pass(Operation::Schedule, self.broker.schedule(name)).await
    }

    async fn due_schedules(&self, max: usize) -> Result<DueSchedules, BrokerError> {
        self.pass(Operation::DueSchedules, self.broker.due_schedules(max)).await
    }

    async fn fire(&self, firings: &[Firing]) -> Result<Vec<Fired>, BrokerError> {
        self.pass(Operation::Fire, self.broker.fire(firings)).await
    }

    async fn wait_for_schedules(&self, mark: &ScheduleMark, timeout: Duration) -> Result<(), BrokerError> {
        self.pass(Operation::WaitForSchedules, self.broker.wait_for_schedules(mark, timeout)).await
    }
}

#[async_trait]
impl Workflows for FaultyBroker {
    async fn put_workflow(&self, workflow: &NewWorkflow) -> Result<Submitted, BrokerError> {
        self.pass(Operation::PutWorkflow, self.broker.put_workflow(workflow)).await
    }

    async fn put_waiting(&self, workflow: &WorkflowId, steps: &[WaitingStep]) -> Result<(), BrokerError> {
        self.pass(Operation::PutWaiting, self.broker.put_waiting(workflow, steps)).await
    }

    async fn start_workflow(&self, workflow: &WorkflowId) -> Result<bool, BrokerError> {
        self.pass(Operation::StartWorkflow, self.broker.start_workflow(workflow)).await
    }

    async fn begin_steps(
        &self,
        workflow: &WorkflowId,
        jobs: &[Record],
        again: bool,
    ) -> Result<Vec<Begun>, BrokerError> {
        self.pass(Operation::BeginSteps, self.broker.begin_steps(workflow, jobs, again)).await
    }

    async fn advance(&self, workflow: &WorkflowId, advance: &Advance) -> Result<Advanced, BrokerError> {
        self.pass(Operation::Advance, self.broker.advance(workflow, advance)).await
    }

    async fn fail_step(
        &self,
        workflow: &WorkflowId,
        node: u32,
        end: &StepEnd,
        policy: Policy,
    ) -> Result<(), BrokerError> {
        self.pass(Operation::FailStep, self.broker.fail_step(workflow, node, end, policy)).await
    }

    async fn take_events(&self, max: usize, lease: Duration) -> Result<Vec<WorkflowEvent>, BrokerError> {
        self.pass(Operation::TakeEvents, self.broker.take_events(max, lease)).await
    }

    async fn finish_event(&self, event: &WorkflowEvent) -> Result<(), BrokerError> {
        self.pass(Operation::FinishEvent, self.broker.finish_event(event)).await
    }

    async fn step_ends(
        &self,
        workflow: &WorkflowId,
        nodes: &[u32],
        values: bool,
    ) -> Result<Vec<Option<KeptEnd>>, BrokerError> {
        self.pass(Operation::StepEnds, self.broker.step_ends(workflow, nodes, values)).await
    }

    async fn counted(&self, workflow: &WorkflowId, node: u32) -> Result<u32, BrokerError> {
        self.pass(Operation::Counted, self.broker.counted(workflow, node)).await
    }

    async fn workflow(&self, id: &WorkflowId) -> Result<Option<WorkflowView>, BrokerError> {
        self.pass(Operation::Workflow, self.broker.workflow(id)).await
    }

    async fn workflow_spec(&self, id: &WorkflowId) -> Result<Option<String>, BrokerError> {
        self.pass(Operation::WorkflowSpec, self.broker.workflow_spec(id)).await
    }

    async fn workflows(&self, before: Option<&WorkflowMark>, max: usize) -> Result<Vec<WorkflowView>, BrokerError> {
        self.pass(Operation::Workflows, self.broker.workflows(before, max)).await
    }

    async fn finish_workflow(
        &self,
        workflow: &WorkflowId,
        outcome: &Outcome,
        keep: Duration,
        retention: Duration,
    ) -> Result<bool, BrokerError> {
        self.pass(Operation::FinishWorkflow, self.broker.finish_workflow(workflow, outcome, keep, retention)).await
    }

    async fn revoke_workflow(&self, workflow: &WorkflowId, by: &str) -> Result<WorkflowRevoked, BrokerError> {
        self.pass(Operation::RevokeWorkflow, self.broker.revoke_workflow(workflow, by)).await
    }

    async fn withdraw(&self, workflow: &WorkflowId, ids: &[JobId]) -> Result<Option<usize>, BrokerError> {
        self.pass(Operation::Withdraw, self.broker.withdraw(workflow, ids)).await
    }
}
