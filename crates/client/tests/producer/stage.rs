//! A store whose enqueue calls go as a test directs: applied, lost, refused, late or held back.
//!
//! All else goes straight to the model behind it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use celeriac_broker::*;
use celeriac_core::{Incarnation, JobId, Notes, Outcome, QueueName, ScheduleName, TaskName, Timestamp};
use celeriac_testkit::ModelBroker;
use tokio::sync::watch;

/// How one enqueue call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// It is applied and answered.
    Apply,
    /// It is applied, and the answer is lost.
    LoseAnswer,
    /// It is lost on the way to the store; the caller cannot know.
    LoseCommand,
    /// It seems lost, and reaches the store only after this many further calls.
    Late(usize),
    /// The store refuses it.
    Refuse(Refusal),
    /// No connection could be made.
    Unreachable,
    /// No answer ever comes, and nothing is applied.
    Hang,
}

/// The store.
#[derive(Debug)]
pub(crate) struct Stage {
    model: Mutex<ModelBroker>,
    acts: Mutex<VecDeque<Act>>,
    /// What happens when no act is left.
    otherwise: Mutex<Act>,
    calls: Mutex<Vec<Batch>>,
    arrived: watch::Sender<usize>,
    open: watch::Sender<bool>,
    /// Copies under way, each with the number of calls after which it arrives.
    late: Mutex<Vec<(usize, Batch)>>,
}

impl Stage {
    pub(crate) fn new(model: ModelBroker) -> Arc<Self> {
        Arc::new(Self {
            model: Mutex::new(model),
            acts: Mutex::default(),
            otherwise: Mutex::new(Act::Apply),
            calls: Mutex::default(),
            arrived: watch::Sender::new(0),
            open: watch::Sender::new(true),
            late: Mutex::default(),
        })
    }

    /// Directs the next calls, one act each.
    pub(crate) fn direct(&self, acts: impl IntoIterator<Item = Act>) {
        self.acts.lock().unwrap().extend(acts);
    }

    /// Directs all calls after those.
    pub(crate) fn otherwise(&self, act: Act) {
        *self.otherwise.lock().unwrap() = act;
    }

    /// Holds every call back until [`Stage::release`].
    pub(crate) fn hold(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn release(&self) {
        self.open.send_replace(true);
    }

    /// Waits until `count` enqueue calls have been made.
    pub(crate) async fn calls_made(&self, count: usize) {
        self.arrived.subscribe().wait_for(|arrived| *arrived >= count).await.unwrap();
    }

    /// The batches that were sent, in order.
    pub(crate) fn calls(&self) -> Vec<Batch> {
        self.calls.lock().unwrap().clone()
    }

    /// The store behind the stage.
    pub(crate) fn model(&self) -> ModelBroker {
        self.model.lock().unwrap().clone()
    }

    /// Puts another store behind the stage: what happens when a backup is played back.
    pub(crate) fn replace_model(&self, model: ModelBroker) {
        *self.model.lock().unwrap() = model;
    }

    /// Lets the copies arrive whose time has come; after `usize::MAX` calls, all of them.
    pub(crate) async fn deliver_late(&self, calls: usize) {
        let due: Vec<_> = {
            let mut late = self.late.lock().unwrap();
            late.iter_mut().for_each(|(left, _)| *left = left.saturating_sub(calls));
            late.extract_if(.., |(left, _)| *left == 0).collect()
        };
        for (_, batch) in due {
            self.model().enqueue(&batch).await.unwrap();
        }
    }

    fn in_doubt(&self) -> BrokerError {
        BrokerError::InDoubt { store: self.describe(), source: "the line went dead".into() }
    }
}

#[async_trait]
impl Broker for Stage {
    fn describe(&self) -> String {
        "stage".to_owned()
    }

    async fn sibling(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        self.model().sibling().await
    }

    async fn enqueue(&self, batch: &Batch) -> Result<BatchAnswer, BrokerError> {
        self.calls.lock().unwrap().push(batch.clone());
        self.arrived.send_modify(|count| *count += 1);
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        let act = self.acts.lock().unwrap().pop_front();
        let act = act.unwrap_or_else(|| *self.otherwise.lock().unwrap());
        let answer = match act {
            Act::Apply => self.model().enqueue(batch).await,
            Act::LoseAnswer => self.model().enqueue(batch).await.and(Err(self.in_doubt())),
            Act::LoseCommand | Act::Late(_) => Err(self.in_doubt()),
            Act::Refuse(reason) => {
                Err(BrokerError::Refused { store: self.describe(), reason, detail: "no".to_owned() })
            }
            Act::Unreachable => {
                Err(BrokerError::Unreachable { store: self.describe(), source: "nobody listens".into() })
            }
            Act::Hang => std::future::pending().await,
        };
        self.deliver_late(1).await;
        if let Act::Late(calls) = act {
            self.late.lock().unwrap().push((calls, batch.clone()));
        }
        answer
    }

    async fn register(&self, worker: &Registration) -> Result<Session, BrokerError> {
        self.model().register(worker).await
    }

    async fn reconcile(&self, session: &Session) -> Result<Reconciled, BrokerError> {
        self.model().reconcile(session).await
    }

    async fn heartbeat(&self, session: &Session) -> Result<Pulse, BrokerError> {
        self.model().heartbeat(session).await
    }

    async fn deregister(&self, session: &Session) -> Result<(), BrokerError> {
        self.model().deregister(session).await
    }

    async fn fetch(&self, session: &Session, request: &FetchRequest) -> Result<Fetched, BrokerError> {
        self.model().fetch(session, request).await
    }

