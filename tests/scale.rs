//! A million jobs queued, a million scheduled, a hundred thousand dead: how long each verb of the command line takes.
//!
//! It takes minutes and measures, so it runs only when it is asked for, and asserts no time:
//! `cargo test --release --test scale -- --ignored --nocapture`
#![expect(clippy::print_stdout, reason = "it shows what it measured")]
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod support;

use std::time::{Duration, Instant};

use celeriac::{Client, TaskError, Tasks, Worker, task};
use support::Bench;

#[task("sleeper")]
async fn sleeper(number: u64) -> Result<u64, TaskError> {
    Ok(number)
}

#[task("doomed", queue = "doomed", retries = 0, result_ttl = "1m")]
async fn doomed(number: u64) -> Result<(), TaskError> {
    Err(TaskError::permanent(format!("number {} is unlucky", number % 100)))
}

async fn fill(client: &Client, (queued, scheduled, dead): (u64, u64, u64)) {
    client.enqueue_many((0..dead).map(|number| doomed { number })).await.unwrap();
    let worker = Worker::builder(client, Tasks::new().task::<doomed>()).queues(["doomed"]).burst(true).build().unwrap();
    assert_eq!(worker.run().await.unwrap().dead, dead);
    client.enqueue_many((0..queued).map(|number| sleeper { number })).await.unwrap();
    let later = Duration::from_secs(3600);
    client.enqueue_many((0..scheduled).map(|number| sleeper { number })).delay(later).await.unwrap();
}

async fn measure(bench: Bench, sizes: (u64, u64, u64)) {
    let client = bench.client().await;
    let began = Instant::now();
    fill(&client, sizes).await;
    let first = client.enqueue(sleeper { number: 1 }).await.unwrap().id().to_string();
    let late = client.enqueue(sleeper { number: 2 }).delay(Duration::from_secs(9)).await.unwrap().id().to_string();
    println!("{}: filled with {sizes:?} queued, scheduled, dead in {:.0?}", bench.url, began.elapsed());
    let verbs: Vec<Vec<&str>> = vec![
        vec!["queue", "list"],
        vec!["job", "list"],
        vec!["job", "list", "--state", "queued"],
        vec!["job", "list", "--state", "scheduled"],
        vec!["job", "list", "--state", "dead", "--limit", "1000"],
        vec!["job", "get", &first],
        vec!["job", "explain", &first],
        vec!["job", "revoke", &first],
        vec!["job", "revoke", &late],
        vec!["dead", "list", "--error", "number 77 is"],
        vec!["dead", "retry", "--error", "number 77 is", "--dry-run"],
        vec!["workers"],
        vec!["queue", "pause", "default"],
        vec!["queue", "resume", "default"],
        vec!["enqueue", "sleeper", "[1]"],
        vec!["doctor"],
    ];
    for verb in verbs {
        let began = Instant::now();
        let output = bench.celeriac(&verb).output().unwrap();
        let took = began.elapsed();
        println!("{:>6} ms  {}  (exit {:?})", took.as_millis(), verb.join(" "), output.status.code());
    }
    for verb in [vec!["dead", "retry", "--error", "number 77 is"], vec!["dead", "delete", "--all", "--yes"]] {
        let began = Instant::now();
        let output = bench.celeriac(&verb).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        println!("{:>6} ms  {}: {text}", began.elapsed().as_millis(), verb.join(" "));
    }
    let began = Instant::now();
    let output = bench.celeriac(&["queue", "purge", "default", "--yes"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    println!("{:>6} ms  queue purge default: {text}", began.elapsed().as_millis());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes, and measures"]
async fn every_verb_on_a_large_redis() {
    measure(Bench::redis(), (1_000_000, 1_000_000, 100_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes, and measures"]
async fn every_verb_on_a_large_sqlite() {
    measure(Bench::sqlite(), (1_000_000, 1_000_000, 100_000)).await;
}
