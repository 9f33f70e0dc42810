//! Workers that are killed, stopped and told to end, as real processes on both stores.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod support;

use celeriac::broker::JobFilter;
use serde_json::value::RawValue;
use support::{Bench, wait_for};

/// Enqueues `count` jobs of the task `note` and returns their ids.
async fn enqueue(bench: &Bench, count: usize) -> Vec<String> {
    let client = bench.client().await;
    let signature = || celeriac::Signature::new("note", RawValue::from_string("{}".into()).unwrap());
    let accepted = client.enqueue_all((0..count).map(|_| signature()).collect()).await.unwrap();
    client.close().await;
    accepted.into_iter().map(|(id, _)| id.to_string()).collect()
}

/// Waits for the results of all jobs.
async fn finish(bench: &Bench, ids: &[String]) {
    let client = bench.client().await;
    for id in ids {
        let outcome = client.broker().wait_result(&id.parse().unwrap()).await.unwrap();
        assert_eq!(outcome.state.as_str(), "succeeded", "{id}: {:?}", outcome.error);
    }
}

async fn killed_workers_lose_nothing(bench: Bench) {
    bench.task("echo $CELERIAC_JOB_ID >> $LEDGER; sleep 0.02");
    let ids = enqueue(&bench, 500).await;
    for (worker, lines) in [("first", 50), ("second", 250)] {
        let process = bench.worker(worker, &["-c", "8"]);
        wait_for("progress", || (bench.ledger_lines() >= lines).then_some(()));
        process.kill();
    }
    let _third = bench.worker("third", &["-c", "8"]);
    finish(&bench, &ids).await;
    let ledger = bench.ledger();
    assert_eq!(ledger.len(), 500, "every job ran");
    // A second run has a recorded cause: the job was held, running or not yet settled, when its worker was killed.
    let client = bench.client().await;
    for id in &ids {
        let outcome = client.broker().result(&id.parse().unwrap()).await.unwrap().unwrap();
        assert!(ledger[id] <= 1 + outcome.losses as usize, "{id} ran again without a loss");
        assert_eq!(outcome.attempt, 1 + outcome.losses, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_lose_nothing_on_sqlite() {
    killed_workers_lose_nothing(Bench::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_lose_nothing_on_redis() {
    killed_workers_lose_nothing(Bench::redis()).await;
}

/// The first attempt waits for a file, so that it ends after another worker has taken the job.
async fn a_paused_worker_cannot_settle_what_it_lost(bench: Bench) {
    bench.task(
        "echo $CELERIAC_ATTEMPT >> $LEDGER; if [ $CELERIAC_ATTEMPT = 1 ]; then while [ ! -e go ]; do sleep 0.05; done; fi; echo $CELERIAC_ATTEMPT",
    );
    let ids = enqueue(&bench, 1).await;
    let paused = bench.worker("paused", &["-c", "1"]);
    wait_for("the first attempt", || bench.ledger().contains_key("1").then_some(()));
    paused.signal("STOP");
    let _other = bench.worker("other", &["-c", "1"]);
    finish(&bench, &ids).await;
    std::fs::write(bench.path("go"), "").unwrap();
    paused.signal("CONT");
    bench.wait_for_text("paused.log", "LeaseLost");
    let client = bench.client().await;
    let outcome = client.broker().result(&ids[0].parse().unwrap()).await.unwrap().unwrap();
    let result = outcome.result.as_ref().map(|result| result.get());
    assert_eq!((outcome.attempt, result, outcome.losses), (2, Some("2"), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_worker_cannot_settle_what_it_lost_on_sqlite() {
    a_paused_worker_cannot_settle_what_it_lost(Bench::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_worker_cannot_settle_what_it_lost_on_redis() {
    a_paused_worker_cannot_settle_what_it_lost(Bench::redis()).await;
}

async fn a_worker_told_to_end_hands_its_jobs_back(bench: Bench) {
    bench.task("echo $CELERIAC_ATTEMPT >> $LEDGER; while [ ! -e go ]; do sleep 0.05; done");
    let ids = enqueue(&bench, 3).await;
    let mut worker = bench.worker("leaving", &["-c", "2", "--grace", "1s"]);
    wait_for("two running jobs", || (bench.ledger_lines() >= 2).then_some(()));
    worker.signal("TERM");
    assert!(worker.wait().success(), "exit code 0 after SIGTERM");
    let client = bench.client().await;
    let mut filter = JobFilter::default();
    filter.limit = 10;
    let waiting = client.broker().jobs(&filter).await.unwrap();
    let attempts: Vec<u32> = waiting.iter().map(|job| job.attempt).collect();
    assert_eq!(attempts, [0, 0, 0], "handed back at once and no attempt spent");
    std::fs::write(bench.path("go"), "").unwrap();
    let _other = bench.worker("other", &[]);
    finish(&bench, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_told_to_end_hands_its_jobs_back_on_sqlite() {
    a_worker_told_to_end_hands_its_jobs_back(Bench::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_told_to_end_hands_its_jobs_back_on_redis() {
    a_worker_told_to_end_hands_its_jobs_back(Bench::redis()).await;
}

/// The poison kills its worker; a hundred innocents run beside it.
async fn a_job_that_kills_its_worker_ends_dead_and_its_neighbours_succeed(bench: Bench) {
    bench.task(r#"read line; case $line in *poison*) kill -9 $PPID;; *) sleep 0.1;; esac"#);
    let client = bench.client().await;
    let signature =
        |text: &str| celeriac::Signature::new("note", RawValue::from_string(format!("{text:?}\n")).unwrap());
    let mut signatures = vec![signature("innocent"); 101];
    signatures[50] = signature("poison");
    let ids: Vec<_> = client.enqueue_all(signatures).await.unwrap().into_iter().map(|(id, _)| id).collect();
    let mut worker = bench.worker("victim", &["-c", "8"]);
    let (mut kills, mut left) = (0, ids.clone());
    while !left.is_empty() {
        if worker.has_ended() {
            kills += 1;
            worker = bench.worker("victim", &["-c", "8"]);
        }
        // One look at the oldest that has not ended.
        if client.broker().result(&left[0]).await.unwrap().is_some() {
            left.remove(0);
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    for (place, id) in ids.iter().enumerate() {
        let outcome = client.broker().result(id).await.unwrap().unwrap();
        let expected = if place == 50 { ("dead", 3) } else { ("succeeded", outcome.losses.min(1)) };
        assert_eq!((outcome.state.as_str(), outcome.losses), expected, "job {place}: {:?}", outcome.error);
    }
    assert_eq!(kills, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_worker_ends_dead_and_its_neighbours_succeed_on_sqlite() {
    a_job_that_kills_its_worker_ends_dead_and_its_neighbours_succeed(Bench::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_worker_ends_dead_and_its_neighbours_succeed_on_redis() {
    a_job_that_kills_its_worker_ends_dead_and_its_neighbours_succeed(Bench::redis()).await;
}
