//! How attempts are told to stop, and what becomes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use celeriac_core::{Outcome, Record, State as JobState, Task, TaskError};
use celeriac_worker::{CancelReason, CommandTask, Context, Tasks};

use crate::support::{Answer, AtWork, Probe, end, enqueue, named, probes, store, until};

/// How long a revoked attempt may go on.
const REVOKE_GRACE: Duration = Duration::from_secs(5);

/// A handler that answers why it was told to stop.
async fn told(_: Probe, context: Context) -> Answer {
    context.cancelled().await;
    Err(TaskError::permanent(format!("{:?}", context.cancel_reason())))
}

/// A script that says how it was told to stop, and does as `then` says.
fn script(then: &str) -> CommandTask {
    let script = format!("trap 'echo told >&2; {then}' TERM; while :; do sleep 0.01; done");
    CommandTask::new(Probe::NAME, "sh", vec!["-c".to_owned(), script])
}

fn soft(millis: u64) -> Vec<Record> {
    let mut records = probes(1);
    records[0].options.soft_timeout_ms = Some(millis);
    records
}

/// Runs one job, and revokes it once `running` says that it runs.
async fn revoked(tasks: Tasks, runs: impl FnMut() -> bool) -> (Outcome, Duration) {
    let store = store().await;
    let ids = enqueue(&store, probes(1)).await;
    let worker = AtWork::start(&store, tasks, |worker| worker.lease(Duration::from_secs(2)));
    until(runs).await;
    let asked = Instant::now();
    store.revoke(&ids, "a test").await.unwrap();
    let outcome = end(&store, &ids[0]).await;
    let took = asked.elapsed();
    worker.stop().await;
    (outcome, took)
}

#[tokio::test]
async fn at_the_soft_limit_the_handler_learns_why() {
    let store = store().await;
    let ids = enqueue(&store, soft(30)).await;
    let worker = AtWork::start(&store, Tasks::new().handle(told), |worker| worker);
    let ended = end(&store, &ids[0]).await;
    assert_eq!(ended.error, Some(format!("{:?}", Some(CancelReason::SoftTimeout))));
    worker.stop().await;
}

#[tokio::test]
async fn a_handler_may_go_on_after_its_soft_limit() {
    let store = store().await;
    let ids = enqueue(&store, soft(20)).await;
    let finishing = |_: Probe, context: Context| async move {
        context.cancelled().await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        Answer::Ok(2)
    };
    let worker = AtWork::start(&store, Tasks::new().handle(finishing), |worker| worker);
    assert_eq!(end(&store, &ids[0]).await.state, JobState::Succeeded);
    worker.stop().await;
}

#[tokio::test]
async fn a_command_gets_sigterm_at_the_soft_limit_and_sigkill_at_the_hard_one() {
    let store = store().await;
    let mut records = soft(200);
    records.extend(soft(200));
    records[1].task = "stubborn".parse().unwrap();
    records[1].options.timeout_ms = Some(500);
    let ids = enqueue(&store, records).await;
    let stubborn =
        CommandTask::new("stubborn", "sh", vec!["-c".into(), "trap '' TERM; while :; do sleep 0.01; done".into()]);
    let worker = AtWork::start(&store, Tasks::new().command(script("exit 3")).command(stubborn), |worker| worker);
    let polite = end(&store, &ids[0]).await.error.unwrap();
    assert!(polite.contains("exit status: 3") && polite.ends_with("told"), "{polite}");
    assert_eq!(end(&store, &ids[1]).await.error.as_deref(), Some("ran longer than 500ms"));
    worker.stop().await;
}

