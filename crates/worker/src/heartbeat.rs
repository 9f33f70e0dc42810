//! Renews the worker's lease from a thread and runtime of its own, so that a blocked main runtime loses no lease.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use celeriac_broker::{Broker, BrokerError, Pulse, Session};
use celeriac_core::{Fence, JobId};
use tokio::sync::watch;

use crate::context::order;
use crate::post::Post;
use crate::session::SOON;
use crate::stalls;

/// How often the registration of an idle worker is renewed; it lives three times as long at least.
const IDLE_BEAT: Duration = Duration::from_secs(60);

/// How soon a worker that has taken its first jobs begins to wait for orders.
const ORDERS_LOOK: Duration = Duration::from_millis(500);

/// The thread. It ends when the worker's `end` signal fires.
pub(crate) struct Heartbeat {
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread or no runtime to give.
    pub(crate) fn start(post: Arc<Post>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("celeriac-heartbeat".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::join!(Beats::new(Arc::clone(&post)).run(), stalls::watch(post));
            });
        })?;
        Ok(Self { thread: Some(thread) })
    }

    /// Waits for the thread's end, which the `end` signal has asked for.
    pub(crate) async fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            // Joining blocks for as long as one call to the store takes.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

struct Beats {
    post: Arc<Post>,
    sessions: watch::Receiver<Option<Session>>,
    broker: Option<Arc<dyn Broker>>,
    /// When the last beat that was answered had been sent.
    beaten: Instant,
    /// Jobs that a beat listed and the worker did not know, and when that was.
    unknown: HashSet<(JobId, Fence)>,
    looked: Instant,
    /// Whether it was said that the lease may be lost.
    at_risk: bool,
    /// Since when every beat is told that the session is lost.
    session_lost: Option<Instant>,
}

impl Beats {
    fn new(post: Arc<Post>) -> Self {
        let sessions = post.session.watch();
        let now = Instant::now();
        let unknown = HashSet::new();
        Self { post, sessions, broker: None, beaten: now, unknown, looked: now, at_risk: false, session_lost: None }
    }

