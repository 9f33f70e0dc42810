//! Runs deliveries: decode, guard, run, decide, settle, report.

use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::{Delivery, Fetched, Session, Settlement};
use celeriac_core::{Cause, Ending, Record, State, Timestamp, Transition, Verdict, decide};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::backlog::{RunnerGuard, Waiting};
use crate::context::{Attempt, Context, order};
use crate::guard::{GuardedRun, caught};
use crate::handler::Started;
use crate::limits::{GivenUp, before, given_up, within};
use crate::notebook;
use crate::post::Post;
use crate::threads::on_a_thread;

/// Jobs that a runner runs before it lets others have the thread; each may have ended without ever waiting.
const JOBS_PER_TURN: usize = 32;

/// How long a blocking task waits for a thread before it is passed on: another worker may have one. Handed back it would be the head of its
/// queue, and this worker the first to take it again.
const LONGEST_WAIT_FOR_THREAD: Duration = Duration::from_secs(10);

/// Runs what waits in the backlog and leaves its ends to be settled.
#[derive(Clone)]
pub(crate) struct Executor {
    pub(crate) post: Arc<Post>,
    pub(crate) running: TaskTracker,
}

impl Executor {
    /// How many jobs may be taken in with ends that are settled: slots that are free while the fetcher only waits.
    pub(crate) fn spare(&self) -> usize {
        let free = self.post.settings.concurrency.saturating_sub(self.post.backlog.unfinished());
        let stops = self.post.signals.stop.is_cancelled() || self.post.signals.quiet.is_cancelled();
        if stops { 0 } else { free.min(self.post.ends.spared()) }
    }

    /// Puts what was fetched in this session into the backlog and starts who runs it; answers how many jobs that were.
    pub(crate) fn take_in(&self, session: &Session, fetched: Fetched) -> usize {
        for id in &fetched.unreadable {
            tracing::error!(job = %id, "the stored job cannot be read; it is parked with its bytes unchanged");
        }
        let jobs = fetched.jobs;
        if jobs.is_empty() {
            return 0;
        }
        let count = jobs.len();
        let start = self.post.session.while_current(session, || {
            let attempts = self.post.held.insert(&jobs);
            self.post.backlog.add(jobs, attempts)
        });
        match start {
            Some(runners) => {
                (0..runners).for_each(|_| self.start_runner());
                count
            }
            None => {
                tracing::debug!(jobs = count, "a hand-out of an older session came late; its jobs were handed back");
                0
            }
        }
    }

    /// Starts a runner for a slot that the backlog has reserved.
    pub(crate) fn start_runner(&self) {
        self.running.spawn(self.clone().run_backlog());
    }

    /// One slot at work: runs one job after the other until none waits.
    pub(crate) async fn run_backlog(self) {
        let guard = RunnerGuard::new(&self.post.backlog);
        let mut stopwatch = self.post.meters.stopwatch();
        let mut turn = 0;
        while let Some(Waiting { delivery, attempt, .. }) = self.post.backlog.next() {
            stopwatch.start(&delivery.record.task);
            self.execute(delivery, attempt).await;
            stopwatch.stop();
            turn += 1;
            if turn % JOBS_PER_TURN == 0 {
                tokio::task::yield_now().await;
                stopwatch.restart();
            }
        }
        guard.disarm();
    }

    /// Runs one delivery to its end. The slot is free for the next one before the end is settled.
    async fn execute(&self, delivery: Delivery, attempt: Arc<Attempt>) {
        let record = &delivery.record;
        let span = tracing::info_span!(
            "job", id = %record.id, task = %record.task, queue = %record.queue, attempt = record.attempt + 1,
            traceparent = tracing::field::Empty
        );
        if let Some(parent) = record.options.headers.get("traceparent") {
            span.record("traceparent", parent);
        }
        let mut slot = Slot { executor: self, pended: false };
        let end = self.run(&delivery, &attempt, &mut slot).instrument(span.clone()).await;
        if matches!(end, End::GivenUp(GivenUp::Lost) | End::NeverBegan(GivenUp::Lost)) {
            span.in_scope(|| tracing::warn!("LeaseLost: the attempt is given up and settles nothing"));
            return;
        }
        if attempt.has_told() {
            // It asks the store.
            slot.pend();
            notebook::last_words(&self.post, &attempt).await;
        }
        let (id, fence) = (delivery.record.id.clone(), delivery.lease.fence);
        let transition = self.transition(delivery.record, end);
        span.in_scope(|| report(&transition));
        self.post.ends.leave(Settlement { id, fence, transition });
        // After the end was left, so that whoever fetches because a slot is free takes the end along.
        drop(slot);
    }

