//! The seam's two traits over the model: lock, set the clock, ask the store, tell whoever waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use celeriac_broker::{
    Batch, BatchAnswer, Broker, BrokerError, Checkup, Condemned, Delivery, Exchanged, FetchRequest, Fetched, Finding,
    Holder, Inspector, JobFilter, JobPage, JobView, Note, PageMark, Promoted, Pruned, Pulse, Purged, QueueView,
    Reconciled, Registration, Retried, Revocation, Session, Settled, Settlement, StoreClock, WorkerView,
};
use celeriac_core::{Incarnation, JobId, Notes, Outcome, QueueName, TaskName, Timestamp};
use tokio::sync::Notify;

use super::store::Store;

/// A store in memory that does what the contract says and nothing else. Clones are handles to the same store.
#[derive(Debug, Clone)]
pub struct ModelBroker {
    clock: StoreClock,
    store: Arc<Mutex<Store>>,
    /// Told after every change.
    changed: Arc<Notify>,
    /// Ends the waits under way.
    ended: Arc<Notify>,
}

impl ModelBroker {
    /// An empty store on a manual clock.
    ///
    /// # Panics
    /// On the store's own clock: a model that reads the time cannot be compared with anything.
    #[must_use]
    pub fn new(clock: StoreClock) -> Self {
        assert!(clock.manual_now().is_some(), "the model needs a manual clock");
        Self { clock, store: Arc::default(), changed: Arc::default(), ended: Arc::default() }
    }

    /// Carries out one call.
    pub(super) fn call<T>(&self, call: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.now = self.clock.manual_now().unwrap_or_default();
        let answer = call(&mut store);
        self.changed.notify_waiters();
        answer
    }

    /// Asks without telling anybody.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&Store) -> T) -> T {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.now = self.clock.manual_now().unwrap_or_default();
        question(&store)
    }

    /// Waits until the store answers the question.
    pub(super) async fn until<T>(&self, question: impl Fn(&Store) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listens before it asks, so that a change in between is not missed.
            changed.as_mut().enable();
            if let Some(answer) = self.ask(&question) {
                return answer;
            }
            changed.await;
        }
    }
}

#[async_trait]
impl Broker for ModelBroker {
    fn describe(&self) -> String {
        "model".to_owned()
    }

    async fn sibling(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        Ok(Arc::new(self.clone()))
    }

    async fn enqueue(&self, batch: &Batch) -> Result<BatchAnswer, BrokerError> {
        self.call(|store| store.enqueue(batch))
    }

    async fn register(&self, worker: &Registration) -> Result<Session, BrokerError> {
        Ok(self.call(|store| store.register(worker)))
    }

    async fn reconcile(&self, session: &Session) -> Result<Reconciled, BrokerError> {
        self.call(|store| store.reconcile(session))
    }

    async fn heartbeat(&self, session: &Session) -> Result<Pulse, BrokerError> {
        self.call(|store| store.heartbeat(session))
    }

    async fn deregister(&self, session: &Session) -> Result<(), BrokerError> {
        self.call(|store| store.deregister(session))
    }

    async fn fetch(&self, session: &Session, request: &FetchRequest) -> Result<Fetched, BrokerError> {
        self.call(|store| store.fetch(session, request))
    }

    async fn settle(&self, holder: &Holder, settlements: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        self.call(|store| store.settle(holder, settlements))
    }

    async fn wait_for_work(
        &self,
        session: &Session,
        queues: &[QueueName],
        timeout: Duration,
    ) -> Result<(), BrokerError> {
        let has_work = |store: &Store| {
            let may_take_suspects = store.held(&session.incarnation).is_empty();
            let open = |queue: &&QueueName| !store.paused.contains(*queue);
            let has_work = |queue: &QueueName| {
                !store.ready(queue).is_empty() || (may_take_suspects && !store.suspects(queue).is_empty())
            };
            queues.iter().filter(open).any(has_work).then_some(())
        };
        drop(tokio::time::timeout(timeout, self.until(has_work)).await);
        Ok(())
    }

    async fn fetch_when_ready(
        &self,
        session: &Session,
        request: &FetchRequest,
        timeout: Duration,
    ) -> Result<Fetched, BrokerError> {
        tokio::select! {
            waited = self.wait_for_work(session, &request.queues, timeout) => waited?,
            () = self.ended.notified() => {}
        }
        self.fetch(session, request).await
    }

    async fn note(&self, session: &Session, notes: &[Note]) -> Result<(), BrokerError> {
        self.call(|store| notes.iter().for_each(|note| store.note(&session.incarnation, note)));
        Ok(())
    }