    async fn run(mut self) {
        let interval = self.interval();
        let end = self.post.signals.end.clone();
        let mut failed = false;
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                // Several tries within one lease, also when it is short. Orders are news only to a beat that is answered.
                () = tokio::time::sleep((interval / 4).min(Duration::from_secs(1))), if failed => {}
                () = self.rest(interval), if !failed => {}
            }
            failed = false;
            let Some(session) = self.sessions.borrow_and_update().clone() else { continue };
            if !self.must_beat() {
                continue;
            }
            // Before the beat: a fetch that takes jobs while it is under way begins a lease that it may not see.
            self.post.session.lease_ended();
            let beat = tokio::select! {
                () = end.cancelled() => return,
                beat = self.beat(&session) => beat,
            };
            match beat {
                Ok((sent, pulse)) => self.answered(sent, &pulse),
                Err(error) => {
                    self.failed(&error);
                    failed = true;
                }
            }
        }
    }

    fn interval(&self) -> Duration {
        self.post.settings.lease / 4
    }

    /// Waits until the next beat, or until there may be orders for what is held.
    async fn rest(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        let left = || until.saturating_duration_since(Instant::now());
        while !left().is_zero() {
            let session = self.sessions.borrow().clone();
            let holds = !self.post.held.is_empty();
            if holds && self.broker.is_none() {
                // If it cannot be reached, the next beat says so.
                self.broker = tokio::time::timeout(left(), self.post.broker.sibling()).await.ok().and_then(Result::ok);
            }
            match (self.broker.clone(), session) {
                (Some(broker), Some(session)) if holds => {
                    // The lease does not wait for a connection that hangs, however long that is given to answer.
                    let limit = left() + self.interval() / 4;
                    match tokio::time::timeout(limit, broker.wait_for_orders(&session, left())).await {
                        Ok(Ok(())) => return,
                        // The beat finds out what is wrong.
                        Ok(Err(error)) => tracing::debug!(%error, "cannot wait for orders"),
                        // The beat's connection may be fine all the same.
                        Err(_) => tracing::debug!("the wait for orders hangs; its connection is left"),
                    }
                    tokio::time::sleep(left()).await;
                }
                _ => tokio::time::sleep(left().min(ORDERS_LOOK)).await,
            }
        }
    }

    /// An idle worker sends nothing but now and then a renewal of its registration. A beat after the last job ends the lease.
    fn must_beat(&self) -> bool {
        self.post.session.has_lease() || !self.post.held.is_empty() || self.beaten.elapsed() >= IDLE_BEAT
    }

    /// Sends a beat, and says when. Several tries must fit into one lease, also when it is short and the connection hangs. Opening one has a
    /// time of its own: if the store is slow, both together take too long, and so would every further try.
    async fn beat(&mut self, session: &Session) -> Result<(Instant, Pulse), BrokerError> {
        let limit = self.interval();
        let broker = match self.broker.clone() {
            Some(broker) => broker,
            None => {
                let opened = tokio::time::timeout(limit, self.post.broker.sibling()).await;
                let broker = opened.unwrap_or_else(|late| Err(self.no_answer(late)))?;
                self.broker = Some(Arc::clone(&broker));
                broker
            }
        };
        let sent = Instant::now();
        let beat = tokio::time::timeout(limit, broker.heartbeat(session)).await;
        beat.unwrap_or_else(|late| Err(self.no_answer(late))).map(|pulse| (sent, pulse))
    }

    fn no_answer(&self, late: tokio::time::error::Elapsed) -> BrokerError {
        BrokerError::InDoubt { store: self.post.broker.describe(), source: late.into() }
    }

    fn answered(&mut self, sent: Instant, pulse: &Pulse) {
        self.beaten = sent;
        (self.at_risk, self.session_lost) = (false, None);
        self.post.session.renewed(sent);
        if !pulse.held.is_empty() {
            self.post.session.lease_began();
        }
        self.post.clock.note(pulse.now);
        self.post.held.tell(&pulse.revoked, order::REVOKED);
        self.post.signals.due(pulse.next_due);
        let unknown: HashSet<(JobId, Fence)> = pulse
            .held
            .iter()
            .filter(|(id, fence)| *fence <= pulse.newest_fence && !self.post.held.has(id, *fence))
            .cloned()
            .collect();
        // A job on its way to the fetcher is listed and not yet known: only one that stays unknown for a while counts. Orders make beats
        // follow each other within a moment.
        if self.unknown.is_disjoint(&unknown) {
            (self.unknown, self.looked) = (unknown, sent);
        } else if sent.duration_since(self.looked) >= self.interval() / 2 {
            self.unknown.clear();
            tracing::warn!("the store lists jobs that this worker does not know; comparing");
            self.post.signals.attention.notify_one();
        }
    }

    fn failed(&mut self, error: &BrokerError) {
        tracing::debug!(%error, "heartbeat failed");
        self.post.session.lease_began();
        self.broker = None;
        if matches!(error, BrokerError::SessionLost) {
            self.post.signals.attention.notify_one();
            // Whoever mends the session ends what runs, or lets it go on if the store is another one. If nobody does, the main runtime is
            // blocked.
            if self.session_lost.get_or_insert_with(Instant::now).elapsed() >= SOON {
                self.post.held.tell_all(order::STOP);
            }
            return;
        }
        // Counted from the sending of the last answered renewal, on the monotonic clock: before the lease can have ended.
        let margin = self.post.settings.lease / 4;
        let holds = !self.post.held.is_empty();
        if holds && self.post.session.renewed_at().elapsed() + margin >= self.post.settings.lease {
            if !self.at_risk {
                tracing::warn!("no heartbeat was answered for almost a lease; running jobs are told to stop");
            }
            self.at_risk = true;
            self.post.held.tell_all(order::STOP);
        }
    }
}
