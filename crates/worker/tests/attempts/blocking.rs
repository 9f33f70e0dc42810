//! Blocking tasks.
#![expect(clippy::needless_pass_by_value, reason = "a handler owns what it is given")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use celeriac_core::{State as JobState, TaskError};
use celeriac_worker::{CancelReason, Context, State, Tasks, default_concurrency};

use crate::support::{Answer, AtWork, Lines, Probe, end, enqueue, probes, store, until};

/// How many functions run now, and how many did at most.
#[derive(Clone, Default)]
struct Gauge {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    released: Arc<AtomicUsize>,
}

impl Gauge {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }
}

fn measured(_probe: Probe, gauge: State<Gauge>) -> Answer {
    gauge.enter();
    std::thread::sleep(Duration::from_millis(20));
    gauge.now.fetch_sub(1, Ordering::SeqCst);
    Ok(1)
}

/// Runs until the test says so, whatever the worker says.
fn stubborn(_probe: Probe, gauge: State<Gauge>) -> Answer {
    gauge.enter();
    while gauge.released.load(Ordering::SeqCst) == 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    gauge.now.fetch_sub(1, Ordering::SeqCst);
    Ok(1)
}

#[tokio::test]
async fn no_more_blocking_tasks_run_at_once_than_the_pool_has_places() {
    let (store, gauge) = (store().await, Gauge::default());
    let ids = enqueue(&store, probes(8)).await;
    let tasks = Tasks::new().handle_blocking(measured).state(gauge.clone());
    let worker = AtWork::start(&store, tasks, |worker| worker.concurrency(8).blocking(2));
    for id in &ids {
        assert_eq!(end(&store, id).await.state, JobState::Succeeded);
    }
    assert_eq!(gauge.most.load(Ordering::SeqCst), 2);
    worker.stop().await;
}

