//! Jobs of command tasks, and what became of them.

use std::time::{Duration, Instant};

use celeriac::{Client, JobId, JobState, Outcome, Signature};
use serde_json::value::RawValue;

/// How long an awaited state may take. Far above what is normal: machines are noisy.
const PATIENCE: Duration = Duration::from_secs(90);

/// A job of the task of `Bench::task`, or of another without arguments.
pub(crate) fn signature(task: &str) -> Signature {
    Signature::new(task, RawValue::from_string("{}".into()).unwrap())
}

/// Enqueues `count` jobs of the task `note`.
pub(crate) async fn enqueue(client: &Client, count: usize) -> Vec<JobId> {
    let jobs = client.enqueue_all((0..count).map(|_| signature("note")).collect()).await.unwrap();
    jobs.into_iter().map(|(id, _)| id).collect()
}

/// Waits for the end of a job.
pub(crate) async fn end_of(client: &Client, id: &JobId) -> Outcome {
    let end = client.broker().wait_result(id);
    tokio::time::timeout(PATIENCE, end).await.unwrap_or_else(|_| panic!("job {id} has not ended")).unwrap()
}

/// Waits for the end of a job that must have succeeded.
pub(crate) async fn success_of(client: &Client, id: &JobId) -> Outcome {
    let outcome = end_of(client, id).await;
    assert_eq!(outcome.state, JobState::Succeeded, "{id}: {:?}", outcome.error);
    outcome
}

/// Attempts and losses of a job that must have succeeded.
pub(crate) async fn attempts_and_losses(client: &Client, id: &JobId) -> (u32, u32) {
    let outcome = success_of(client, id).await;
    (outcome.attempt, outcome.losses)
}

/// Waits until so many jobs of a queue are held by workers.
pub(crate) async fn until_held(client: &Client, queue: &str, count: u64) {
    let began = Instant::now();
    loop {
        let queues = client.broker().queues().await.unwrap();
        let held = queues.iter().find(|view| view.name.as_str() == queue).map_or(0, |view| view.running);
        if held == count {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{held} jobs are held, and not {count}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until nobody has a lease that could end, and nobody is condemned and not drained: what can run again because of a death, does.
pub(crate) async fn until_all_leases_are_over(client: &Client) {
    let began = Instant::now();
    loop {
        let looked = client.broker().condemn_expired(16).await.unwrap();
        if looked.next_expiry.is_none() && looked.lost.is_empty() {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "a lease did not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Says how long a recovery took.
pub(crate) fn tell(row: &str, what: &str, since: Instant) {
    println!("{row}: {what} after {:.1} s", since.elapsed().as_secs_f64());
}
