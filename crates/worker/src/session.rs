//! Keeps the worker's registration alive across lost connections.
//!
//! Two things may have happened when a command failed: the connection was lost, then a *reconcile* opens a new generation and
//! compares what the store lists with what runs; or the registration itself is gone, then everything that runs is lost and the
//! worker registers under a new incarnation. If the store turns out to be another one, nobody else has what runs, and it goes on. Both happen under the gate, one at a time. An answer that was asked for in an older session
//! counts no more: what it brings was handed back, or is lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex as StdMutex, MutexGuard as StdMutexGuard, PoisonError};
use std::time::{Duration, Instant};

use celeriac_broker::{BrokerError, Delivery, Holder, Reconciled, Registration, Session, Settlement};
use celeriac_core::{Ending, Fence, Incarnation, JobId, Lease, Rules, decide};
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio_util::sync::CancellationToken;

use crate::post::{Post, pause};
use crate::reclaimer::end_revoked;

/// The most jobs handed back in one call.
const HAND_BACK_BATCH: usize = 500;
/// The first and the longest wait between two attempts to reach the store. The longest is far below a lease, so that a worker is
/// back in time after a restart of the store.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_secs(1);
/// How long what runs may go on after the registration has ended, until it is known whether somebody else may have it.
pub(crate) const SOON: Duration = Duration::from_secs(2);

/// The current session, and who may change it.
pub(crate) struct SessionKeeper {
    gate: Mutex<()>,
    current: watch::Sender<Option<Session>>,
    /// Held while jobs are taken in and while they are compared with the store's list. True when everything of the current
    /// session is lost and there is no new one yet.
    over: StdMutex<bool>,
    connected_at: StdMutex<Instant>,
    renewed_at: StdMutex<Instant>,
    leased: AtomicBool,
}

impl SessionKeeper {
    pub(crate) fn new() -> Self {
        Self {
            gate: Mutex::new(()),
            current: watch::Sender::new(None),
            over: StdMutex::new(false),
            connected_at: StdMutex::new(Instant::now()),
            renewed_at: StdMutex::new(Instant::now()),
            leased: AtomicBool::new(false),
        }
    }

