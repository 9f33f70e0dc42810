//! The contract of a store.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use celeriac_core::{Incarnation, JobId, Outcome, QueueName, TaskName};

use crate::batch::{Batch, BatchAnswer};
use crate::delivery::{
    Condemned, Delivery, Exchanged, FetchRequest, Fetched, Note, Promoted, Pruned, Settled, Settlement,
};
use crate::error::BrokerError;
use crate::inspector::Inspector;
use crate::schedules::Schedules;
use crate::store_url::StoreUrl;
use crate::worker_session::{Holder, Pulse, Reconciled, Registration, Session};
use crate::workflows::Workflows;

/// A store of jobs, as producers, workers and services use it.
///
/// Rules for every implementation, checked by the conformance suite:
/// * A call is carried out as a whole or not at all. [`BrokerError::InDoubt`] is the only error after which it may have been.
/// * The store's clock decides due times, leases and expiries.
/// * A call is bounded: it touches at most [`crate::MAX_BATCH_JOBS`] jobs, however many wait.
/// * The invariant of places: a job with a record is in exactly one of ready, suspects, scheduled, running, dead, parked.
///
/// Not in the contract: order between queues, fairness, and how waiting is done.
#[async_trait]
pub trait Broker: Inspector + Schedules + Workflows + Debug + 'static {
    /// The store in words for messages: its address without password.
    fn describe(&self) -> String;

    /// A handle to the same store whose connections are driven by the calling runtime.
    ///
    /// The heartbeat needs it: a connection lives on the runtime that opened it, and the heartbeat must go on when
    /// the main runtime is blocked.
    async fn sibling(&self) -> Result<Arc<dyn Broker>, BrokerError>;

    /// Accepts a batch of new jobs, once, however often it is sent.
    ///
    /// It is applied if its number is one above the last of its lane; a batch with the last number again gets the answer
    /// of the first time. A crash after it leaves the jobs accepted.
    async fn enqueue(&self, batch: &Batch) -> Result<BatchAnswer, BrokerError>;

    /// Registers a worker under a new incarnation. After an error in doubt the caller makes another incarnation.
    /// A crash after it leaves a registration that expires by itself.
    async fn register(&self, worker: &Registration) -> Result<Session, BrokerError>;

    /// Opens a new generation after a connection was lost and says what the store thinks the worker holds.
    ///
    /// From then on commands of older generations do nothing, so one still under way on the old connection can neither take
    /// nor settle a job. Any session may ask, because the answer to an earlier call may have been lost.
    /// [`BrokerError::SessionLost`] if the registration is gone.
    async fn reconcile(&self, session: &Session) -> Result<Reconciled, BrokerError>;

    /// Renews registration, and the lease if the worker holds jobs; ends the lease if it holds none.
    /// Any session of the worker will do. [`BrokerError::SessionLost`] if the worker was condemned or its registration expired.
    async fn heartbeat(&self, session: &Session) -> Result<Pulse, BrokerError>;

    /// Ends a registration. Jobs that are still held are not touched: they are reclaimed when the lease has ended.
    /// [`BrokerError::SessionLost`] if a newer session exists.
    async fn deregister(&self, session: &Session) -> Result<(), BrokerError>;

    /// Hands out jobs: notes them as held under a new token and begins or renews the worker's lease.
    ///
    /// If `holds_nothing` and a suspect waits in one of the queues, it is the only job handed out. A crash after it leaves the
    /// jobs held until the lease ends; they are reclaimed then. [`BrokerError::SessionLost`] for any session but the newest.
    async fn fetch(&self, session: &Session, request: &FetchRequest) -> Result<Fetched, BrokerError>;

    /// Ends deliveries. Each settlement is applied only if the holder holds the job under that token; of several of one job the first
    /// counts.
    ///
    /// Terminal state, result and the removal of the record are one commit. A crash after it leaves the job settled; a
    /// repeat answers [`Settled::NotHeld`]. [`BrokerError::SessionLost`] for any session but the newest, and for a condemned
    /// holder that was not condemned.
    async fn settle(&self, holder: &Holder, settlements: &[Settlement]) -> Result<Vec<Settled>, BrokerError>;

    /// Keeps what handlers tell, for [`crate::NOTES_TTL`] after the last time. Each note counts only if the worker holds the job under that
    /// token. A crash after it leaves them kept; sent again, lines appear twice.
    async fn note(&self, session: &Session, notes: &[Note]) -> Result<(), BrokerError>;

    /// Waits until one of the queues may have work or a job with an earlier due time than any before was accepted, at most `timeout`.
    /// It may return early without any. Dropping it is safe.
    async fn wait_for_work(
        &self,
        session: &Session,
        queues: &[QueueName],
        timeout: Duration,
    ) -> Result<(), BrokerError>;

    /// Waits like [`Broker::wait_for_work`] and then fetches like [`Broker::fetch`], in one round trip where the store can.
    ///
    /// It fetches when its time is over, too. Dropping it is like dropping a fetch: what was handed out in that moment
    /// stays held, until a reconcile tells or the lease ends. So whoever wants to stop calls [`Broker::end_wait`] and
    /// awaits the answer.
    async fn fetch_when_ready(
        &self,
        session: &Session,
        request: &FetchRequest,
        timeout: Duration,
    ) -> Result<Fetched, BrokerError> {
        self.wait_for_work(session, &request.queues, timeout).await?;
        self.fetch(session, request).await
    }

    /// Waits until the worker may have orders that its next heartbeat answers, at most `timeout`. It may return early without any.
    /// Dropping it is safe, and leaves a connection of its own that hangs. What a worker that holds jobs calls between two heartbeats, on a handle of its own.
    async fn wait_for_orders(&self, session: &Session, timeout: Duration) -> Result<(), BrokerError>;

    /// Lets a wait of this session under way end early; without one, the next may end early.
    async fn end_wait(&self, session: &Session) -> Result<(), BrokerError>;

    /// Settles and fetches in one commit: both or neither. What is ready after the settlements may be handed out.
    ///
    /// Crash and errors: as for [`Broker::settle`] and [`Broker::fetch`].
    async fn exchange(
        &self,
        session: &Session,
        settlements: &[Settlement],
        request: &FetchRequest,
    ) -> Result<Exchanged, BrokerError>;

    /// Makes at most `max` due jobs ready, the earliest first.
    async fn promote_due(&self, max: usize) -> Result<Promoted, BrokerError>;

    /// Condemns at most `max` incarnations whose lease has ended: in one step each loses lease and registration and is
    /// noted as lost. A crash after it leaves them noted, for anyone to drain.
    async fn condemn_expired(&self, max: usize) -> Result<Condemned, BrokerError>;

    /// Condemns like [`Broker::condemn_expired`], and leaves a wake-up for ready work in these queues whose own has been lost with
    /// the worker that took it. What an idle worker calls now and then.
    async fn look(&self, queues: &[QueueName], max: usize) -> Result<Condemned, BrokerError>;

    /// The condemned incarnations that are not drained yet, at most `max`.
    async fn lost(&self, max: usize) -> Result<Vec<Incarnation>, BrokerError>;

    /// At most `max` jobs that an incarnation holds, with at most about 1 MiB in all.
    async fn held_by(&self, incarnation: &Incarnation, max: usize) -> Result<Vec<Delivery>, BrokerError>;

    /// Those of these jobs that an incarnation holds: as many as fit into about 1 MiB, one at least.
    async fn held_among(&self, incarnation: &Incarnation, ids: &[JobId]) -> Result<Vec<Delivery>, BrokerError>;

    /// Forgets a condemned incarnation if it holds nothing any more; says whether it did.
    async fn finish_drain(&self, incarnation: &Incarnation) -> Result<bool, BrokerError>;

    /// Makes at most `max` parked jobs of these tasks ready, and jobs that were kept aside because nobody could read them and that this
    /// version can read. Called by a worker that knows the tasks, when it registers.
    async fn release_parked(&self, tasks: &[TaskName], max: usize) -> Result<usize, BrokerError>;

    /// Removes at most `max` of each: dead jobs and ends whose time is over, stale registrations.
    async fn prune(&self, max: usize) -> Result<Pruned, BrokerError>;

    /// The end of a job; `None` if it has not ended, or its end is not kept (any more).
    async fn result(&self, id: &JobId) -> Result<Option<Outcome>, BrokerError>;

    /// Waits for the end of a job, for ever if need be. A lost connection is mended inside. Dropping it leaves nothing behind.
    async fn wait_result(&self, id: &JobId) -> Result<Outcome, BrokerError>;
}

/// Opens the store behind a URL.
///
/// # Errors
/// [`BrokerError::Invalid`] for a store this build has no code for, [`BrokerError::Unreachable`] if it does not answer.
pub async fn connect(url: &StoreUrl) -> Result<Arc<dyn Broker>, BrokerError> {
    match url.kind() {
        #[cfg(feature = "redis")]
        crate::StoreKind::Redis => {
            Ok(Arc::new(crate::redis::RedisBroker::connect(url, crate::StoreClock::Store).await?))
        }
        #[cfg(feature = "sqlite")]
        crate::StoreKind::Sqlite => {
            Ok(Arc::new(crate::sqlite::SqliteBroker::open(url, crate::StoreClock::Store).await?))
        }
        #[cfg(not(all(feature = "redis", feature = "sqlite")))]
        kind => Err(BrokerError::Invalid(format!("{url} needs the feature {kind:?}, which this build leaves out"))),
    }
}
