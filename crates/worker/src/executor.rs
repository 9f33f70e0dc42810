//! Runs deliveries: decode, guard, run, decide, settle, report.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use celeriac_broker::{Delivery, Settlement};
use celeriac_core::{
    Cause, DEFAULT_RESULT_TTL, Ending, MAX_PAYLOAD_BYTES, Record, RetryPolicy, Rules, TaskError, Transition, decide,
};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::backlog::{RunnerGuard, Waiting};
use crate::context::{Attempt, Context, order};
use crate::handler::{Definition, Run, RunResult};
use crate::post::Post;

/// Jobs that a runner runs before it lets others have the thread; each may have ended without ever waiting.
const JOBS_PER_TURN: usize = 32;

/// Runs what waits in the backlog and leaves its ends to be settled.
#[derive(Clone)]
pub(crate) struct Executor {
    pub(crate) post: Arc<Post>,
    pub(crate) running: TaskTracker,
}

impl Executor {
    /// Starts a runner for a slot that the backlog has reserved.
    pub(crate) fn start_runner(&self) {
        self.running.spawn(self.clone().run_backlog());
    }

    /// One slot at work: runs one job after the other until none waits.
    async fn run_backlog(self) {
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
            "job", id = %record.id, task = %record.task, queue = %record.queue, attempt = record.attempt + 1
        );
        let mut slot = Slot { executor: self, pended: false };
        let ending = self.run(&delivery, attempt, &mut slot).instrument(span.clone()).await;
        let Some(ending) = ending else {
            span.in_scope(|| tracing::warn!("LeaseLost: the attempt is given up and settles nothing"));
            return;
        };
        let (id, fence) = (delivery.record.id.clone(), delivery.lease.fence);
        let transition = self.decide(delivery.record, ending);
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

    /// Decodes, guards and runs. `None`: the job is not ours any more.
    async fn run(&self, delivery: &Delivery, attempt: Arc<Attempt>, slot: &mut Slot<'_>) -> Option<Ending> {
        let record = &delivery.record;
        if let Some(given_up) = given_up(attempt.told(order::LOST | order::HAND_BACK)) {
            return given_up;
        }
        let Some(entry) = self.post.tasks.find(&record.task) else {
            // It asks the store.
            slot.pend();
            return Some(self.unknown_task(record).await);
        };
        let context = Context::new(Arc::clone(&attempt));
        // Decoding runs the application's code too.
        let started =
            catch_unwind(AssertUnwindSafe(|| entry.runnable.start(&record.payload, context, &self.post.tasks.states)));
        let run = match started {
            Ok(Ok(run)) => GuardedRun(Some(run)),
            Err(panic) => return Some(panicked(panic.as_ref())),
            Ok(Err(error)) => {
                let error = format!("arguments cannot be decoded: {error}");
                return Some(Ending::NotRunnable { cause: Cause::Undecodable, error });
            }
        };
        let limit = record.options.timeout_ms.map(Duration::from_millis).or(entry.definition.timeout);
        // The run first: one that ends without waiting asks for no orders. Dropping it ends it: the future is gone, or the
        // command's process group is killed.
        tokio::select! {
            biased;
            ending = within(limit, guarded(run, slot)) => Some(ending),
            told = attempt.until_told(order::LOST | order::HAND_BACK) => given_up(told).flatten(),
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

    fn decide(&self, record: Record, ending: Ending) -> Transition {
        let definition = self.post.tasks.find(&record.task).map(|entry| &entry.definition);
        let mut rules = Rules::new(Arc::clone(&self.post.settings.name), self.post.clock.now());
        rules.retry = definition.map_or_else(RetryPolicy::default, |definition: &Definition| definition.retry);
        rules.result_ttl = definition.map_or(DEFAULT_RESULT_TTL, |definition| definition.result_ttl);
        rules.jitter = fastrand::f64();
        decide(record, ending, &rules)
    }
}

/// What becomes of an attempt that was given up: nothing if the job is not ours any more.
fn given_up(told: u8) -> Option<Option<Ending>> {
    match told {
        0 => None,
        told if told & order::LOST != 0 => Some(None),
        _ => Some(Some(Ending::HandedBack)),
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

/// Applies the time limit.
async fn within(limit: Option<Duration>, run: impl Future<Output = Ending>) -> Ending {
    let Some(limit) = limit else { return run.await };
    tokio::time::timeout(limit, run).await.unwrap_or_else(|_| {
        let limit = celeriac_core::format_duration(limit);
        Ending::Failed { cause: Cause::TimedOut, error: TaskError::retry(format!("ran longer than {limit}")) }
    })
}

/// A run whose code may panic, also while it is dropped: at a time limit, at a shutdown, or after a panic.
struct GuardedRun(Option<Run>);

impl Drop for GuardedRun {
    fn drop(&mut self) {
        let run = self.0.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(move || drop(run))) {
            tracing::warn!(panic = panic_text(panic.as_ref()), "panicked while an attempt was given up");
        }
    }
}

/// Runs to the end and turns a panic into a failed attempt.
async fn guarded(mut run: GuardedRun, slot: &mut Slot<'_>) -> Ending {
    let answer = poll_fn(|cx| {
        let Some(run) = run.0.as_mut() else { return Poll::Pending };
        match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx))) {
            Ok(Poll::Pending) => {
                slot.pend();
                Poll::Pending
            }
            Ok(Poll::Ready(answer)) => Poll::Ready(Ok(answer)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await;
    match answer {
        Ok(answer) => ending_of(answer),
        Err(panic) => panicked(panic.as_ref()),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Ending {
    let error = TaskError::retry(format!("panicked: {}", panic_text(panic)));
    Ending::Failed { cause: Cause::Panicked, error }
}

fn ending_of(answer: RunResult) -> Ending {
    match answer {
        Ok(result) if result.get().len() > MAX_PAYLOAD_BYTES => {
            let bytes = result.get().len();
            let text = format!("the result has {bytes} bytes; at most {MAX_PAYLOAD_BYTES} are kept");
            Ending::Failed { cause: Cause::Failed, error: TaskError::permanent(text) }
        }
        Ok(result) => Ending::Succeeded(result),
        Err(error) => Ending::Failed { cause: Cause::Failed, error },
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
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
        _ => tracing::debug!("succeeded"),
    }
}
