//! A rolling deployment with real processes: old workers and new ones serve one queue, jobs of a task that only the new ones know among the
//! others, and one after the other is replaced.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod support;

use celeriac::broker::JobView;
use celeriac::{Client, JobState, Signature};
use serde_json::value::RawValue;
use support::{Bench, wait_for};

const OLD: &str = r#"
[tasks.steady]
command = ["sh", "-c", "sleep 0.02; echo '\"old\"'"]

[tasks.small]
command = ["sh", "-c", "echo '\"small\"'"]
"#;

/// `small` has another name now, and there is one more task.
const NEW: &str = r#"
[tasks.steady]
command = ["sh", "-c", "sleep 0.02; echo '\"new\"'"]

[tasks.little]
command = ["sh", "-c", "echo '\"little\"'"]
aliases = ["small"]

[tasks.fresh]
command = ["sh", "-c", "echo '\"fresh\"'"]
"#;

async fn enqueue(client: &Client, task: &str, count: usize) -> Vec<celeriac::JobHandle<Box<RawValue>>> {
    let args = RawValue::from_string("{}".to_owned()).unwrap();
    let mut jobs = Vec::new();
    for _ in 0..count {
        jobs.push(client.enqueue_signature(Signature::new(task, args.clone())).await.unwrap());
    }
    jobs
}

async fn view(job: &celeriac::JobHandle<Box<RawValue>>) -> JobView {
    job.status().await.unwrap().unwrap()
}

async fn a_rolling_deployment_loses_and_fails_nothing(bench: Bench) {
    std::fs::write(bench.path("old.toml"), OLD).unwrap();
    std::fs::write(bench.path("new.toml"), NEW).unwrap();
    let client = bench.client().await;
    let start = |name: &str| {
        let config = if name.starts_with("old") { "old.toml" } else { "new.toml" };
        let worker = bench.worker(name, &["--config", config, "--grace", "10s", "-c", "4"]);
        bench.wait_for_text(&format!("{name}.log"), "registered");
        worker
    };
    let mut old = vec![start("old-1"), start("old-2")];
    let mut jobs = Vec::new();
    let mut new = Vec::new();
    for round in 1..=2 {
        jobs.extend(enqueue(&client, "steady", 40).await);
        // Nobody knows it in the first round: it is put aside until somebody does.
        jobs.extend(enqueue(&client, "fresh", 5).await);
        jobs.extend(enqueue(&client, "small", 5).await);
        new.push(start(&format!("new-{round}")));
        jobs.extend(enqueue(&client, "little", 5).await);
        let mut gone = old.pop().unwrap();
        gone.signal("TERM");
        assert!(gone.wait().success());
    }
    for job in &jobs {
        job.result().await.unwrap();
        let view = view(job).await;
        assert_eq!((view.state, view.failures, view.losses), (JobState::Succeeded, 0, 0), "{view:?}");
        assert_eq!(view.attempt, 1, "no attempt was spent on a worker that did not know it: {view:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_deployment_loses_and_fails_nothing_on_sqlite() {
    a_rolling_deployment_loses_and_fails_nothing(Bench::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_deployment_loses_and_fails_nothing_on_redis() {
    a_rolling_deployment_loses_and_fails_nothing(Bench::redis()).await;
}

/// What is parked is visible with its reason, costs no attempt, and runs when a worker that knows it starts.
async fn parked_jobs_run_when_a_worker_knows_them(bench: Bench) {
    std::fs::write(bench.path("old.toml"), OLD).unwrap();
    std::fs::write(bench.path("new.toml"), NEW).unwrap();
    let client = bench.client().await;
    let _old = bench.worker("old", &["--config", "old.toml"]);
    let job = enqueue(&client, "fresh", 1).await.remove(0);
    let listed = wait_for("the job to be parked", || {
        let output = bench.celeriac(&["job", "list", "--state", "parked"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.contains(job.id().as_str()).then_some(text)
    });
    assert!(listed.contains("no worker knows task"), "{listed}");
    let _new = bench.worker("new", &["--config", "new.toml"]);
    assert_eq!(job.result().await.unwrap().get(), "\"fresh\"");
    assert_eq!(view(&job).await.attempt, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_jobs_run_when_a_worker_knows_them_on_sqlite() {
    parked_jobs_run_when_a_worker_knows_them(Bench::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_jobs_run_when_a_worker_knows_them_on_redis() {
    parked_jobs_run_when_a_worker_knows_them(Bench::redis()).await;
}

/// SIGUSR1: the worker takes no more, finishes what runs, and ends when it is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_told_to_be_quiet_takes_no_more() {
    let bench = Bench::sqlite();
    bench.task("echo begun >> $LEDGER; sleep 0.5; echo done >> $LEDGER");
    let client = bench.client().await;
    let mut worker = bench.worker("quiet", &[]);
    let first = enqueue(&client, "note", 1).await.remove(0);
    bench.wait_for_text("ledger", "begun");
    worker.signal("USR1");
    bench.wait_for_text("quiet.log", "quiet: no more jobs are fetched");
    let second = enqueue(&client, "note", 1).await.remove(0);
    first.result().await.unwrap();
    worker.signal("TERM");
    assert!(worker.wait().success());
    assert_eq!(bench.ledger_lines(), 2, "one began and ended");
    assert_eq!(view(&second).await.state, JobState::Queued);
}

#[test]
fn a_worker_that_may_begin_so_many_jobs_ends_by_itself() {
    let bench = Bench::sqlite();
    bench.task("echo done >> $LEDGER");
    for _ in 0..5 {
        assert!(bench.celeriac(&["enqueue", "note"]).output().unwrap().status.success());
    }
    let mut worker = bench.worker("few", &["--max-tasks", "3"]);
    assert!(worker.wait().success());
    assert_eq!(bench.ledger_lines(), 3);
}