#[tokio::test]
async fn at_a_shutdown_the_handler_learns_why_and_the_job_is_handed_back() {
    let (store, reasons) = (store().await, Arc::new(AtomicUsize::new(0)));
    enqueue(&store, probes(1)).await;
    let noted = Arc::clone(&reasons);
    let noting = move |_: Probe, context: Context| {
        let noted = Arc::clone(&noted);
        async move {
            noted.store(1, Ordering::SeqCst);
            context.cancelled().await;
            noted.store(if context.cancel_reason() == Some(CancelReason::Shutdown) { 2 } else { 3 }, Ordering::SeqCst);
            std::future::pending::<Answer>().await
        }
    };
    let worker = AtWork::start(&store, Tasks::new().handle(noting), |worker| worker);
    until(|| reasons.load(Ordering::SeqCst) == 1).await;
    worker.handle.stop_now();
    assert_eq!(worker.ended().await.handed_back, 1);
    assert_eq!(reasons.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_handler_that_stops_at_a_shutdown_has_not_failed_unless_for_good() {
    for (number, handed_back, dead) in [(0, 1, 0), (1, 0, 1)] {
        let (store, running) = (store().await, Arc::new(AtomicUsize::new(0)));
        enqueue(&store, vec![named(Probe::NAME, number)]).await;
        let noted = Arc::clone(&running);
        let polite = move |probe: Probe, context: Context| {
            noted.store(1, Ordering::SeqCst);
            async move {
                context.cancelled().await;
                let error = if probe.number == 0 { TaskError::retry } else { TaskError::permanent };
                Answer::Err(error("stopped".to_owned()))
            }
        };
        let worker = AtWork::start(&store, Tasks::new().handle(polite), |worker| worker);
        until(|| running.load(Ordering::SeqCst) == 1).await;
        worker.handle.stop_now();
        let summary = worker.ended().await;
        assert_eq!((summary.handed_back, summary.dead), (handed_back, dead));
    }
}

#[tokio::test]
async fn the_failure_of_a_revoked_attempt_is_the_revocation() {
    let running = Arc::new(AtomicUsize::new(0));
    let noted = Arc::clone(&running);
    let handler = move |probe: Probe, context: Context| {
        noted.store(1, Ordering::SeqCst);
        told(probe, context)
    };
    let (outcome, took) = revoked(Tasks::new().handle(handler), || running.load(Ordering::SeqCst) == 1).await;
    assert_eq!((outcome.state, outcome.attempt), (JobState::Revoked, 1));
    assert!(took < REVOKE_GRACE, "{took:?}");
}

#[tokio::test]
async fn a_revoked_attempt_that_succeeds_has_succeeded() {
    let running = Arc::new(AtomicUsize::new(0));
    let noted = Arc::clone(&running);
    let handler = move |_: Probe, context: Context| {
        noted.store(1, Ordering::SeqCst);
        async move {
            context.cancelled().await;
            assert_eq!(context.cancel_reason(), Some(CancelReason::Revoked));
            Answer::Ok(1)
        }
    };
    let (outcome, _) = revoked(Tasks::new().handle(handler), || running.load(Ordering::SeqCst) == 1).await;
    assert_eq!(outcome.state, JobState::Succeeded);
}

#[tokio::test]
async fn a_revoked_attempt_that_goes_on_is_given_up_after_its_grace() {
    let running = Arc::new(AtomicUsize::new(0));
    let noted = Arc::clone(&running);
    let handler = move |_: Probe| {
        noted.store(1, Ordering::SeqCst);
        std::future::pending::<Answer>()
    };
    let (outcome, took) = revoked(Tasks::new().handle(handler), || running.load(Ordering::SeqCst) == 1).await;
    assert_eq!(outcome.state, JobState::Revoked);
    assert!(took >= REVOKE_GRACE, "{took:?}");
}

#[tokio::test]
async fn a_revoked_command_gets_sigterm_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (began, ended) = (folder.path().join("began"), folder.path().join("ended"));
    let script = format!(
        "trap 'touch {}; exit 3' TERM; touch {}; while :; do sleep 0.01; done",
        ended.display(),
        began.display()
    );
    let command = CommandTask::new(Probe::NAME, "sh", vec!["-c".into(), script]);
    let (outcome, took) = revoked(Tasks::new().command(command), || began.exists()).await;
    assert_eq!((outcome.state, ended.exists()), (JobState::Revoked, true));
    assert!(took < REVOKE_GRACE, "{took:?}");
}

#[tokio::test]
async fn a_job_that_is_revoked_while_it_waits_for_a_slot_never_starts() {
    let (store, runs) = (store().await, Arc::new(AtomicUsize::new(0)));
    let ids = enqueue(&store, vec![named(Probe::NAME, 0), named(Probe::NAME, 1)]).await;
    let counted = Arc::clone(&runs);
    let slow = move |_: Probe| -> Answer {
        counted.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(1500));
        Ok(1)
    };
    // Both are held, and the second waits for a place in the pool.
    let worker = AtWork::start(&store, Tasks::new().handle_blocking(slow), |worker| {
        worker.concurrency(2).blocking(1).lease(Duration::from_secs(2))
    });
    until(|| runs.load(Ordering::SeqCst) == 1 && worker.handle.running() == 2).await;
    store.revoke(&ids[1..], "a test").await.unwrap();
    assert_eq!(end(&store, &ids[1]).await.state, JobState::Revoked);
    assert_eq!(end(&store, &ids[0]).await.state, JobState::Succeeded);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    worker.stop().await;
}
