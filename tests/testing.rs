//! The test kit, as an application uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use celeriac::testing::TestQueue;
use celeriac::{Client, Context, JobState, State, TaskError, Tasks, task};

#[derive(Clone, Default)]
struct Runs {
    count: Arc<AtomicU32>,
}

#[task("count", queue = "numbers", retries = 2, backoff = "10s..1m")]
async fn count(to: u32, runs: State<Runs>, client: State<Client>) -> Result<u32, TaskError> {
    runs.count.fetch_add(1, Ordering::SeqCst);
    if to > 0 {
        client.enqueue(count { to: to - 1 }).await?;
    }
    Ok(to)
}

#[task("shaky", retries = 1, backoff = "10s..10s")]
async fn shaky(runs: State<Runs>, context: Context) -> Result<(), TaskError> {
    runs.count.fetch_add(1, Ordering::SeqCst);
    if context.attempt() == 1 { Err("not yet".into()) } else { Ok(()) }
}

#[task("sturdy")]
async fn sturdy(runs: State<Runs>) -> Result<u32, TaskError> {
    Ok(runs.count.fetch_add(1, Ordering::SeqCst))
}

async fn queue() -> (TestQueue, Runs) {
    let runs = Runs::default();
    let tasks = Tasks::new().task::<shaky>().task::<sturdy>().state(runs.clone());
    (TestQueue::new(tasks).await, runs)
}

#[tokio::test]
async fn jobs_that_enqueue_others_run_to_their_end() {
    let runs = Runs::default();
    let tasks = |client: Client| Tasks::new().task::<count>().state(client).state(runs.clone());
    let mut queue = TestQueue::with(tasks).await;
    queue.client().enqueue(count { to: 3 }).await.unwrap();
    let ran = queue.run_all().await;
    assert_eq!((ran.len(), runs.count.load(Ordering::SeqCst)), (4, 4));
    assert!(ran.iter().all(|step| step.state == JobState::Succeeded));
}

#[tokio::test]
async fn a_job_runs_when_the_test_says_so() {
    let (mut queue, runs) = queue().await;
    assert!(queue.run_one().await.is_none());
    let job = queue.client().enqueue(sturdy {}).await.unwrap();
    queue.assert_enqueued::<sturdy>(|_| true).await;
    queue.assert_not_enqueued::<shaky>().await;
    assert_eq!(runs.count.load(Ordering::SeqCst), 0);
    let step = queue.run_one().await.unwrap();
    assert_eq!((&step.id, step.task.as_str(), step.state), (job.id(), "sturdy", JobState::Succeeded));
    assert_eq!(job.result().await.unwrap(), 0);
    queue.assert_not_enqueued::<sturdy>().await;
}

#[tokio::test]
async fn a_retry_waits_for_the_clock() {
    let (mut queue, _) = queue().await;
    queue.client().enqueue(shaky {}).await.unwrap();
    let step = queue.run_one().await.unwrap();
    assert_eq!((step.state, step.error.as_deref()), (JobState::Retry, Some("not yet")));
    assert!(queue.run_all().await.is_empty());
    queue.advance(Duration::from_secs(20)).await;
    assert_eq!(queue.run_one().await.unwrap().state, JobState::Succeeded);
}

#[tokio::test]
async fn a_crash_lets_the_job_run_again_and_three_of_them_let_it_die() {
    let (mut queue, runs) = queue().await;
    queue.client().enqueue(sturdy {}).await.unwrap();
    assert_eq!(queue.crash_before_run().await.unwrap().state, JobState::Queued);
    assert_eq!(runs.count.load(Ordering::SeqCst), 0);
    assert_eq!(queue.crash_after_run().await.unwrap().state, JobState::Queued);
    assert_eq!(queue.run_one().await.unwrap().state, JobState::Succeeded);
    assert_eq!(runs.count.load(Ordering::SeqCst), 2, "the work was done twice");
    queue.client().enqueue(sturdy {}).await.unwrap();
    for state in [JobState::Queued, JobState::Queued, JobState::Dead] {
        assert_eq!(queue.crash_after_run().await.unwrap().state, state);
    }
}

#[tokio::test]
async fn an_expired_job_never_starts() {
    let (mut queue, runs) = queue().await;
    queue.client().enqueue(sturdy {}).expires(Duration::from_secs(5)).await.unwrap();
    queue.advance(Duration::from_secs(5)).await;
    assert_eq!(queue.run_one().await.unwrap().state, JobState::Expired);
    assert_eq!(runs.count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
#[should_panic(expected = "this waits:\n  sturdy {} on queue default")]
async fn a_failed_assertion_says_what_waits() {
    let (queue, _) = queue().await;
    queue.client().enqueue(sturdy {}).await.unwrap();
    queue.assert_enqueued::<shaky>(|_| true).await;
}