    /// Held by whoever mends the session.
    async fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().await
    }

    /// Does something with the answer to a call of this session, unless the session is not current any more. Between the look and
    /// the deed no comparison begins, so each job is either known to it or has been handed back by it.
    pub(crate) fn while_current<T>(&self, used: &Session, deed: impl FnOnce() -> T) -> Option<T> {
        let over = self.lock_over();
        let current = !*over && self.current.borrow().as_ref() == Some(used);
        current.then(deed)
    }

    fn lock_over(&self) -> StdMutexGuard<'_, bool> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session to use now; `None` until the worker is registered.
    pub(crate) fn current(&self) -> Option<Session> {
        self.current.borrow().clone()
    }

    /// Follows the session, from any runtime.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Session>> {
        self.current.subscribe()
    }

    /// When this process last connected, or last had to wait long for an answer.
    ///
    /// Until a lease length after it nobody is condemned: others may have been cut off by the same outage and deserve the time to
    /// renew first.
    pub(crate) fn connected_at(&self) -> Instant {
        *self.connected_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a new connection or a slow answer.
    pub(crate) fn doubt_the_past(&self) {
        *self.connected_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// When the last command was sent that renewed the lease and was answered: a fetch or a heartbeat.
    pub(crate) fn renewed_at(&self) -> Instant {
        *self.renewed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a command sent at this instant has renewed the lease.
    pub(crate) fn renewed(&self, sent: Instant) {
        *self.renewed_at.lock().unwrap_or_else(PoisonError::into_inner) = sent;
    }

    /// Whether the store may have a lease of this worker, which a heartbeat must renew or end.
    pub(crate) fn has_lease(&self) -> bool {
        self.leased.load(Ordering::SeqCst)
    }

    /// A fetch took jobs, or a heartbeat found some.
    pub(crate) fn lease_began(&self) {
        self.leased.store(true, Ordering::SeqCst);
    }

    /// A heartbeat is about to renew or end the lease.
    pub(crate) fn lease_ended(&self) {
        self.leased.store(false, Ordering::SeqCst);
    }

    fn set(&self, session: Session, over: &mut bool) {
        *over = false;
        self.doubt_the_past();
        // What an unanswered fetch may have begun.
        self.lease_began();
        self.current.send_replace(Some(session));
    }
}

impl Post {
    /// Registers the worker, waiting for the store as long as it takes. Returns early only on an error that waiting cannot mend,
    /// or when the worker was told to stop.
    pub(crate) async fn register(&self, backoff: &mut Backoff) -> Result<(), BrokerError> {
        loop {
            // A new incarnation for each attempt: one whose answer was lost may still arrive and must not be confused with this one.
            let error = match self.broker.register(&self.registration()?).await {
                Ok(session) => {
                    self.enter(session);
                    return Ok(());
                }
                Err(error) if !error.is_transient() => return Err(error),
                Err(error) => error,
            };
            if !self.wait_for_store(&error, backoff).await {
                return Err(error);
            }
        }
    }

    /// Waits a little and mends the session after `used` failed with `error`; does nothing more if somebody else has mended it.
    ///
    /// # Errors
    /// What waiting cannot mend.
    pub(crate) async fn recover(
        &self,
        used: &Session,
        error: BrokerError,
        backoff: &mut Backoff,
    ) -> Result<(), BrokerError> {
        let lost = matches!(error, BrokerError::SessionLost);
        if !lost && (!error.is_transient() || !self.wait_for_store(&error, backoff).await) {
            return Err(error);
        }
        let _gate = tokio::select! {
            biased;
            gate = self.session.gate() => gate,
            // Whoever mends the session may need long while the store is away.
            () = backoff.stop.cancelled() => return Err(error),
        };
        if self.session.current().as_ref() != Some(used) {
            return Ok(());
        }
        self.mend(backoff).await
    }

    /// Compares what the store lists with what runs, once.
    pub(crate) async fn compare(&self) -> Result<(), BrokerError> {
        let _gate = self.session.gate().await;
        self.reconcile().await
    }

    /// Compares what the store lists with what runs, when a heartbeat asks for it, until the worker ends.
    pub(crate) async fn mend_when_asked(&self) {
        loop {
            tokio::select! {
                () = self.signals.end.cancelled() => return,
                () = self.signals.attention.notified() => {}
            }
            let _gate = self.session.gate().await;
            if let Err(error) = self.mend(&mut Backoff::until(&self.signals.end)).await {
                tracing::warn!(%error, "the session could not be mended yet");
            }
        }
    }

    /// Reconciles until the session works. The caller holds the gate.
    async fn mend(&self, backoff: &mut Backoff) -> Result<(), BrokerError> {
        loop {
            match self.reconcile().await {
                Ok(()) => return Ok(()),
                Err(BrokerError::SessionLost) => return self.start_over(backoff).await,
                Err(error) if !error.is_transient() || !self.wait_for_store(&error, backoff).await => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
    }

    /// Begins a session under a new incarnation.
    fn enter(&self, session: Session) {
        self.progress.answered();
        let store = self.broker.describe();
        if self.is_in_another_store(&session) {
            let running = self.held.len();
            tracing::error!(
                store,
                running,
                "the store was reset: it was emptied, or is another one; its jobs are gone, and the ends of running ones will be refused"
            );
        }
        tracing::info!(worker = %session.incarnation, store, "registered");
        self.session.set(session, &mut self.session.lock_over());
    }

    fn is_in_another_store(&self, session: &Session) -> bool {
        self.session.current().is_some_and(|before| before.store != session.store)
    }

    /// The worker begins a new life. Everything that runs is lost: others may have it. Only if the store is another one nobody has, and
    /// what runs goes on.
    async fn start_over(&self, backoff: &mut Backoff) -> Result<(), BrokerError> {
        if self.signals.end.is_cancelled() {
            return Err(BrokerError::SessionLost);
        }
        *self.session.lock_over() = true;
        // The store has just answered, so it is likely to do so again soon. Without a word from it, jobs are given up.
        let first = tokio::time::timeout(SOON, self.broker.register(&self.registration()?)).await;
        if let Ok(Ok(session)) = first {
            if !self.is_in_another_store(&session) {
                self.give_up();
            }
            self.enter(session);
            return Ok(());
        }
        self.give_up();
        self.register(backoff).await
    }

    fn give_up(&self) {
        let lost = self.held.keep_only(&[]);
        (0..lost).for_each(|_| self.counters.lease_lost());
        tracing::warn!(
            jobs = lost,
            "LeaseLost: the registration has ended; running jobs are given up and the worker registers anew"
        );
    }

    /// Opens a new generation, compares, and hands back what this process does not know.
    async fn reconcile(&self) -> Result<(), BrokerError> {
        loop {
            let (session, unknown) = self.open_generation().await?;
            match self.hand_back(&session, unknown).await {
                // The registration stood a moment ago: an earlier reconcile came late, on a connection that is dead, and opened a generation
                // that nobody uses.
                Err(BrokerError::SessionLost) => {}
                handed_back => return handed_back,
            }
        }
    }

    async fn open_generation(&self) -> Result<(Session, HashSet<(JobId, Fence)>), BrokerError> {
        let Some(used) = self.session.current() else { return Err(BrokerError::SessionLost) };
        let Reconciled { session, held } = self.broker.reconcile(&used).await?;
        // A job whose settlement was carried out and whose answer was lost is among those that are gone: its settler finds that
        // it is not held any more, and that is all it needs to know.
        let (gone, unknown) = {
            let mut over = self.session.lock_over();
            let gone = self.held.keep_only(&held);
            self.session.set(session.clone(), &mut over);
            let unknown: HashSet<_> = held.into_iter().filter(|(id, fence)| !self.held.has(id, *fence)).collect();
            (gone, unknown)
        };
        self.progress.answered();
        tracing::info!(running = self.held.len(), gone, "connected again");
        Ok((session, unknown))
    }

    /// Hands back what the store lists and this process does not know: the answer that brought it was lost.
    async fn hand_back(&self, session: &Session, unknown: HashSet<(JobId, Fence)>) -> Result<(), BrokerError> {
        if unknown.is_empty() {
            return Ok(());
        }
        let rules = Rules::new(Arc::clone(&self.settings.name), self.clock.now());
        let holder = Holder::Session(session.clone());
        let (mut left, mut handed_back): (Vec<(JobId, Fence)>, _) = (unknown.into_iter().collect(), 0);
        while !left.is_empty() {
            let ids: Vec<JobId> = left.iter().take(HAND_BACK_BATCH).map(|(id, _)| id.clone()).collect();
            let deliveries = self.broker.held_among(&session.incarnation, &ids).await?;
            if deliveries.is_empty() {
                // What has no record that can be read is no job; the next of them may be.
                left.drain(..ids.len());
            }
            let mut batch = Vec::with_capacity(deliveries.len());
            for Delivery { record, lease: Lease { fence, .. } } in deliveries {
                let Some(at) = left.iter().position(|(id, _)| *id == record.id) else { continue };
                if left.swap_remove(at).1 == fence {
                    let id = record.id.clone();
                    batch.push(Settlement { id, fence, transition: decide(record, Ending::HandedBack, &rules) });
                }
            }
            let settled = self.broker.settle(&holder, &batch).await?;
            end_revoked(self, &holder, &batch, &settled).await?;
            handed_back += batch.len();
        }
        tracing::info!(jobs = handed_back, "handed back jobs whose hand-out had been lost");
        Ok(())
    }

    /// Says that the store is away and waits; `false` if whoever waits was told to stop meanwhile.
    async fn wait_for_store(&self, error: &BrokerError, backoff: &mut Backoff) -> bool {
        self.progress.waits_for_store(error);
        if backoff.is_worth_a_word() {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, store = %self.broker.describe(), "waiting for the store");
        }
        let wait = backoff.next();
        pause(wait, &backoff.stop).await
    }

    fn registration(&self) -> Result<Registration, BrokerError> {
        let incarnation =
            Incarnation::generate(&self.settings.name).map_err(|error| BrokerError::Invalid(error.to_string()))?;
        let tasks = self.tasks.known_names().filter_map(|name| name.parse().ok()).collect();
        Ok(Registration {
            incarnation,
            host: crate::builder::host_name(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queues: self.settings.queues.clone(),
            tasks,
            lease: self.settings.lease,
        })
    }
}

/// Waits that grow, with a word at the first and then about every ten seconds.
#[derive(Debug)]
pub(crate) struct Backoff {
    wait: Duration,
    spoke: Option<Instant>,
    stop: CancellationToken,
}

impl Backoff {
    /// Waits end early when `stop` is cancelled: for who fetches when the worker is told to stop, for who settles at the very end.
    pub(crate) fn until(stop: &CancellationToken) -> Self {
        Self { wait: RETRY_FIRST, spoke: None, stop: stop.clone() }
    }

    fn is_worth_a_word(&mut self) -> bool {
        let speak = self.spoke.is_none_or(|spoke| spoke.elapsed() >= Duration::from_secs(10));
        if speak {
            self.spoke = Some(Instant::now());
        }
        speak
    }

    fn next(&mut self) -> Duration {
        let wait = self.wait.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.wait = (self.wait * 2).min(RETRY_LONGEST);
        wait
    }
}
