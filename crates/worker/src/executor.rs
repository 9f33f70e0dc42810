//! Runs one delivery: decode, guard, run, decide, settle, report.

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
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::context::{Attempt, Context};
use crate::handler::{Definition, Run, RunResult};
use crate::held::HeldJob;
use crate::post::Post;
use crate::settler::SettlerHandle;
use crate::slots::Slot;

/// Runs deliveries and hands their ends to the settler.
#[derive(Clone)]
pub(crate) struct Executor {
    pub(crate) post: Arc<Post>,
    pub(crate) settler: SettlerHandle,
}

impl Executor {
    /// Runs one delivery to its end. The slot is freed when the handler has ended, before the end is settled.
    pub(crate) async fn execute(self, delivery: Delivery, held: HeldJob, slot: Slot) {
        let record = &delivery.record;
        let span = tracing::info_span!(
            "job", id = %record.id, task = %record.task, queue = %record.queue, attempt = record.attempt + 1
        );
        let ending = self.run(&delivery, &held).instrument(span.clone()).await;
        drop(slot);
        let Some(ending) = ending else {
            span.in_scope(|| tracing::warn!("LeaseLost: the attempt is given up and settles nothing"));
            return;
        };
        let transition = self.decide(record, ending);
        span.in_scope(|| report(&transition));
        let settlement = Settlement { id: record.id.clone(), fence: delivery.lease.fence, transition };
        self.settler.settle(settlement);
    }

    /// Decodes, guards and runs. `None`: the job is not ours any more.
    async fn run(&self, delivery: &Delivery, held: &HeldJob) -> Option<Ending> {
        let record = &delivery.record;
        let Some(entry) = self.post.tasks.find(&record.task) else {
            return Some(self.unknown_task(record).await);
        };
        let context = context(delivery, &held.cancel);
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
        // Dropping the run ends it: the future is gone, or the command's process group is killed.
        tokio::select! {
            biased;
            () = held.lost.cancelled() => None,
            () = self.post.signals.hand_back.cancelled() => Some(Ending::HandedBack),
            ending = within(limit, guarded(run)) => Some(ending),
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

    fn decide(&self, record: &Record, ending: Ending) -> Transition {
        let definition = self.post.tasks.find(&record.task).map(|entry| &entry.definition);
        let mut rules = Rules::new(&self.post.settings.name, self.post.clock.now());
        rules.retry = definition.map_or_else(RetryPolicy::default, |definition: &Definition| definition.retry);
        rules.result_ttl = definition.map_or(DEFAULT_RESULT_TTL, |definition| definition.result_ttl);
        rules.jitter = fastrand::f64();
        decide(record, ending, &rules)
    }
}

fn context(delivery: &Delivery, cancel: &CancellationToken) -> Context {
    let record = &delivery.record;
    Context::new(Attempt {
        job_id: record.id.clone(),
        task: record.task.clone(),
        queue: record.queue.clone(),
        attempt: record.attempt + 1,
        fence: delivery.lease.fence,
        cancel: cancel.clone(),
    })
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
async fn guarded(mut run: GuardedRun) -> Ending {
    let answer = poll_fn(|cx| {
        let Some(run) = run.0.as_mut() else { return Poll::Pending };
        match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
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
