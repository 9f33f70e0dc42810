//! Moves ready jobs from the store to the executor, as many as there are free slots.

use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac_broker::{BrokerError, Delivery, FetchRequest, Fetched, MAX_BATCH_JOBS, Session};
use celeriac_core::QueueName;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::executor::Executor;
use crate::post::Post;
use crate::session::Backoff;

/// How long one wait for work lasts at most. Long, because a waiting worker shall cost next to nothing; not longer, because it is also
/// how late work is found whose wake-up went down with another worker.
const IDLE_WAIT: Duration = Duration::from_secs(30);

/// The most jobs that wait to be settled while more are fetched.
const MAX_UNSETTLED: usize = 2 * MAX_BATCH_JOBS;

/// A burst waits for jobs that are due within this time, so that it sees short retries through, and leaves later ones to others.
const BURST_HORIZON: Duration = Duration::from_secs(60);

/// How long suspects are run in one turn before other work goes on.
const SUSPECT_TURN: Duration = Duration::from_secs(5);

/// The longest time other work may keep suspects waiting.
const SUSPECT_WAIT_LONGEST: Duration = Duration::from_secs(60);

/// How long a worker waits for its running jobs to end before a suspect's turn, at first.
const FIRST_PATIENCE: Duration = Duration::from_secs(30);

/// Fetches until the worker is told to stop, or until the queues are empty if it runs in a burst.
pub(crate) struct Fetcher {
    post: Arc<Post>,
    executor: Executor,
    running: TaskTracker,
    first_queue: usize,
    suspects: SuspectTurns,
    backoff: Backoff,
    sessions: watch::Receiver<Option<Session>>,
}

impl Fetcher {
    pub(crate) fn new(post: Arc<Post>, executor: Executor, running: TaskTracker) -> Self {
        let sessions = post.session.watch();
        let suspects = SuspectTurns::default();
        let backoff = Backoff::until(&post.signals.stop);
        Self { post, executor, running, first_queue: 0, suspects, backoff, sessions }
    }

    /// Runs until told to stop.
    ///
    /// # Errors
    /// What waiting cannot mend: the store refuses for good.
    pub(crate) async fn run(mut self) -> Result<(), BrokerError> {
        let stop = self.post.signals.stop.clone();
        while !stop.is_cancelled() {
            // Cancel-safe: nothing is taken while it waits.
            let free = tokio::select! {
                () = stop.cancelled() => break,
                free = self.ready() => free,
            };
            if self.fetch(free).await? == Next::Leave {
                break;
            }
        }
        Ok(())
    }

    /// Waits until the next fetch may be made and says how many jobs it may bring.
    async fn ready(&mut self) -> usize {
        if self.post.held.has_suspect() {
            // A suspect runs alone.
            self.post.held.empty().await;
        } else if self.suspects.is_due() && timeout(self.suspects.patience, self.post.held.empty()).await.is_err() {
            self.suspects.put_off();
        }
        // Jobs whose handler has ended are held until they are settled. A store that settles slowly must not let them pile up.
        self.post.held.at_most(self.post.settings.concurrency + MAX_UNSETTLED).await;
        self.post.slots.free().await.min(MAX_BATCH_JOBS)
    }

    async fn fetch(&mut self, free: usize) -> Result<Next, BrokerError> {
        let post = Arc::clone(&self.post);
        let gate = tokio::select! {
            // Whoever mends the session may need long while the store is away.
            biased;
            () = post.signals.stop.cancelled() => return Ok(Next::Leave),
            gate = post.session.gate() => gate,
        };
        let Some(session) = self.sessions.borrow_and_update().clone() else { return Err(BrokerError::SessionLost) };
        let request = FetchRequest { queues: self.queues(), max_jobs: free, holds_nothing: self.post.held.is_empty() };
        let asked = Instant::now();
        match self.post.broker.fetch(&session, &request).await {
            Ok(fetched) => {
                let empty = fetched.jobs.is_empty();
                let later = fetched.next_due.is_none_or(|due| due.since(fetched.now) > BURST_HORIZON);
                let done = later && !fetched.suspects_waiting;
                self.take(fetched, asked);
                drop(gate);
                self.backoff = Backoff::until(&post.signals.stop);
                if !empty {
                    return Ok(Next::Fetch);
                }
                // What was held when the store was asked may have ended since, with a retry that this answer knows nothing of.
                if self.post.settings.burst && done && request.holds_nothing {
                    return Ok(Next::Leave);
                }
                self.wait(&session, &request.queues).await
            }
            Err(error) => {
                drop(gate);
                let mended = self.post.recover(&session, error, &mut self.backoff).await;
                // A store that is away does not keep a worker that was told to stop.
                if self.post.signals.stop.is_cancelled() { Ok(Next::Leave) } else { mended.map(|()| Next::Fetch) }
            }
        }
    }

