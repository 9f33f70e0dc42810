//! A hundred who wait for the end of one job, in this process and in others, of whom half are gone before it comes.

use std::process::{Command, Stdio};
use std::time::Duration;

use celeriac::{Client, JobHandle, ResultError};
use celeriac_testkit::RedisServer;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use crate::jobs::{signature, success_of};
use crate::support::{Bench, Process, wait_for};

/// Processes that wait.
const PROCESSES: usize = 12;

async fn hold(bench: &Bench, client: &Client) -> (JobHandle<Box<RawValue>>, Process) {
    bench.task("while [ ! -e go ]; do sleep 0.05; done; echo '\"the end\"'");
    let job = client.enqueue_signature(signature("note")).await.unwrap();
    let worker = bench.worker("steady", &[]);
    (job, worker)
}

fn waiting(bench: &Bench, job: &JobHandle<Box<RawValue>>) -> std::process::Child {
    let mut command: Command = bench.celeriac(&["result", job.id().as_str(), "--wait"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

async fn a_hundred_wait_and_half_of_them_die(
    bench: &Bench,
    all_wait: impl AsyncFn(usize),
    dead_are_gone: impl AsyncFn(usize),
) {
    let client = bench.client().await;
    let (job, _worker) = hold(bench, &client).await;
    let mut processes: Vec<_> = (0..PROCESSES).map(|_| waiting(bench, &job)).collect();
    let (mut living, mut dying) = (JoinSet::new(), JoinSet::new());
    for number in 0..100 {
        let job = job.clone();
        let waiters = if number % 2 == 0 { &mut living } else { &mut dying };
        waiters.spawn(async move { job.result().await.map(|result| result.get().to_owned()) });
    }
    let early = job.result_within(Duration::from_millis(50)).await;
    assert!(matches!(early, Err(ResultError::NotYet { .. })), "{early:?}");
    all_wait(PROCESSES).await;

    dying.shutdown().await;
    for mut process in processes.drain(PROCESSES / 2..) {
        process.kill().unwrap();
        process.wait().unwrap();
    }
    dead_are_gone(PROCESSES / 2).await;

    std::fs::write(bench.path("go"), "").unwrap();
    for result in living.join_all().await {
        assert_eq!(result.unwrap(), "\"the end\"");
    }
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success() && output.stdout == b"\"the end\"\n", "{output:?}");
    }
    dead_are_gone(0).await;
    assert_eq!(success_of(&client, job.id()).await.attempt, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_wait_and_half_of_them_die_on_sqlite() {
    let bench = Bench::sqlite();
    a_hundred_wait_and_half_of_them_die(&bench, async |_| {}, async |_| {}).await;
}

/// How many connections are subscribed to the ends of jobs, by the server.
fn subscribed(server: &RedisServer) -> usize {
    let mut connection = redis::Client::open(server.url().address()).unwrap().get_connection().unwrap();
    let clients: String = redis::cmd("CLIENT").arg("LIST").arg("TYPE").arg("pubsub").query(&mut connection).unwrap();
    clients.lines().count()
}

/// Whoever waits costs its process one connection that listens, and that goes with the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_wait_and_half_of_them_die_on_redis() {
    let bench = Bench::redis();
    let server = bench.redis.as_ref().unwrap();
    let until = |what: &str, fits: &dyn Fn(usize) -> bool| {
        tokio::task::block_in_place(|| wait_for(what, || fits(subscribed(server)).then_some(())));
    };
    // This process listens too, once for all its waiters.
    let all_wait = async |processes| until("all to listen", &|listening| listening == processes + 1);
    let dead_are_gone = async |processes| until("the dead to be gone", &|listening| listening <= processes + 1);
    a_hundred_wait_and_half_of_them_die(&bench, all_wait, dead_are_gone).await;
}
