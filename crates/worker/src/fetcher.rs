//! Moves ready jobs from the store to the backlog, as many as can run soon, and takes the ends of others along.
//!
//! One loop decides what to ask next, and everything it asks is in flight while it goes on. It *exchanges* while there may be work:
//! ends out, jobs in, one call; up to two at once, so that the store works on one while this process works on the other's
//! answer. When the queues are empty it *waits*, and the fetch is in the store's hands already.
//!
//! An answer counts only while the session it was asked in is current: a reconcile has handed back what an older one brings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac_broker::{BrokerError, FetchRequest, Fetched, MAX_BATCH_JOBS, Session};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::calls::{Answer, Call, Calls};
use crate::executor::Executor;
use crate::post::Post;
use crate::prefetch::Prefetch;
use crate::progress::Turn;
use crate::session::Backoff;
use crate::suspects::SuspectTurns;
use crate::turns::Turns;

/// How long one wait for work lasts at most. A worker that looks at the leases finds work whose wake-up was lost, so this may be long.
const IDLE_WAIT: Duration = Duration::from_secs(180);

/// A burst looks again this soon.
const BURST_WAIT: Duration = Duration::from_millis(200);

/// The most jobs that wait to be settled while more are fetched.
const MAX_UNSETTLED: usize = 2 * MAX_BATCH_JOBS;

/// The most jobs asked for in one call. Redis writes at most 64 KiB of an answer before it reads on, so the end of a longer one waits
/// until the next call has been carried out, and the two calls in flight run one after the other: 500 jobs of 128 bytes are too many.
const MOST_AT_ONCE: usize = MAX_BATCH_JOBS / 2;

/// A second call goes beside the first only with so much to do: a call costs the store as much as twenty jobs.
const WORTH_A_CALL: usize = 50;

/// One call in so many takes the least urgent jobs of each queue first, or they would starve behind urgent ones that never end.
const LOWEST_FIRST: usize = 16;

/// A burst waits for jobs that are due within this time, so that it sees short retries through, and leaves later ones to others.
const BURST_HORIZON: Duration = Duration::from_secs(60);

/// How long a job may wait in this process for a slot. Then all that wait are handed back: the jobs before them are long after all, and
/// another worker may be idle.
const LONGEST_BACKLOG: Duration = Duration::from_secs(1);

/// How long a stopping worker waits for answers of the store that may bring jobs.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Fetches until the worker is told to stop, or until the queues are empty if it runs in a burst.
pub(crate) struct Fetcher {
    post: Arc<Post>,
    executor: Executor,
    calls: Calls,
    turns: Turns,
    /// Calls so far.
    asked: usize,
    /// Jobs taken in, those aside that were handed back before they began.
    taken: u64,
    suspects: SuspectTurns,
    prefetch: Prefetch,
    /// The queues were empty when last asked: there is nothing to do but to wait.
    dry: bool,
    /// The last answer said that there was nothing for a worker that holds nothing.
    asked_idle: bool,
    /// Nothing is left to do for a burst.
    done: bool,
    /// Told to fetch no more.
    quiet: bool,
    backoff: Backoff,
    sessions: watch::Receiver<Option<Session>>,
}

impl Fetcher {
    pub(crate) fn new(post: Arc<Post>, executor: Executor) -> Self {
        let sessions = post.session.watch();
        let (suspects, prefetch, calls) = (SuspectTurns::default(), Prefetch::default(), Calls::default());
        let backoff = Backoff::until(&post.signals.stop);
        let turns = post.settings.turns.clone();
        Self {
            post,
            executor,
            calls,
            turns,
            asked: 0,
            taken: 0,
            suspects,
            prefetch,
            dry: false,
            asked_idle: false,
            done: false,
            quiet: false,
            backoff,
            sessions,
        }
    }

    /// Runs until told to stop.
    ///
    /// # Errors
    /// What waiting cannot mend: the store refuses for good.
    pub(crate) async fn run(mut self) -> Result<(), BrokerError> {
        let fetched = self.fetch_all().await;
        self.post.progress.leaves();
        self.post.ends.carry(false);
        self.post.ends.spare(0);
        self.wind_up().await;
        fetched
    }