    /// Hands jobs back that were never started.
    pub(crate) fn hand_back(&self, waiting: Vec<Waiting>) {
        // Each goes to the head of its queue, so the last one first.
        for Waiting { delivery, attempt, .. } in waiting.into_iter().rev() {
            if attempt.told(order::LOST) == 0 {
                let (id, fence) = (delivery.record.id.clone(), delivery.lease.fence);
                let transition = self.decide(delivery.record, Ending::HandedBack);
                self.post.ends.leave(Settlement { id, fence, transition });
            }
        }
    }

    /// Decodes, guards and runs.
    async fn run(&self, delivery: &Delivery, attempt: &Arc<Attempt>, slot: &mut Slot<'_>) -> End {
        let record = &delivery.record;
        if let Some(given_up) = GivenUp::already(attempt) {
            return End::NeverBegan(given_up);
        }
        if self.is_too_late(record) {
            return End::Ended(Ending::Expired);
        }
        let Some(entry) = self.post.tasks.find(&record.task) else {
            // It asks the store.
            slot.pend();
            return End::Ended(self.unknown_task(record).await);
        };
        let context =
            Context::new(Arc::clone(attempt), Arc::clone(&self.post.notebook), Arc::clone(&self.post.conductor));
        let tasks = &self.post.tasks;
        let started = caught(|| entry.runnable.start(&record.payload, context.clone(), &tasks.states));
        let run = match started {
            Ok(Ok(Started::Async(run))) => run,
            Ok(Ok(Started::Blocking(work))) => {
                slot.pend();
                // Before the time limit begins: waiting for a thread is not the job's fault.
                let permit = tokio::select! {
                    biased;
                    given_up = GivenUp::before_it_began(attempt) => return End::NeverBegan(given_up),
                    permit = self.post.threads.acquire() => permit,
                    () = tokio::time::sleep(self.until_too_late(record).min(LONGEST_WAIT_FOR_THREAD)) => None,
                };
                if self.is_too_late(record) {
                    return End::Ended(Ending::Expired);
                }
                let Some(permit) = permit else {
                    self.post.elsewhere.passes_on();
                    return End::Ended(Ending::PassedOn);
                };
                on_a_thread(work, permit)
            }
            Ok(Err(error)) => {
                let error = format!("arguments cannot be decoded: {error}");
                return End::Ended(Ending::NotRunnable { cause: Cause::Undecodable, error });
            }
            Err(panicked) => return End::Ended(panicked),
        };
        let run = GuardedRun::new(tasks.wrap(context, run));
        let limit = record.options.timeout_ms.map(Duration::from_millis).or(entry.definition.timeout);
        let soft = record.options.soft_timeout_ms.map(Duration::from_millis).or(entry.definition.soft_timeout);
        let run = run.run_to_end(attempt, &self.post.epoch, || slot.pend());
        // The run first: one that ends without waiting asks for no orders. Dropping it ends it: the future is gone, or the
        // command's process group is killed.
        tokio::select! {
            biased;
            ending = before(self.until_deadline(record), attempt, within(limit, attempt, run)) => End::Ended(ending).of(attempt),
            given_up = given_up(attempt, soft) => End::GivenUp(given_up),
        }
    }

    /// Another live worker gets the job if it knows the task; otherwise it is parked until one comes.
    async fn unknown_task(&self, record: &Record) -> Ending {
        if self.post.elsewhere.knows(self.post.broker.as_ref(), &record.task, &record.queue).await {
            return Ending::PassedOn;
        }
        let error = format!("no worker knows task {:?}", record.task.as_str());
        Ending::NotRunnable { cause: Cause::UnknownTask, error }
    }

