//! A Redis that comes back empty: everything in it is gone, and the workers and producers are not.

use std::time::Instant;

use celeriac::ResultError;

use crate::link::{count, done, eventually, link, order, soon, stay, took};
use crate::support::{Bench, wait_for};

/// A job that says so when it begins and when it ends, and ends when it is let.
const LINGER: &str =
    r#"echo began >> "$LEDGER"; while [ ! -e "$LEDGER.go" ]; do sleep 0.05; done; echo ended >> "$LEDGER""#;

#[test]
fn a_flushed_server_is_a_loud_line_and_running_jobs_end_all_the_same() {
    let bench = Bench::redis();
    bench.task(LINGER);
    let mut busy = bench.worker("busy", &[]);
    let enqueue = || {
        let output = bench.celeriac(&["enqueue", "note"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    enqueue();
    wait_for("the start of the job", || (bench.ledger_lines() == 1).then_some(()));
    let began = Instant::now();
    order(bench.redis.as_ref().unwrap(), &["FLUSHALL"]).unwrap();
    bench.wait_for_text("busy.log", "the store was reset");
    took("R3", "with a lease of 2 s, the worker had said that the store was reset, and registered", began);
    wait_for("the worker's registration", || {
        let output = bench.celeriac(&["workers", "--json"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("busy~").then_some(())
    });
    // Nobody else has the job, so its worker sees it through; the end is of a job that the store does not know.
    std::fs::write(bench.path("ledger.go"), "").unwrap();
    bench.wait_for_text("busy.log", "LeaseLost: the end of this attempt was refused");
    let lines = bench.ledger();
    assert_eq!((lines["began"], lines["ended"]), (1, 1));
    assert!(!busy.has_ended());
    enqueue();
    wait_for("the end of another job", || (bench.ledger().get("ended") == Some(&2)).then_some(()));
    assert!(!busy.has_ended());
    busy.signal("TERM");
    assert!(busy.wait().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_without_its_data_is_worked_with_again() {
    let link = link().await;
    let worker = link.worker(|worker| worker).await;
    let idle = link.worker(|worker| worker.name("idle")).await;
    let running = link.linked.enqueue(stay { name: "stays".into() }).await.unwrap();
    link.ledger.has_begun("stays", 1).await;
    let waiting =
        link.linked.enqueue(count { name: "waits".into() }).delay(std::time::Duration::from_secs(600)).await.unwrap();
    let began = Instant::now();
    link.server.restart();
    // The producer's lanes are ahead of a store that knows nothing: it takes fresh ones.
    let after = soon(link.linked.enqueue(count { name: "after".into() })).await.unwrap();
    assert_eq!(done(&after).await, "after");
    took("R3, restart", "a job had been enqueued and had run", began);
    eventually(async || link.straight.broker().workers().await.is_ok_and(|workers| workers.len() == 2)).await;
    // Who waits for what is gone is told so, and not left waiting.
    for lost in [&running, &waiting] {
        let error = soon(lost.result()).await.unwrap_err();
        assert!(matches!(&error, ResultError::NotKept { id } if id == lost.id()), "{error}");
    }
    // Nobody else has the job that runs, so its worker sees it through.
    link.ledger.open();
    link.ledger.has_ended("stays").await;
    eventually(async || worker.handle.running() + idle.handle.running() == 0).await;
    assert_eq!(link.ledger.runs("stays"), 1);
    let mut leases_lost = 0;
    for worker in [worker, idle] {
        worker.handle.stop();
        leases_lost += soon(worker.end).await.unwrap().unwrap().leases_lost;
    }
    assert_eq!(leases_lost, 1, "the late end was refused");
}