#[tokio::test]
async fn the_wait_for_a_place_does_not_count_as_running() {
    let store = store().await;
    let mut records = probes(5);
    records.iter_mut().for_each(|record| record.options.timeout_ms = Some(250));
    let ids = enqueue(&store, records).await;
    let slow = |_: Probe| -> Answer {
        std::thread::sleep(Duration::from_millis(100));
        Ok(1)
    };
    let worker = AtWork::start(&store, Tasks::new().handle_blocking(slow), |worker| worker.concurrency(8).blocking(1));
    for id in &ids {
        assert_eq!(end(&store, id).await.state, JobState::Succeeded, "the last one waits for 400 ms");
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_panic_fails_the_attempt_and_frees_the_place() {
    let store = store().await;
    let ids = enqueue(&store, probes(2)).await;
    let odd = |probe: Probe| -> Answer { if probe.number == 0 { panic!("the thread tore") } else { Ok(1) } };
    let worker = AtWork::start(&store, Tasks::new().handle_blocking(odd), |worker| worker.blocking(1));
    let torn = end(&store, &ids[0]).await;
    assert_eq!((torn.state, torn.error.as_deref()), (JobState::Dead, Some("panicked: the thread tore")));
    assert_eq!(end(&store, &ids[1]).await.state, JobState::Succeeded);
    worker.stop().await;
}

#[tokio::test]
async fn a_time_limit_fails_the_attempt_and_the_thread_keeps_its_place() {
    let (store, gauge) = (store().await, Gauge::default());
    let mut records = probes(2);
    records[0].options.timeout_ms = Some(50);
    let ids = enqueue(&store, records).await;
    let tasks = Tasks::new().handle_blocking(stubborn).state(gauge.clone());
    let patience = Duration::from_millis(40);
    let worker = AtWork::start(&store, tasks, |worker| worker.concurrency(4).blocking(1).patience(patience));
    let failed = end(&store, &ids[0]).await;
    assert_eq!((failed.state, failed.error.as_deref()), (JobState::Dead, Some("ran longer than 50ms")));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((gauge.now(), gauge.most.load(Ordering::SeqCst)), (1, 1), "the second waits for the first's thread");
    let stuck = worker.handle.health().stuck;
    assert!(stuck.as_ref().is_some_and(|why| why.contains("all 1 threads")), "{stuck:?}");
    gauge.released.store(1, Ordering::SeqCst);
    assert_eq!(end(&store, &ids[1]).await.state, JobState::Succeeded);
    assert_eq!(worker.handle.health().stuck, None);
    worker.stop().await;
}

#[tokio::test]
async fn a_job_that_finds_no_place_is_passed_on_and_pays_no_attempt() {
    let (store, gauge) = (store().await, Gauge::default());
    let ids = enqueue(&store, probes(2)).await;
    let tasks = Tasks::new().handle_blocking(stubborn).state(gauge.clone());
    let worker = AtWork::start(&store, tasks, |worker| worker.concurrency(4).blocking(1));
    let passed_on = async {
        loop {
            let view = store.job(&ids[1]).await.unwrap().unwrap();
            if view.state == JobState::Retry {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let view = tokio::time::timeout(Duration::from_secs(30), passed_on).await.unwrap();
    assert_eq!((view.attempt, view.failures, gauge.now()), (0, 0, 1));
    gauge.released.store(1, Ordering::SeqCst);
    for id in &ids {
        assert_eq!(end(&store, id).await.state, JobState::Succeeded);
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_job_that_expires_while_it_waits_for_a_place_never_begins() {
    let (store, gauge) = (store().await, Gauge::default());
    let mut records = probes(2);
    records[1].options.expires_ms = Some(500);
    let ids = enqueue(&store, records).await;
    let tasks = Tasks::new().handle_blocking(stubborn).state(gauge.clone());
    let worker = AtWork::start(&store, tasks, |worker| worker.concurrency(4).blocking(1));
    until(|| gauge.now() == 1 && worker.handle.running() == 2).await;
    assert_eq!(end(&store, &ids[1]).await.state, JobState::Expired, "while the place is still taken");
    gauge.released.store(1, Ordering::SeqCst);
    assert_eq!(end(&store, &ids[0]).await.state, JobState::Succeeded);
    worker.stop().await;
}

#[tokio::test]
async fn a_log_line_says_that_a_thread_goes_on_after_its_attempt() {
    let lines = Lines::default();
    // This test's runtime has one thread, so what it logs is what this worker logs.
    let _logging = tracing::subscriber::set_default(lines.clone());
    let (store, gauge) = (store().await, Gauge::default());
    let mut records = probes(2);
    records[0].options.timeout_ms = Some(50);
    let ids = enqueue(&store, records).await;
    let tasks = Tasks::new().handle_blocking(stubborn).state(gauge.clone());
    let worker = AtWork::start(&store, tasks, |worker| worker.blocking(2));
    end(&store, &ids[0]).await;
    gauge.released.store(1, Ordering::SeqCst);
    end(&store, &ids[1]).await;
    worker.stop().await;
    assert_eq!(lines.with("its function goes on"), 1);
}

#[tokio::test]
async fn a_function_learns_that_its_time_is_over() {
    let (store, seen) = (store().await, Arc::new(AtomicUsize::new(0)));
    let mut records = probes(1);
    records[0].options.timeout_ms = Some(30);
    let ids = enqueue(&store, records).await;
    let noted = Arc::clone(&seen);
    let polite = move |_: Probe, context: Context| -> Answer {
        while !context.is_cancelled() {
            std::thread::sleep(Duration::from_millis(2));
        }
        noted.store(usize::from(context.cancel_reason() == Some(CancelReason::TimedOut)), Ordering::SeqCst);
        Err(TaskError::retry("stopped"))
    };
    let worker = AtWork::start(&store, Tasks::new().handle_blocking(polite), |worker| worker);
    assert_eq!(end(&store, &ids[0]).await.state, JobState::Dead);
    until(|| seen.load(Ordering::SeqCst) == 1).await;
    worker.stop().await;
}

#[test]
fn without_async_tasks_the_cores_are_the_limit() {
    let blocking = Tasks::new().handle_blocking(measured).state(Gauge::default());
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(default_concurrency(&blocking), cores);
    let asynchronous = Tasks::new().handle(|_: Probe| async { Answer::Ok(1) });
    assert_eq!(default_concurrency(&asynchronous), 16 * cores);
}