    /// Whether the job has expired or its deadline has passed. The latest time that the store's clock may show decides: an expired job
    /// never begins.
    fn is_too_late(&self, record: &Record) -> bool {
        too_late_from(record).is_some_and(|over| over <= self.post.clock.latest())
    }

    /// How long the job may still begin.
    fn until_too_late(&self, record: &Record) -> Duration {
        too_late_from(record).map_or(Duration::MAX, |over| over.since(self.post.clock.now()))
    }

    /// Until when the attempt may run because of its job's deadline.
    fn until_deadline(&self, record: &Record) -> Option<Duration> {
        record.deadline().map(|deadline| deadline.since(self.post.clock.now()))
    }

    fn transition(&self, record: Record, end: End) -> Transition {
        match end {
            End::Ended(ending) => self.decide(record, ending),
            End::GivenUp(GivenUp::Revoked) => self.decide(record, Ending::Revoked),
            End::NeverBegan(GivenUp::Revoked) => {
                let rules = self.post.rules(&record.task, Arc::clone(&self.post.settings.name));
                self.decide(record, Ending::HandedBack).revoked(&rules)
            }
            End::GivenUp(_) | End::NeverBegan(_) => self.decide(record, Ending::HandedBack),
        }
    }

    fn decide(&self, record: Record, ending: Ending) -> Transition {
        let mut rules = self.post.rules(&record.task, Arc::clone(&self.post.settings.name));
        rules.jitter = fastrand::f64();
        decide(record, ending, &rules)
    }
}

/// From when on it is too late for a job to begin.
fn too_late_from(record: &Record) -> Option<Timestamp> {
    record.expires_at().into_iter().chain(record.deadline()).min()
}

/// How an attempt ended.
enum End {
    /// By itself, or at a limit.
    Ended(Ending),
    /// It was given up.
    GivenUp(GivenUp),
    /// It was given up before its handler began.
    NeverBegan(GivenUp),
}

impl End {
    /// A failure of an attempt that was told to stop is no failure: the handler did what it was told. At a shutdown that is so unless the
    /// handler said itself what shall happen; a limit that was over would have ended the attempt anywhere.
    fn of(self, attempt: &Attempt) -> Self {
        match &self {
            Self::Ended(Ending::Failed { .. }) if attempt.told(order::REVOKED) != 0 => Self::GivenUp(GivenUp::Revoked),
            Self::Ended(Ending::Failed { cause: Cause::Failed | Cause::Panicked, error })
                if error.verdict() == Verdict::Retry && attempt.told(order::HAND_BACK) != 0 =>
            {
                Self::GivenUp(GivenUp::HandedBack)
            }
            _ => self,
        }
    }
}

/// The slot that a job occupies until its handler has ended.
struct Slot<'e> {
    executor: &'e Executor,
    pended: bool,
}

impl Slot<'_> {
    /// The job waits for something, so another one may begin.
    fn pend(&mut self) {
        if !self.pended {
            self.pended = true;
            if self.executor.post.backlog.pend() {
                self.executor.start_runner();
            }
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.executor.post.backlog.end(self.pended);
    }
}

/// Says what an operator may act on; success is for who looks closely.
fn report(transition: &Transition) {
    match transition {
        Transition::Retry { record, delay } => {
            let error = record.history.last().map(|incident| incident.error.as_str());
            tracing::info!(error, failures = record.failures, delay = ?delay, "will be retried");
        }
        Transition::DeadLetter { record, outcome, .. } => {
            tracing::error!(error = outcome.error.as_deref(), failures = record.failures, "dead");
        }
        Transition::Park { record } => {
            let error = record.history.last().map(|incident| incident.error.as_str());
            tracing::warn!(error, "parked until a worker that knows it registers");
        }
        Transition::Requeue { .. } => tracing::info!("handed back unfinished"),
        Transition::Finish { outcome, .. } if outcome.state != State::Succeeded => {
            tracing::info!(error = outcome.error.as_deref(), "{}", outcome.state);
        }
        _ => tracing::debug!("succeeded"),
    }
}
