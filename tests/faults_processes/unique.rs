//! Unique keys of jobs whose workers are killed: held until the job has ended, free from then on, whatever the end.

use std::time::Instant;

use celeriac::{Client, EnqueueError, JobId, JobState};

use crate::jobs::{attempts_and_losses, end_of, signature, success_of, tell, until_held};
use crate::support::{Bench, wait_for};

const KEY: &str = "only-one";

async fn enqueue(client: &Client) -> JobId {
    client.enqueue_signature(signature("note").unique(KEY)).await.unwrap().id().clone()
}

/// Another job of the same key is refused, and told who has the key.
async fn is_refused(client: &Client, expected: &JobId) {
    let answer = client.enqueue_signature(signature("note").unique(KEY)).await;
    let Err(EnqueueError::UniqueInUse { holder, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(&holder, expected);
}

async fn a_key_stays_with_the_job_of_a_dead_worker_until_it_has_ended(bench: Bench) {
    bench.task("echo $CELERIAC_ATTEMPT >> $LEDGER; while [ ! -e go ]; do sleep 0.05; done");
    let client = bench.client().await;
    let id = enqueue(&client).await;
    let victim = bench.worker("victim", &[]);
    wait_for("the job to begin", || bench.ledger().contains_key("1").then_some(()));
    victim.kill();
    is_refused(&client, &id).await;
    let _second = bench.worker("second", &[]);
    wait_for("the job to begin again", || bench.ledger().contains_key("2").then_some(()));
    is_refused(&client, &id).await;
    std::fs::write(bench.path("go"), "").unwrap();
    assert_eq!(attempts_and_losses(&client, &id).await, (2, 1));
    success_of(&client, &enqueue(&client).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stays_with_the_job_of_a_dead_worker_until_it_has_ended_on_sqlite() {
    a_key_stays_with_the_job_of_a_dead_worker_until_it_has_ended(Bench::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stays_with_the_job_of_a_dead_worker_until_it_has_ended_on_redis() {
    a_key_stays_with_the_job_of_a_dead_worker_until_it_has_ended(Bench::redis()).await;
}

/// The job kills three workers; the key is free with its death, and a retry by hand takes it again only if nobody else has it.
async fn a_key_is_free_when_its_job_has_killed_three_workers(bench: Bench) {
    bench.task("[ -e spare ] || kill -9 $PPID; while [ ! -e go ]; do sleep 0.05; done");
    let client = bench.client().await;
    let id = enqueue(&client).await;
    let (mut worker, began) = (bench.worker("victim", &[]), Instant::now());
    while client.broker().result(&id).await.unwrap().is_none() {
        if worker.has_ended() {
            worker = bench.worker("victim", &[]);
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    tell("S9", "three deaths and a free key", began);
    let dead = end_of(&client, &id).await;
    assert_eq!((dead.state, dead.losses), (JobState::Dead, 3));
    std::fs::write(bench.path("spare"), "").unwrap();
    let next = enqueue(&client).await;
    until_held(&client, "default", 1).await;
    is_refused(&client, &next).await;
    let retried = client.broker().retry_dead(std::slice::from_ref(&id)).await.unwrap();
    assert_eq!(retried, [celeriac::broker::Retried::UniqueInUse { holder: next.clone() }]);
    std::fs::write(bench.path("go"), "").unwrap();
    success_of(&client, &next).await;
    let retried = client.broker().retry_dead(std::slice::from_ref(&id)).await.unwrap();
    assert_eq!(retried, [celeriac::broker::Retried::Done]);
    success_of(&client, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_free_when_its_job_has_killed_three_workers_on_sqlite() {
    a_key_is_free_when_its_job_has_killed_three_workers(Bench::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_free_when_its_job_has_killed_three_workers_on_redis() {
    a_key_is_free_when_its_job_has_killed_three_workers(Bench::redis()).await;
}
