//! Two servers that change places: the old primary answers `READONLY` to whoever is still connected to it.

use std::time::{Duration, Instant};

use celeriac::{EnqueueError, ResultError};
use celeriac_testkit::{RedisOptions, RedisServer};

use crate::link::{Link, count, done, eventually, link, order, soon, stay, took};

/// A second server that follows the link's, and has all that it has.
async fn replica(link: &Link) -> RedisServer {
    let second = RedisServer::start(&RedisOptions::default());
    follow(&second, link.server.port());
    eventually(async || info(&second).contains("master_link_status:up")).await;
    second
}

fn info(server: &RedisServer) -> String {
    redis::from_redis_value(order(server, &["INFO", "replication"]).unwrap()).unwrap()
}

fn follow(server: &RedisServer, port: u16) {
    order(server, &["REPLICAOF", "127.0.0.1", &port.to_string()]).unwrap();
}

/// Waits until the replica has every command that the primary has carried out so far.
fn wait_for_replica(primary: &RedisServer) {
    let mut connection = redis::Client::open(primary.url().expose()).unwrap().get_connection().unwrap();
    // WAIT is about what its own connection has written: this is behind all else.
    let _: () = redis::cmd("SET").arg("mark").arg("1").query(&mut connection).unwrap();
    let replicas: u32 = redis::cmd("WAIT").arg(1).arg(60_000).query(&mut connection).unwrap();
    assert_eq!(replicas, 1);
}

/// Makes the second server the primary and the first its replica. Connections to the first stay.
fn fail_over(link: &Link, second: &RedisServer) {
    order(second, &["REPLICAOF", "NO", "ONE"]).unwrap();
    link.proxy.switch_to(second.port());
    follow(&link.server, second.port());
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_and_producers_find_the_new_primary_without_a_restart() {
    let link = link().await;
    link.worker(|worker| worker).await;
    let second = replica(&link).await;
    let before = link.linked.enqueue(count { name: "before".into() }).await.unwrap();
    assert_eq!(done(&before).await, "before");
    let running = link.linked.enqueue(stay { name: "stays".into() }).await.unwrap();
    link.ledger.has_begun("stays", 1).await;
    wait_for_replica(&link.server);
    let began = Instant::now();
    fail_over(&link, &second);
    let after = soon(link.linked.enqueue(count { name: "after".into() })).await.unwrap();
    took("R6", "a job was enqueued at the new primary", began);
    assert_eq!(done(&after).await, "after");
    took("R6", "it had run, by the same worker, and its result was there", began);
    let within = began.elapsed() < Duration::from_secs(10);
    println!("R6: within 10 s: {}", if within { "yes" } else { "NO" });
    // What ran meanwhile ends at the new primary.
    link.ledger.open();
    assert_eq!(done(&running).await, "stays");
    assert_eq!((link.ledger.runs("stays"), link.ledger.runs("after")), (1, 1));
    assert!(info(&link.server).contains("role:slave"), "the old one is not asked any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_over_and_back_under_load_loses_and_doubles_nothing_that_was_replicated() {
    let link = link().await;
    link.worker(|worker| worker).await;
    let second = replica(&link).await;
    let mut jobs = Vec::new();
    for number in 0..60 {
        if number == 20 || number == 40 {
            // Nothing is under way, so everything that was acknowledged is at the replica.
            let (primary, replica) = if number == 20 { (&link.server, &second) } else { (&second, &link.server) };
            eventually(async || info(replica).contains("master_link_status:up")).await;
            wait_for_replica(primary);
            order(replica, &["REPLICAOF", "NO", "ONE"]).unwrap();
            link.proxy.switch_to(replica.port());
            follow(primary, replica.port());
        }
        let job = soon(link.linked.enqueue(count { name: number.to_string() })).await.unwrap();
        assert_eq!(done(&job).await, number.to_string());
        jobs.push(job);
    }
    assert_eq!(link.ledger.all_runs(), 61);
    // The link's own server is the primary again.
    link.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_new_primary_never_saw_is_reported_as_not_kept() {
    let link = link().await;
    let second = replica(&link).await;
    let kept = link.linked.enqueue(count { name: "kept".into() }).await.unwrap();
    wait_for_replica(&link.server);
    // From here on the replica lags behind.
    order(&second, &["REPLICAOF", "NO", "ONE"]).unwrap();
    let lost = link.linked.enqueue(count { name: "lost".into() }).await.unwrap();
    link.proxy.switch_to(second.port());
    follow(&link.server, second.port());
    let error = soon(lost.result()).await.unwrap_err();
    assert!(matches!(&error, ResultError::NotKept { id } if id == lost.id()), "{error}");
    // Its lane is one batch ahead of the store, which notices; the next job goes on another.
    let after: Result<_, EnqueueError> = soon(link.linked.enqueue(count { name: "after".into() })).await;
    let after = after.unwrap();
    let broker = link.linked.broker();
    assert!(broker.job(kept.id()).await.unwrap().is_some() && broker.job(after.id()).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_dies_is_replaced_by_its_replica() {
    let link = link().await;
    link.worker(|worker| worker).await;
    let second = replica(&link).await;
    wait_for_replica(&link.server);
    let began = Instant::now();
    link.server.kill();
    order(&second, &["REPLICAOF", "NO", "ONE"]).unwrap();
    link.proxy.switch_to(second.port());
    let after = soon(link.linked.enqueue(count { name: "after".into() })).await.unwrap();
    assert_eq!(done(&after).await, "after");
    took("R6, the primary dies", "a job had run at the new one", began);
    assert_eq!(link.ledger.runs("after"), 1);
}