    async fn fetch_all(&mut self) -> Result<(), BrokerError> {
        let post = Arc::clone(&self.post);
        while !post.signals.stop.is_cancelled() && !self.done {
            // Looked at before it is decided what to ask: what ends after this look wakes the loop, or the look is repeated.
            let held = post.held.len();
            if held == 0 && self.is_exhausted() && self.calls.is_empty() {
                tracing::info!(jobs = self.taken, "the worker has begun as many jobs as it may");
                return Ok(());
            }
            let carries = self.ask(held)?;
            post.ends.carry(carries);
            post.ends.spare(self.spare());
            if self.suspects.makes_room() && self.calls.waits_as_busy() {
                // It would bring other jobs while a suspect's turn is due.
                self.end_wait().await;
            }
            let bound = self.held_bound();
            let (rests, blocked) = (held > 0 && self.is_resting(), held > bound);
            let backlogged = post.backlog.longest_wait();
            post.progress.turned(self.turn(blocked));
            // Every branch may be dropped: each only waits for news, and what is in flight stays in `calls`.
            tokio::select! {
                biased;
                () = post.signals.stop.cancelled() => return Ok(()),
                () = post.signals.quiet.cancelled(), if !self.quiet => {
                    self.quiet = true;
                    self.end_wait().await;
                }
                answer = self.calls.next() => self.answered(answer).await?,
                () = post.backlog.changed() => {}
                () = self.suspects.news(), if self.asks() && (self.calls.waits_as_busy() || self.suspects.makes_room()) => {
                    self.end_wait_for_suspects().await;
                }
                () = post.held.at_most(0), if rests => self.end_wait().await,
                () = post.held.at_most(bound), if blocked => {}
                _ = self.sessions.changed() => self.end_wait().await,
                () = stale(backlogged), if backlogged.is_some() => self.hand_back_backlog(),
                () = post.signals.starving.notified() => {
                    tracing::warn!("work is ready and slots are free, but no fetch is answered; its connection is rebuilt");
                    self.end_wait().await;
                }
                // So that a loop that stands still can be told from one that has nothing to do.
                () = tokio::time::sleep(post.progress.tick()) => {}
            }
        }
        Ok(())
    }

    /// How many jobs the settler may take in: only while a wait is all that is under way, and neither a suspect's turn nor a limit is near.
    fn spare(&self) -> usize {
        let settings = &self.post.settings;
        let counted = settings.burst || settings.max_tasks.is_some();
        let alone = self.suspects.makes_room() || self.suspects.are_waiting() || self.post.held.has_suspect();
        let courteous = self.post.elsewhere.head_start().is_some();
        if courteous || counted || alone || self.quiet || !self.calls.waits() {
            return 0;
        }
        settings.concurrency
    }

    /// What this turn of the loop says of the worker's health.
    fn turn(&self, blocked: bool) -> Turn {
        let kept =
            self.quiet || self.is_exhausted() || blocked || self.suspects.makes_room() || self.post.held.has_suspect();
        let hungry = !kept && self.post.backlog.unfinished() < self.post.settings.concurrency;
        Turn { hungry, overdue: self.calls.overdue(IDLE_WAIT) }
    }

    /// Whether the next thing to do may have to wait until everything held is settled: a suspect's turn, or the end of a burst.
    fn is_resting(&self) -> bool {
        self.calls.is_empty() || (self.post.settings.burst && self.calls.waits_as_busy())
    }

    /// The most jobs that may be held while more are fetched. Jobs whose handler has ended are held until they are settled; a store
    /// that settles slowly must not let them pile up.
    fn held_bound(&self) -> usize {
        self.post.settings.concurrency + self.prefetch.allowance() + MAX_UNSETTLED
    }

    /// Asks the store for what can be had now; says whether a call will soon take ends along.
    fn ask(&mut self, held: usize) -> Result<bool, BrokerError> {
        if !self.asks() {
            return Ok(!self.calls.is_empty() && !self.calls.waits());
        }
        // A suspect runs alone, and before it everything else must have ended.
        if self.post.held.has_suspect() || self.suspects.make_room(held == 0) {
            return Ok(false);
        }
        let Some(room) = self.room(held).filter(|_| !self.calls.waits()) else { return Ok(false) };
        if room == 0 {
            // The next job that ends makes room, and goes along. What is there already may not wait for it: that job may be long.
            return Ok(!self.calls.is_empty() || self.post.ends.len() == 0);
        }
        // Asked once more now that nothing is held: a suspect may come only then, and its wake-up has been used; and a burst ends only when
        // an answer to a worker that holds nothing says that nothing is left.
        let burst = self.post.settings.burst;
        let asks_again = held == 0 && !self.asked_idle && (burst || self.suspects.are_waiting());
        if self.suspects.is_due() || asks_again {
            self.dry = false;
        }
        if self.dry {
            if self.calls.is_empty() {
                self.wait(room, held)?;
                return Ok(false);
            }
            return Ok(!self.calls.is_empty());
        }
        if self.calls.is_empty() || (self.calls.may_have_company() && room.max(self.post.ends.len()) >= WORTH_A_CALL) {
            self.exchange(room, held)?;
        }
        Ok(true)
    }

