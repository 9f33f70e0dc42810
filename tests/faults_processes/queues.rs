//! Queues that are paused and purged while their jobs run: what runs comes to its end, what waits does not begin.

use celeriac::{JobId, JobState};

use crate::jobs::{end_of, enqueue, success_of, until_held};
use crate::support::{Bench, wait_for};

fn order(bench: &Bench, arguments: &[&str]) {
    let output = bench.celeriac(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

fn ran(bench: &Bench, id: &JobId) -> bool {
    bench.ledger().contains_key(id.as_str())
}

async fn a_queue_is_paused_and_purged_while_its_jobs_run(bench: Bench) {
    bench.task("echo $CELERIAC_JOB_ID >> $LEDGER; while [ ! -e go ]; do sleep 0.05; done");
    let client = bench.client().await;
    let ids = enqueue(&client, 50).await;
    let _worker = bench.worker("steady", &["-c", "4"]);
    wait_for("four jobs to run", || (bench.ledger_lines() == 4).then_some(()));
    order(&bench, &["queue", "pause", "default"]);
    // What a worker has fetched in advance and cannot run goes back, into a paused queue too.
    until_held(&client, "default", 4).await;
    order(&bench, &["queue", "purge", "default", "--yes"]);
    let later = enqueue(&client, 3).await;
    std::fs::write(bench.path("go"), "").unwrap();
    for id in &ids {
        let outcome = end_of(&client, id).await;
        let expected = if ran(&bench, id) { (JobState::Succeeded, 1) } else { (JobState::Revoked, 0) };
        assert_eq!((outcome.state, outcome.attempt), expected);
    }
    assert_eq!(bench.ledger_lines(), 4, "purged jobs never began, and later ones wait");
    until_held(&client, "default", 0).await;
    let queue = client.broker().queues().await.unwrap().remove(0);
    assert_eq!((queue.ready, queue.paused), (3, true));
    order(&bench, &["queue", "resume", "default"]);
    for id in &later {
        success_of(&client, id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_paused_and_purged_while_its_jobs_run_on_sqlite() {
    a_queue_is_paused_and_purged_while_its_jobs_run(Bench::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_paused_and_purged_while_its_jobs_run_on_redis() {
    a_queue_is_paused_and_purged_while_its_jobs_run(Bench::redis()).await;
}
