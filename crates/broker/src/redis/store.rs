//! [`RedisBroker`]: what it is made of, how it connects, and which file does what.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use celeriac_core::{Incarnation, JobId, Notes, Outcome, QueueName, TaskName, Timestamp};
use redis::Value;

use super::keys::Keys;
use super::link::{CONNECT_TIMEOUT, Link, Target};
use super::pool::ReadPool;
use super::results::Results;
use super::wait::Waiting;
use crate::batch::{Batch, BatchAnswer};
use crate::broker::Broker;
use crate::checkup::Checkup;
use crate::clock::StoreClock;
use crate::control::{Purged, Retried, Revocation};
use crate::delivery::{
    Condemned, Delivery, Exchanged, FetchRequest, Fetched, Note, Promoted, Pruned, Settled, Settlement,
};
use crate::error::BrokerError;
use crate::inspector::Inspector;
use crate::store_url::{StoreKind, StoreUrl};
use crate::views::{JobFilter, JobPage, JobView, PageMark, QueueView, WorkerView};
use crate::worker_session::{Holder, Pulse, Reconciled, Registration, Session};

/// The oldest server whose commands the scripts use.
pub(super) const OLDEST: (u64, u64) = (6, 2);
/// The only layout of keys there is.
const FORMAT: &str = "1";

/// The store in a namespace of a Redis server.
///
/// Commands share one connection; waiting for work and waiting for results have their own; people's questions use a pool.
#[derive(Debug)]
pub struct RedisBroker {
    pub(super) url: StoreUrl,
    pub(super) clock: StoreClock,
    pub(super) keys: Arc<Keys>,
    pub(super) commands: Arc<Link>,
    pub(super) pool: ReadPool,
    pub(super) waiting: Waiting,
    pub(super) orders: Link,
    /// The connection on which a beat waits for changes of schedules.
    pub(super) changes: Link,
    results: Results,
}

impl RedisBroker {
    /// Connects to the server behind a URL and checks that it can be used.
    ///
    /// # Errors
    /// [`BrokerError::Unreachable`] after about 2 seconds if nobody answers, [`BrokerError::Refused`] if the server does not
    /// let this user in, [`BrokerError::Invalid`] for a server that is too old or a URL that cannot work.
    pub async fn connect(url: &StoreUrl, clock: StoreClock) -> Result<Self, BrokerError> {
        let broker = Self::open(url, &clock)?;
        broker.check().await?;
        Ok(broker)
    }

    fn open(url: &StoreUrl, clock: &StoreClock) -> Result<Self, BrokerError> {
        if url.kind() != StoreKind::Redis {
            return Err(BrokerError::Invalid(format!("{url} is no address of a Redis server")));
        }
        let target = Target::new(url)?;
        let keys = Arc::new(Keys::new(url.namespace()));
        let commands = Arc::new(Link::new(&target));
        Ok(Self {
            url: url.clone(),
            clock: clock.clone(),
            waiting: Waiting::new(&target, &keys, &commands),
            results: Results::new(&target, &keys, &commands, clock),
            pool: ReadPool::new(&target),
            orders: Link::new(&target),
            changes: Link::new(&target),
            keys,
            commands,
        })
    }

    async fn check(&self) -> Result<(), BrokerError> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.commands.open()).await {
            Ok(opened) => opened?,
            Err(late) => return Err(BrokerError::Unreachable { store: self.url.to_string(), source: late.into() }),
        }
        self.commands.command(&redis::cmd("PING")).await?;
        // A user who may not ask for the version is let in: the first script will tell.
        if let Ok(Value::BulkString(info)) = self.commands.command(redis::cmd("INFO").arg("server")).await
            && let Some((version, found)) = server_version(&String::from_utf8_lossy(&info))
            && found < OLDEST
        {
            let (major, minor) = OLDEST;
            return Err(BrokerError::Invalid(format!(
                "{} is Redis {version}; celeriac needs {major}.{minor} or later",
                self.url
            )));
        }
        match self.commands.command(redis::cmd("HGET").arg(self.keys.meta()).arg("format")).await? {
            Value::BulkString(format) if format != FORMAT.as_bytes() => Err(BrokerError::Corrupt {
                what: "the namespace",
                detail: format!(
                    "its layout has format {}; this version knows {FORMAT}",
                    String::from_utf8_lossy(&format)
                ),
            }),
            _ => Ok(()),
        }
    }

    /// The `override` of a script: the milliseconds of a manual clock, or nothing.
    pub(super) fn now_override(&self) -> String {
        self.clock.manual_now().map_or_else(String::new, |now| now.as_millis().to_string())
    }

    /// How many calls wait for results now; for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn waits_for_results(&self) -> usize {
        self.results.waits()
    }
}

/// The version as text and as numbers, from the answer to `INFO server`.
pub(super) fn server_version(info: &str) -> Option<(&str, (u64, u64))> {
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"))?.trim();
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((version, (parts.next()??, parts.next()??)))
}

#[async_trait]
impl Broker for RedisBroker {
    fn describe(&self) -> String {
        self.url.to_string()
    }

    async fn sibling(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        // What a server must be was checked when this one was connected, and every further answer costs time that a heartbeat may not have.
        let sibling = Self::open(&self.url, &self.clock)?;
        sibling.commands.open().await?;
        Ok(Arc::new(sibling))
    }

    async fn enqueue(&self, batch: &Batch) -> Result<BatchAnswer, BrokerError> {
        self.enqueue_batch(batch).await
    }

    async fn register(&self, worker: &Registration) -> Result<Session, BrokerError> {
        self.register_worker(worker).await
    }