    async fn wait_for_orders(&self, session: &Session, timeout: Duration) -> Result<(), BrokerError> {
        let ordered = self.until(|store| store.has_orders(&session.incarnation).then_some(()));
        drop(tokio::time::timeout(timeout, ordered).await);
        Ok(())
    }

    async fn end_wait(&self, _session: &Session) -> Result<(), BrokerError> {
        self.ended.notify_waiters();
        Ok(())
    }

    async fn exchange(
        &self,
        session: &Session,
        settlements: &[Settlement],
        request: &FetchRequest,
    ) -> Result<Exchanged, BrokerError> {
        self.call(|store| store.exchange(session, settlements, request))
    }

    async fn promote_due(&self, max: usize) -> Result<Promoted, BrokerError> {
        Ok(self.call(|store| store.promote_due(max)))
    }

    async fn condemn_expired(&self, max: usize) -> Result<Condemned, BrokerError> {
        Ok(self.call(|store| store.condemn_expired(&[], max)))
    }

    async fn look(&self, queues: &[QueueName], max: usize) -> Result<Condemned, BrokerError> {
        Ok(self.call(|store| store.condemn_expired(queues, max)))
    }

    async fn lost(&self, max: usize) -> Result<Vec<Incarnation>, BrokerError> {
        Ok(self.ask(|store| store.lost.iter().take(max).cloned().collect()))
    }

    async fn held_by(&self, incarnation: &Incarnation, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        Ok(self.ask(|store| store.held_deliveries(incarnation, max, |_| true)))
    }

    async fn held_among(&self, incarnation: &Incarnation, ids: &[JobId]) -> Result<Vec<Delivery>, BrokerError> {
        Ok(self.ask(|store| store.held_deliveries(incarnation, ids.len(), |id| ids.contains(id))))
    }

    async fn finish_drain(&self, incarnation: &Incarnation) -> Result<bool, BrokerError> {
        Ok(self.call(|store| store.finish_drain(incarnation)))
    }

    async fn release_parked(&self, tasks: &[TaskName], max: usize) -> Result<usize, BrokerError> {
        Ok(self.call(|store| store.release_parked(tasks, max)))
    }

    async fn prune(&self, max: usize) -> Result<Pruned, BrokerError> {
        Ok(self.call(|store| store.prune(max)))
    }

    async fn result(&self, id: &JobId) -> Result<Option<Outcome>, BrokerError> {
        Ok(self.ask(|store| store.end(id).cloned()))
    }

    async fn wait_result(&self, id: &JobId) -> Result<Outcome, BrokerError> {
        Ok(self.until(|store| store.end(id).cloned()).await)
    }
}

#[async_trait]
impl Inspector for ModelBroker {
    async fn now(&self) -> Result<Timestamp, BrokerError> {
        Ok(self.ask(|store| store.now))
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobView>, BrokerError> {
        Ok(self.ask(|store| store.job(id)))
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobView>, BrokerError> {
        Ok(self.ask(|store| store.list(filter)))
    }

    async fn page(&self, filter: &JobFilter, mark: Option<&PageMark>) -> Result<JobPage, BrokerError> {
        self.ask(|store| store.page(filter, mark))
    }

    async fn notes(&self, id: &JobId) -> Result<Notes, BrokerError> {
        Ok(self.ask(|store| store.notes(id)))
    }

    async fn queues(&self) -> Result<Vec<QueueView>, BrokerError> {
        Ok(self.ask(Store::queue_views))
    }

    async fn workers(&self) -> Result<Vec<WorkerView>, BrokerError> {
        Ok(self.ask(Store::worker_views))
    }

    async fn retry_dead(&self, ids: &[JobId]) -> Result<Vec<Retried>, BrokerError> {
        Ok(self.call(|store| ids.iter().map(|id| store.retry_dead(id)).collect()))
    }

    async fn delete_dead(&self, ids: &[JobId]) -> Result<Vec<bool>, BrokerError> {
        Ok(self.call(|store| ids.iter().map(|id| store.delete_dead(id)).collect()))
    }

    async fn revoke(&self, ids: &[JobId], by: &str) -> Result<Vec<Revocation>, BrokerError> {
        Ok(self.call(|store| ids.iter().map(|id| store.revoke(id, by)).collect()))
    }

    async fn purge(&self, queue: &QueueName, max: usize, by: &str) -> Result<Purged, BrokerError> {
        Ok(self.call(|store| store.purge(queue, max, by)))
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        self.call(|store| store.set_paused(queue, paused));
        Ok(())
    }

    async fn checkup(&self) -> Result<Checkup, BrokerError> {
        Ok(Checkup::new(vec![Finding::good("durability", "a model in memory: nothing outlives this process")]))
    }
}