    /// How many jobs may be asked for: free slots, and some in advance while jobs are short. `None` before more are settled.
    fn room(&self, held: usize) -> Option<usize> {
        let concurrency = self.post.settings.concurrency;
        if held > self.held_bound() {
            return None;
        }
        let taken = self.post.backlog.unfinished() + self.calls.asked();
        let room = (concurrency + self.prefetch.allowance()).saturating_sub(taken).min(MOST_AT_ONCE);
        Some(room.min(self.left_to_begin().saturating_sub(self.calls.asked())))
    }

    /// How many jobs the worker may still take in.
    fn left_to_begin(&self) -> usize {
        let left = self.post.settings.max_tasks.map(|most| most.saturating_sub(self.taken));
        left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// Whether it still asks for jobs.
    fn asks(&self) -> bool {
        !self.quiet && !self.is_exhausted()
    }

    fn is_exhausted(&self) -> bool {
        self.left_to_begin() == 0
    }

    fn exchange(&mut self, max_jobs: usize, held: usize) -> Result<(), BrokerError> {
        let session = self.session()?;
        let holds_nothing = held == 0 && self.calls.is_empty();
        let request = self.request(max_jobs, holds_nothing);
        let call = Call::new(session, request).with(self.post.ends.take());
        self.calls.exchange(Arc::clone(&self.post.broker), call);
        Ok(())
    }

    fn wait(&mut self, max_jobs: usize, held: usize) -> Result<(), BrokerError> {
        let session = self.session()?;
        let request = self.request(max_jobs, held == 0);
        let call = Call::new(session, request);
        let broker = Arc::clone(&self.post.broker);
        let time = if self.post.settings.burst { BURST_WAIT } else { IDLE_WAIT };
        // A worker that has just passed a job on lets others have it, and only then looks.
        match self.post.elsewhere.head_start() {
            Some(head_start) => self.calls.wait_and_let_others_first(broker, call, time, head_start),
            None => self.calls.wait(broker, call, time),
        }
        Ok(())
    }

    fn request(&mut self, max_jobs: usize, holds_nothing: bool) -> FetchRequest {
        self.asked = self.asked.wrapping_add(1);
        let lowest_first = self.asked.is_multiple_of(LOWEST_FIRST);
        FetchRequest { queues: self.turns.next(), max_jobs, holds_nothing, lowest_first }
    }

    fn session(&mut self) -> Result<Session, BrokerError> {
        self.sessions.borrow_and_update().clone().ok_or(BrokerError::SessionLost)
    }

    async fn answered(&mut self, answer: Answer) -> Result<(), BrokerError> {
        let Answer { call, result, waited } = answer;
        match result {
            Ok((settled, fetched)) => {
                self.post.progress.answered();
                self.post.progress.fetched();
                self.post.conclude(&call.settlements, &settled, false);
                if !waited {
                    self.prefetch.learn(self.post.backlog.ended(), Instant::now(), call.asked.elapsed());
                }
                self.backoff = Backoff::until(&self.post.signals.stop);
                self.learn(&call, &fetched, waited);
                self.take(&call, fetched);
                Ok(())
            }
            Err(error) => {
                // The settler settles again what may not have been settled, once the session is mended.
                self.post.ends.carry(false);
                self.post.ends.leave_again(call.settlements, error.is_in_doubt());
                self.dry = false;
                let mended = self.post.recover(&call.session, error, &mut self.backoff).await;
                // A store that is away does not keep a worker that was told to stop.
                if self.post.signals.stop.is_cancelled() { Ok(()) } else { mended }
            }
        }
    }

    /// Learns from an answer what to ask next, and when the lease began.
    fn learn(&mut self, call: &Call, fetched: &Fetched, waited: bool) {
        if !waited && call.asked.elapsed() > self.post.settings.lease / 4 {
            self.post.session.doubt_the_past();
        }
        if !fetched.jobs.is_empty() {
            let at = if waited { self.post.clock.no_later_than(fetched.now) } else { None };
            self.post.session.renewed(at.map_or(call.asked, |at| at.max(call.asked)));
            self.post.session.lease_began();
        }
        if waited {
            self.post.clock.note(fetched.now);
        } else {
            self.post.clock.note_answer(fetched.now, call.asked);
        }
        self.post.signals.due(fetched.next_due);
        self.suspects.note(fetched);
        let suspect_came = fetched.jobs.iter().any(|delivery| delivery.record.suspect);
        self.dry = !fetched.more && !suspect_came;
        self.asked_idle = call.request.holds_nothing && fetched.jobs.is_empty();
        let later = fetched.next_due.is_none_or(|due| due.since(fetched.now) > BURST_HORIZON);
        let idle = fetched.jobs.is_empty() && call.request.holds_nothing && self.post.held.is_empty();
        // What was held when the store was asked may have ended since, with a retry or a next step that this answer knows nothing of.
        let conducted = self.post.signals.events.were_handled(call.asked);
        self.done =
            self.post.settings.burst && idle && later && conducted && !fetched.more && !fetched.suspects_waiting;
    }

    /// Puts what was fetched into the backlog and starts who runs it.
    fn take(&mut self, call: &Call, fetched: Fetched) {
        self.taken += self.executor.take_in(&call.session, fetched) as u64;
    }

    /// Ends a wait that would bring other jobs while a suspect's turn is due.
    async fn end_wait_for_suspects(&mut self) {
        if self.suspects.is_due() && self.calls.waits_as_busy() {
            self.end_wait().await;
        }
    }

    /// Ends the wait under way, if there is one. What it brings is taken like any other answer.
    async fn end_wait(&mut self) {
        if let Some(session) = self.calls.session_of_wait() {
            // If it cannot be told, its connection is lost too, and the wait ends by that.
            let told = timeout(LAST_ANSWERS, self.post.broker.end_wait(&session)).await;
            if !matches!(told, Ok(Ok(()))) {
                tracing::debug!("a wait for work could not be ended");
            }
            self.calls.end_wait_by(Instant::now() + LAST_ANSWERS);
        }
    }

    /// Hands back what waits for a slot.
    fn hand_back_backlog(&mut self) {
        self.prefetch.reset();
        let waiting = self.post.backlog.drain();
        self.taken = self.taken.saturating_sub(waiting.len() as u64);
        tracing::debug!(jobs = waiting.len(), "jobs take longer than before; handing back what waits for a slot");
        self.executor.hand_back(waiting);
    }

    /// Sees the calls in flight through: what they bring is handed back, what they may not have settled is settled again.
    async fn wind_up(&mut self) {
        self.post.backlog.close();
        self.end_wait().await;
        let deadline = Instant::now() + LAST_ANSWERS;
        let mut doubtful = false;
        while !self.calls.is_empty() {
            let Ok(answer) = tokio::time::timeout_at(deadline.into(), self.calls.next()).await else { break };
            match answer.result {
                Ok((settled, fetched)) => {
                    self.post.conclude(&answer.call.settlements, &settled, false);
                    self.take(&answer.call, fetched);
                }
                Err(error) => {
                    doubtful |= error.is_in_doubt();
                    self.post.ends.leave_again(answer.call.settlements, error.is_in_doubt());
                }
            }
        }
        let abandoned = self.calls.abandon();
        doubtful |= !abandoned.is_empty();
        for settlements in abandoned {
            self.post.ends.leave_again(settlements, true);
        }
        if doubtful {
            // What such a call brought is handed back by this comparison and not by the end of the lease, which would count as a loss.
            let compared = timeout(LAST_ANSWERS, self.post.compare()).await;
            tracing::debug!(?compared, "compared with the store before the end");
        }
        self.executor.hand_back(self.post.backlog.drain());
    }
}

/// Resolves when jobs have waited for a slot for too long.
async fn stale(longest_wait: Option<Duration>) {
    tokio::time::sleep(LONGEST_BACKLOG.saturating_sub(longest_wait.unwrap_or_default())).await;
}
