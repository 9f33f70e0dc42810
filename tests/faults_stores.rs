//! Stores that are killed, absent or shared by processes that are killed.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod support;

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use celeriac::{JobId, Signature};
use serde_json::value::RawValue;
use support::{Bench, wait_for};

/// Acknowledged longer before the kill than `appendfsync everysec` may lose.
const SAFE_AGE: Duration = Duration::from_secs(2);

fn note() -> Signature {
    Signature::new("note", RawValue::from_string("{}".into()).unwrap())
}

/// Enqueues one job after the other until told to stop; returns the acknowledged ids with their times.
async fn produce(url: String, stop: Arc<AtomicBool>) -> Vec<(JobId, Instant)> {
    let client = celeriac::Client::connect(&url).await.unwrap();
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        // An error is no loss: nothing was promised. The producer goes on by itself.
        if let Ok(job) = client.enqueue_signature(note()).await {
            acknowledged.push((job.id().clone(), Instant::now()));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_costs_at_most_its_last_two_seconds() {
    let bench = Bench::redis();
    let redis = bench.redis.as_ref().unwrap();
    bench.task("echo $CELERIAC_JOB_ID >> $LEDGER");
    let stop = Arc::new(AtomicBool::new(false));
    let producer = tokio::spawn(produce(bench.url.clone(), Arc::clone(&stop)));
    let _worker = bench.worker("steady", &["-c", "4"]);
    // Long enough under load that acknowledged jobs of more than two seconds of age exist.
    let began = Instant::now();
    wait_for("load", || (began.elapsed() > SAFE_AGE * 2 && bench.ledger_lines() > 100).then_some(()));
    let killed = Instant::now();
    redis.kill();
    redis.restart();
    let before = bench.ledger_lines();
    wait_for("the worker to go on by itself", || (bench.ledger_lines() > before + 100).then_some(()));
    stop.store(true, Ordering::SeqCst);
    let acknowledged = producer.await.unwrap();
    assert!(acknowledged.iter().any(|(_, at)| *at > killed), "the producer went on by itself");
    let client = bench.client().await;
    for (id, at) in acknowledged {
        if at + SAFE_AGE < killed || at > killed {
            let outcome = client.broker().wait_result(&id).await.unwrap();
            assert_eq!(outcome.state.as_str(), "succeeded", "{id}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_for_a_redis_that_is_absent() {
    let bench = Bench::redis();
    let redis = bench.redis.as_ref().unwrap();
    bench.task("echo $CELERIAC_JOB_ID >> $LEDGER");
    redis.kill();
    let _worker = bench.worker("early", &[]);
    bench.wait_for_text("early.log", "waiting for the store");
    let refused = bench.celeriac(&["enqueue", "note"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let sentence = String::from_utf8(refused.stderr).unwrap();
    assert!(sentence.contains("127.0.0.1"), "it names the store: {sentence}");
    redis.restart();
    let done = bench.celeriac(&["enqueue", "note", "--wait", "60s"]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[celeriac::task("stuck")]
async fn stuck(started: celeriac::State<Arc<tokio::sync::Notify>>) -> Result<(), celeriac::TaskError> {
    started.notify_one();
    std::future::pending().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_told_to_end_does_not_wait_for_a_redis_that_is_away() {
    let bench = Bench::redis();
    let client = bench.client().await;
    let started = Arc::new(tokio::sync::Notify::new());
    let tasks = celeriac::Tasks::new().task::<stuck>().state(Arc::clone(&started));
    let worker = celeriac::Worker::builder(&client, tasks).grace(Duration::from_secs(1)).build().unwrap();
    let handle = worker.handle();
    let worker = tokio::spawn(worker.run());
    client.enqueue(stuck {}).await.unwrap();
    started.notified().await;
    bench.redis.as_ref().unwrap().kill();
    handle.stop();
    tokio::time::timeout(Duration::from_secs(60), worker).await.expect("it ends by itself").unwrap().unwrap();
}

/// Kills worker and producer fifty times in all while both use one file.
#[tokio::test(flavor = "multi_thread")]
async fn a_shared_sqlite_file_survives_killed_processes() {
    let bench = Bench::sqlite();
    bench.task("echo $CELERIAC_JOB_ID >> $LEDGER");
    let mut acknowledged = Vec::new();
    for round in 0..25 {
        let worker = bench.worker("victim", &["-c", "2"]);
        let mut producer = bench
            .celeriac(&["enqueue", "note", "--wait", "60s"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let kept = bench.celeriac(&["enqueue", "note", "--json"]).output().unwrap();
        assert!(kept.status.success(), "round {round}: {kept:?}");
        let answer: serde_json::Value = serde_json::from_slice(&kept.stdout).unwrap();
        acknowledged.push(answer["id"].as_str().unwrap().to_owned());
        // A different moment in each round.
        std::thread::sleep(Duration::from_millis(round * 37 % 250));
        producer.kill().unwrap();
        producer.wait().unwrap();
        worker.kill();
    }
    assert!(bench.ledger_lines() > 0, "some victims lived long enough to work");
    let _worker = bench.worker("survivor", &[]);
    let client = bench.client().await;
    for id in &acknowledged {
        let outcome = client.broker().wait_result(&id.parse().unwrap()).await.unwrap();
        assert!(outcome.state.is_terminal(), "{id}");
    }
    assert_eq!(integrity(&bench), "ok");
}

fn integrity(bench: &Bench) -> String {
    let file = rusqlite::Connection::open(bench.path("queue.db")).unwrap();
    file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}
