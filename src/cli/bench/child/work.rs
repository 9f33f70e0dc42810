//! The role that runs jobs.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use celeriac_broker::Broker;
use celeriac_worker::{State, Tasks, Worker, WorkerError, WorkerHandle};

use super::control::{Control, Teller};
use crate::cli::bench::noop::Noop;
use crate::cli::bench::protocol::{Begun, Order, Report, Span, Work};
use crate::cli::bench::record::Recorder;
use crate::cli::exit::{Exit, Failure, chain};

/// How often a worker is asked whether it is busy: how precisely the end of the last job is known.
const LOOK_EVERY: Duration = Duration::from_millis(2);

async fn noop<const KEEP: bool>(job: Noop<KEEP>, recorder: State<Arc<Recorder>>) -> Result<u64, Infallible> {
    recorder.ran(job.n);
    Ok(job.n)
}

pub(super) async fn run<const KEEP: bool>(
    order: &Order,
    how: Work,
    broker: Arc<dyn Broker>,
    control: &Control,
) -> Result<Report, Failure> {
    let recorder = Arc::new(Recorder::new(order.jobs, how.starts));
    let tasks = Tasks::new().handle(noop::<KEEP>).state(Arc::clone(&recorder));
    let worker = Worker::builder(broker, tasks).concurrency(how.concurrency).queues(how.queues).build();
    let worker = worker.map_err(|error| Failure::usage(chain(&error)))?;
    control.ready().await?;
    let span = if order.jobs == 0 { idle(worker, control).await? } else { busy(worker, &recorder, control).await? };
    recorder
        .write(&how.record)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write {}: {error}", how.record.display())))?;
    Ok(Report { span, ..Report::default() })
}

/// Runs jobs. The span lasts until the last one has ended.
async fn busy(worker: Worker, recorder: &Recorder, control: &Control) -> Result<Span, Failure> {
    let begun = Begun::now();
    let ran = Arc::new(AtomicU64::new(0));
    let teller = Teller::of(Arc::clone(&ran));
    let mut span = begun.until_now();
    let handle = worker.handle();
    let ended = tokio::select! {
        ended = worker.run_until(control.stopped()) => ended,
        never = watch(&handle, recorder, begun, (&mut span, &ran)) => match never {},
    };
    drop(teller);
    ended.map_err(|error| failed(&error))?;
    Ok(span)
}

/// Waits for jobs that do not come, and does nothing that would cost something meanwhile. The span begins with the second
/// word, when all that a start takes is done, and ends with the word to stop.
async fn idle(worker: Worker, control: &Control) -> Result<Span, Failure> {
    let mut span = Begun::now().until_now();
    let told = async {
        control.told_to_go().await;
        let begun = Begun::now();
        control.stopped().await;
        span = begun.until_now();
    };
    worker.run_until(told).await.map_err(|error| failed(&error))?;
    Ok(span)
}

fn failed(error: &WorkerError) -> Failure {
    Failure::new(Exit::Failed, format!("the worker failed: {}", chain(error)))
}

/// Extends the span for as long as there is something to do, and counts on.
async fn watch(
    handle: &WorkerHandle,
    recorder: &Recorder,
    begun: Begun,
    (span, ran): (&mut Span, &AtomicU64),
) -> Infallible {
    let mut busy = false;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let total = recorder.total();
        let was_busy = busy;
        busy = handle.running() > 0 || total != ran.load(Ordering::Relaxed);
        // The look after the last busy one sees the end of what that one saw.
        if busy || was_busy {
            *span = begun.until_now();
        }
        ran.store(total, Ordering::Relaxed);
    }
}