    /// Starts what was fetched. Under the gate, so that every job is in the table before anybody compares it with the store's list.
    fn take(&mut self, fetched: Fetched, asked: Instant) {
        if asked.elapsed() > self.post.settings.lease / 4 {
            self.post.session.doubt_the_past();
        }
        if !fetched.jobs.is_empty() {
            self.post.session.renewed(asked);
            self.post.session.lease_began();
        }
        self.post.clock.note(fetched.now);
        self.post.signals.due(fetched.next_due);
        self.suspects.note(&fetched);
        for id in &fetched.unreadable {
            tracing::error!(job = %id, "the stored job cannot be read; it is parked with its bytes unchanged");
        }
        fetched.jobs.into_iter().for_each(|delivery| self.start(delivery));
    }

    fn start(&self, delivery: Delivery) {
        let held = self.post.held.insert(&delivery);
        let slot = self.post.slots.take();
        self.running.spawn(self.executor.clone().execute(delivery, held, slot));
    }

    /// Waits for work, for a new session, or for the end.
    async fn wait(&mut self, session: &Session, queues: &[QueueName]) -> Result<Next, BrokerError> {
        let limit = if self.post.settings.burst { Duration::from_millis(200) } else { IDLE_WAIT };
        // All branches are cancel-safe; a wait that is dropped keeps its token for the next one.
        let waited = tokio::select! {
            () = self.post.signals.stop.cancelled() => return Ok(Next::Leave),
            _ = self.sessions.changed() => Ok(()),
            () = self.suspects.due(), if self.suspects.waiting => Ok(()),
            waited = self.post.broker.wait_for_work(session, queues, limit) => waited,
        };
        match waited {
            Ok(()) => {
                self.post.elsewhere.let_others_go_first().await;
                Ok(Next::Fetch)
            }
            // The next fetch finds out whether the connection for commands is gone too.
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "waiting for work was interrupted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok(Next::Fetch)
            }
            Err(BrokerError::SessionLost) => Ok(Next::Fetch),
            Err(error) => Err(error),
        }
    }

    /// The queues in this call's order: each call begins with the next queue, so none starves.
    fn queues(&mut self) -> Vec<QueueName> {
        let mut queues = self.post.settings.queues.clone();
        let first = self.first_queue % queues.len().max(1);
        self.first_queue = first + 1;
        queues.rotate_left(first);
        queues
    }
}

#[derive(PartialEq, Eq)]
enum Next {
    Fetch,
    Leave,
}

/// When a busy worker makes room for suspects.
///
/// A suspect must run alone. Other work goes on for as long as the last turn took, at least a second and at most a minute; so
/// suspects neither starve nor take more than about half of a worker's time. While jobs run longer than the patience for a turn, other
/// work goes on and the patience doubles: a long job may not idle its whole worker, and suspects get their turn all the same.
#[derive(Debug)]
struct SuspectTurns {
    waiting: bool,
    turn_began: Option<Instant>,
    next_turn: Instant,
    patience: Duration,
}

impl Default for SuspectTurns {
    fn default() -> Self {
        Self { waiting: false, turn_began: None, next_turn: Instant::now(), patience: FIRST_PATIENCE }
    }
}

impl SuspectTurns {
    fn is_due(&self) -> bool {
        self.waiting && Instant::now() >= self.next_turn
    }

    /// The running jobs did not end in time for a turn.
    fn put_off(&mut self) {
        self.next_turn = Instant::now() + SUSPECT_WAIT_LONGEST;
        self.patience *= 2;
    }

    async fn due(&self) {
        tokio::time::sleep_until(self.next_turn.into()).await;
    }

    /// Learns from a fetch: a turn goes on while suspects come and its time is not over.
    fn note(&mut self, fetched: &Fetched) {
        let now = Instant::now();
        self.waiting = fetched.suspects_waiting;
        let came = fetched.jobs.iter().any(|delivery| delivery.record.suspect);
        if came {
            self.patience = FIRST_PATIENCE;
        }
        let began = *self.turn_began.get_or_insert(now);
        if came && now.duration_since(began) < SUSPECT_TURN {
            self.next_turn = now;
        } else if came || self.next_turn <= now {
            let took = now.duration_since(began).clamp(Duration::from_secs(1), SUSPECT_WAIT_LONGEST);
            self.next_turn = now + took;
            self.turn_began = None;
        }
        if !came {
            self.turn_began = None;
        }
    }
}