    async fn reconcile(&self, session: &Session) -> Result<Reconciled, BrokerError> {
        self.open_generation(session).await
    }

    async fn heartbeat(&self, session: &Session) -> Result<Pulse, BrokerError> {
        self.renew(session).await
    }

    async fn deregister(&self, session: &Session) -> Result<(), BrokerError> {
        self.waiting.forget(&session.incarnation);
        self.end_registration(session).await
    }

    async fn fetch(&self, session: &Session, request: &FetchRequest) -> Result<Fetched, BrokerError> {
        self.fetch_jobs(session, request).await
    }

    async fn settle(&self, holder: &Holder, settlements: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        self.settle_jobs(holder, settlements).await
    }

    async fn wait_for_work(
        &self,
        session: &Session,
        queues: &[QueueName],
        timeout: Duration,
    ) -> Result<(), BrokerError> {
        self.waiting.wait(&session.incarnation, queues, timeout).await
    }

    async fn fetch_when_ready(
        &self,
        session: &Session,
        request: &FetchRequest,
        timeout: Duration,
    ) -> Result<Fetched, BrokerError> {
        self.wait_and_fetch(session, request, timeout).await
    }

    async fn note(&self, session: &Session, notes: &[Note]) -> Result<(), BrokerError> {
        self.keep_notes(session, notes).await
    }

    async fn wait_for_orders(&self, session: &Session, timeout: Duration) -> Result<(), BrokerError> {
        self.wait_for_token(session, timeout).await
    }

    async fn end_wait(&self, session: &Session) -> Result<(), BrokerError> {
        self.waiting.nudge(&session.incarnation).await
    }

    async fn exchange(
        &self,
        session: &Session,
        settlements: &[Settlement],
        request: &FetchRequest,
    ) -> Result<Exchanged, BrokerError> {
        self.exchange_jobs(session, settlements, request).await
    }

    async fn promote_due(&self, max: usize) -> Result<Promoted, BrokerError> {
        self.promote(max).await
    }

    async fn condemn_expired(&self, max: usize) -> Result<Condemned, BrokerError> {
        self.condemn(&[], max).await
    }

    async fn look(&self, queues: &[QueueName], max: usize) -> Result<Condemned, BrokerError> {
        self.condemn(queues, max).await
    }

    async fn lost(&self, max: usize) -> Result<Vec<Incarnation>, BrokerError> {
        self.lost_incarnations(max).await
    }

    async fn held_by(&self, incarnation: &Incarnation, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        self.held_jobs(incarnation, max, &[]).await
    }

    async fn held_among(&self, incarnation: &Incarnation, ids: &[JobId]) -> Result<Vec<Delivery>, BrokerError> {
        if ids.is_empty() { Ok(Vec::new()) } else { self.held_jobs(incarnation, ids.len(), ids).await }
    }

    async fn finish_drain(&self, incarnation: &Incarnation) -> Result<bool, BrokerError> {
        self.forget_lost(incarnation).await
    }

    async fn release_parked(&self, tasks: &[TaskName], max: usize) -> Result<usize, BrokerError> {
        self.release(tasks, max).await
    }

    async fn prune(&self, max: usize) -> Result<Pruned, BrokerError> {
        self.clean_up(max).await
    }

    async fn result(&self, id: &JobId) -> Result<Option<Outcome>, BrokerError> {
        self.read_result(id).await
    }

    async fn wait_result(&self, id: &JobId) -> Result<Outcome, BrokerError> {
        self.results.wait(id).await
    }
}

#[async_trait]
impl Inspector for RedisBroker {
    async fn now(&self) -> Result<Timestamp, BrokerError> {
        self.store_time().await
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobView>, BrokerError> {
        self.find_job(id).await
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobView>, BrokerError> {
        self.list_jobs(filter).await
    }

    async fn page(&self, filter: &JobFilter, mark: Option<&PageMark>) -> Result<JobPage, BrokerError> {
        self.page_of(filter, mark).await
    }

    async fn notes(&self, id: &JobId) -> Result<Notes, BrokerError> {
        self.read_notes(id).await
    }

    async fn queues(&self) -> Result<Vec<QueueView>, BrokerError> {
        self.list_queues().await
    }

    async fn workers(&self) -> Result<Vec<WorkerView>, BrokerError> {
        self.list_workers().await
    }

    async fn retry_dead(&self, ids: &[JobId]) -> Result<Vec<Retried>, BrokerError> {
        self.retry_jobs(ids).await
    }

    async fn delete_dead(&self, ids: &[JobId]) -> Result<Vec<bool>, BrokerError> {
        self.delete_jobs(ids).await
    }

    async fn revoke(&self, ids: &[JobId], by: &str) -> Result<Vec<Revocation>, BrokerError> {
        self.revoke_jobs(ids, by).await
    }

    async fn purge(&self, queue: &QueueName, max: usize, by: &str) -> Result<Purged, BrokerError> {
        self.purge_queue(queue, max, by).await
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        self.pause(queue, paused).await
    }

    async fn checkup(&self) -> Result<Checkup, BrokerError> {
        self.check_up().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_info() {
        let info = "# Server\r\nredis_version:6.0.16\r\nos:Linux\r\n";
        assert_eq!(server_version(info), Some(("6.0.16", (6, 0))));
        assert_eq!(server_version("nothing"), None);
    }

    #[tokio::test]
    async fn tls_is_refused_with_what_to_do_unless_it_is_built_in() {
        let url = "rediss://me:secret@127.0.0.1:1".parse().unwrap();
        let error = RedisBroker::connect(&url, StoreClock::Store).await.unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(matches!(error, BrokerError::Invalid(_)), !cfg!(feature = "tls"), "{error}");
    }
}