    async fn settle(&self, holder: &Holder, settlements: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        self.model().settle(holder, settlements).await
    }

    async fn wait_for_work(
        &self,
        session: &Session,
        queues: &[QueueName],
        timeout: Duration,
    ) -> Result<(), BrokerError> {
        self.model().wait_for_work(session, queues, timeout).await
    }

    async fn end_wait(&self, session: &Session) -> Result<(), BrokerError> {
        self.model().end_wait(session).await
    }

    async fn exchange(
        &self,
        session: &Session,
        settlements: &[Settlement],
        request: &FetchRequest,
    ) -> Result<Exchanged, BrokerError> {
        self.model().exchange(session, settlements, request).await
    }

    async fn look(&self, queues: &[QueueName], max: usize) -> Result<Condemned, BrokerError> {
        self.model().look(queues, max).await
    }

    async fn promote_due(&self, max: usize) -> Result<Promoted, BrokerError> {
        self.model().promote_due(max).await
    }

    async fn condemn_expired(&self, max: usize) -> Result<Condemned, BrokerError> {
        self.model().condemn_expired(max).await
    }

    async fn lost(&self, max: usize) -> Result<Vec<Incarnation>, BrokerError> {
        self.model().lost(max).await
    }

    async fn held_by(&self, incarnation: &Incarnation, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        self.model().held_by(incarnation, max).await
    }

    async fn held_among(&self, incarnation: &Incarnation, ids: &[JobId]) -> Result<Vec<Delivery>, BrokerError> {
        self.model().held_among(incarnation, ids).await
    }

    async fn finish_drain(&self, incarnation: &Incarnation) -> Result<bool, BrokerError> {
        self.model().finish_drain(incarnation).await
    }

    async fn release_parked(&self, tasks: &[TaskName], max: usize) -> Result<usize, BrokerError> {
        self.model().release_parked(tasks, max).await
    }

    async fn note(&self, session: &Session, notes: &[Note]) -> Result<(), BrokerError> {
        self.model().note(session, notes).await
    }

    async fn wait_for_orders(&self, session: &Session, timeout: Duration) -> Result<(), BrokerError> {
        self.model().wait_for_orders(session, timeout).await
    }

    async fn prune(&self, max: usize) -> Result<Pruned, BrokerError> {
        self.model().prune(max).await
    }

    async fn result(&self, id: &JobId) -> Result<Option<Outcome>, BrokerError> {
        self.model().result(id).await
    }

    async fn wait_result(&self, id: &JobId) -> Result<Outcome, BrokerError> {
        self.model().wait_result(id).await
    }
}

#[async_trait]
impl Inspector for Stage {
    async fn now(&self) -> Result<Timestamp, BrokerError> {
        self.model().now().await
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobView>, BrokerError> {
        self.model().job(id).await
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobView>, BrokerError> {
        self.model().jobs(filter).await
    }

    async fn page(&self, filter: &JobFilter, mark: Option<&PageMark>) -> Result<JobPage, BrokerError> {
        self.model().page(filter, mark).await
    }

    async fn notes(&self, id: &JobId) -> Result<Notes, BrokerError> {
        self.model().notes(id).await
    }

    async fn queues(&self) -> Result<Vec<QueueView>, BrokerError> {
        self.model().queues().await
    }

    async fn workers(&self) -> Result<Vec<WorkerView>, BrokerError> {
        self.model().workers().await
    }

    async fn retry_dead(&self, ids: &[JobId]) -> Result<Vec<Retried>, BrokerError> {
        self.model().retry_dead(ids).await
    }

    async fn delete_dead(&self, ids: &[JobId]) -> Result<Vec<bool>, BrokerError> {
        self.model().delete_dead(ids).await
    }

    async fn revoke(&self, ids: &[JobId], by: &str) -> Result<Vec<Revocation>, BrokerError> {
        self.model().revoke(ids, by).await
    }

    async fn purge(&self, queue: &QueueName, max: usize, by: &str) -> Result<Purged, BrokerError> {
        self.model().purge(queue, max, by).await
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        self.model().set_paused(queue, paused).await
    }

    async fn checkup(&self) -> Result<Checkup, BrokerError> {
        self.model().checkup().await
    }
}

#[async_trait]
impl Schedules for Stage {
    async fn put_schedules(&self, entries: &[ScheduleEntry]) -> Result<Vec<Put>, BrokerError> {
        self.model().put_schedules(entries).await
    }

    async fn remove_schedules(&self, names: &[ScheduleName], owner: Option<&Owner>) -> Result<Vec<bool>, BrokerError> {
        self.model().remove_schedules(names, owner).await
    }

    async fn pause_schedule(&self, name: &ScheduleName, paused: bool) -> Result<bool, BrokerError> {
        self.model().pause_schedule(name, paused).await
    }

    async fn schedules(&self, after: Option<&ScheduleName>, max: usize) -> Result<Vec<ScheduleView>, BrokerError> {
        self.model().schedules(after, max).await
    }

    async fn schedule(&self, name: &ScheduleName) -> Result<Option<ScheduleView>, BrokerError> {
        self.model().schedule(name).await
    }

    async fn due_schedules(&self, max: usize) -> Result<DueSchedules, BrokerError> {
        self.model().due_schedules(max).await
    }

    async fn fire(&self, firings: &[Firing]) -> Result<Vec<Fired>, BrokerError> {
        self.model().fire(firings).await
    }

    async fn wait_for_schedules(&self, mark: &ScheduleMark, timeout: Duration) -> Result<(), BrokerError> {
        self.model().wait_for_schedules(mark, timeout).await
    }
}

impl celeriac_broker::Workflows for Stage {}
