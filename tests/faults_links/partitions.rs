//! Links on which nothing arrives any more, one way or both, and nobody says so.

use std::time::{Duration, Instant};

use celeriac::broker::{BrokerError, JobFilter};
use celeriac::{CancelReason, Client, EnqueueError};
use celeriac_testkit::{Commands, Fault, FaultProxy, Order, Rule, Way};

use crate::link::{Link, count, done, eventually, heartbeats, link, settlements, soon, stay, took};

/// Of workers that shall lose it.
const SHORT: Duration = Duration::from_secs(2);

/// Of workers that shall keep it: longer than most of what a busy machine may keep them from.
const LONGER: Duration = Duration::from_secs(3);

/// Lets a worker run a job, partitions it off for longer than its lease, and lets another worker take the job over.
async fn moves_and_ends_once(row: &str, cut_off: impl FnOnce(&FaultProxy)) {
    let link = link().await;
    let zombie = link.worker(|worker| worker.name("zombie").lease(SHORT)).await;
    let job = link.straight.enqueue(stay { name: "stays".into() }).await.unwrap();
    link.ledger.has_begun("stays", 1).await;
    let second = link.straight_worker(|worker| worker.name("second").lease(LONGER)).await;
    let began = Instant::now();
    cut_off(&link.proxy);
    assert_eq!(link.ledger.was_told("stays").await, CancelReason::LeaseAtRisk);
    link.ledger.has_begun("stays", 2).await;
    took(row, "with a lease of 2 s, the job had begun elsewhere", began);
    // The zombie goes on all the same, and both end; whoever comes first with that, one end counts.
    link.ledger.open();
    assert_eq!(done(&job).await, "stays");
    let healed = Instant::now();
    link.proxy.heal();
    second.handle.stop();
    soon(second.end).await.unwrap().unwrap();
    // The zombie learns of it, and works again: there is nobody else.
    assert_eq!(done(&link.counted("after").await).await, "after");
    took(row, "the worker that was cut off worked again", healed);
    let outcome = link.straight.broker().result(job.id()).await.unwrap().unwrap();
    assert_eq!((outcome.worker.as_ref(), outcome.losses, outcome.attempt), ("second", 1, 2));
    zombie.handle.stop();
    let summary = soon(zombie.end).await.unwrap().unwrap();
    assert!(summary.leases_lost >= 1, "{summary:?}");
    assert_eq!(link.ledger.runs("stays"), 2);
    link.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_moves_when_its_worker_is_partitioned_off_and_late_commands_change_nothing() {
    moves_and_ends_once("R22, bytes arrive later", |proxy| proxy.hold(Way::Both)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_moves_when_its_worker_is_partitioned_off_and_connections_are_dead() {
    moves_and_ends_once("R22, bytes vanish", |proxy| proxy.vanish(Way::Both)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_moves_when_its_worker_speaks_and_hears_nothing() {
    moves_and_ends_once("R23, answers vanish", |proxy| proxy.vanish(Way::ToClient)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_moves_when_its_worker_hears_and_is_not_heard() {
    moves_and_ends_once("R23, commands vanish", |proxy| proxy.vanish(Way::ToServer)).await;
}

/// Lets one connection fall silent for ever, from the next of these commands on.
fn silence(link: &Link, commands: Commands, way: Way) -> Order {
    link.proxy.set(Rule::new(commands, Fault::Vanish(way)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_connection_for_commands_is_left_after_its_timeout() {
    let link = link().await;
    link.worker(|worker| worker).await;
    let silent = silence(&link, settlements(), Way::Both);
    let job = link.counted("second").await;
    assert!(soon(silent.happened()).await);
    let began = Instant::now();
    assert_eq!(done(&job).await, "second");
    took("R16, commands", "the end was settled", began);
    assert_eq!(link.ledger.runs("second"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_connection_for_commands_is_left_by_a_producer_too() {
    let link = link().await;
    link.linked.enqueue(count { name: "before".into() }).await.unwrap();
    let silent = silence(&link, Commands::holding("precious"), Way::ToClient);
    let began = Instant::now();
    let job = link.linked.enqueue(count { name: "precious".into() }).await.unwrap();
    assert!(silent.happened().await);
    took("R16, commands", "the job was known to be stored", began);
    assert!(link.straight.broker().job(job.id()).await.unwrap().is_some());
    link.has_ready(2).await;
}

/// A worker waits, each time on another connection, on which nothing arrives.
async fn waits_in_vain(row: &str, way: Way) {
    let link = link().await;
    // It looks at what waits beside free slots four times as often as it does by itself.
    let worker = link.worker(|worker| worker.patience(Duration::from_millis(2500)).lease(SHORT)).await;
    let waits = Rule::new(Commands::named("BLPOP").and_holding(":ctl:"), Fault::Vanish(way)).always();
    let silent = link.proxy.set(waits);
    // The wait before it ends by this job.
    done(&link.counted("second").await).await;
    assert!(soon(silent.happened()).await);
    let began = Instant::now();
    let job = link.counted("third").await;
    assert_eq!(done(&job).await, "third");
    took(row, "with a patience of 2.5 s and a lease of 2 s, the job had run", began);
    assert_eq!(link.ledger.runs("third"), 1);
    assert!(worker.handle.health().is_live());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_work_that_the_server_never_saw_is_given_up_when_there_is_work() {
    waits_in_vain("R16, wait, both ways", Way::Both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_work_whose_answer_vanishes_is_given_up_when_there_is_work() {
    waits_in_vain("R16, wait, answers vanish", Way::ToClient).await;
}

/// A worker's heartbeats, or its waits for orders, go out on a connection on which nothing arrives.
async fn keeps_its_lease(commands: Commands) {
    let link = link().await;
    link.worker(|worker| worker.lease(LONGER)).await;
    let silent = silence(&link, commands, Way::Both);
    let job = link.straight.enqueue(stay { name: "stays".into() }).await.unwrap();
    assert!(soon(silent.happened()).await);
    // Would take the job over as soon as the lease had ended.
    link.straight_worker(|worker| worker.lease(LONGER)).await;
    let beats = link.count(heartbeats());
    eventually(async || beats.times() >= 8).await;
    link.ledger.open();
    assert_eq!(done(&job).await, "stays");
    assert_eq!(link.ledger.runs("stays"), 1, "the job ran twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_for_orders_costs_no_lease() {
    keeps_its_lease(Commands::holding(":orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_for_heartbeats_costs_no_lease() {
    keeps_its_lease(heartbeats()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_for_results_costs_seconds_and_no_result() {
    let link = link().await;
    link.straight_worker(|worker| worker).await;
    let silent = link.proxy.set(Rule::new(Commands::named("SUBSCRIBE"), Fault::Vanish(Way::Both)).always());
    let job = link.linked.enqueue(count { name: "second".into() }).await.unwrap();
    let began = Instant::now();
    assert_eq!(done(&job).await, "second");
    took("R16, results", "the result was there", began);
    assert!(soon(silent.happened()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_lost_costs_seconds_and_no_result() {
    let link = link().await;
    let subscribed = link.count(Commands::named("SUBSCRIBE"));
    let job = link.linked.enqueue(stay { name: "stays".into() }).await.unwrap();
    let lost = link.proxy.set(Rule::new(Commands::holding(":finished"), Fault::LosePush).always());
    let result = tokio::spawn({
        let job = job.clone();
        async move { done(&job).await }
    });
    assert!(soon(subscribed.happened()).await);
    link.straight_worker(|worker| worker).await;
    link.ledger.has_begun("stays", 1).await;
    let began = Instant::now();
    link.ledger.open();
    assert!(soon(lost.happened()).await);
    assert_eq!(soon(result).await.unwrap(), "stays");
    took("R25", "the result was there", began);
}

/// A producer that gives up soon, and has one lane, so that its second batch goes where its first did.
fn hasty(link: &Link) -> Client {
    let client = Client::builder(link.linked.broker().clone());
    client.lanes(1).enqueue_timeout(Duration::from_millis(500)).build().unwrap()
}

/// Lets an enqueue run into a partition, and expects a typed answer in time and one job after the batch was sent again.
async fn is_stored_once_when_sent_again(row: &str, cut_off: impl FnOnce(&FaultProxy)) {
    let link = link().await;
    let producer = hasty(&link);
    producer.enqueue(count { name: "before".into() }).await.unwrap();
    let began = Instant::now();
    cut_off(&link.proxy);
    let answer = soon(producer.enqueue(count { name: "precious".into() })).await.unwrap_err();
    took(row, "with a timeout of 0.5 s, the producer was told that nobody knows", began);
    let EnqueueError::Unknown { batch, source } = answer else { panic!("{answer:?}") };
    assert!(matches!(*source, BrokerError::InDoubt { .. } | BrokerError::Unreachable { .. }), "{source:?}");
    let ids: Vec<_> = batch.ids().cloned().collect();
    link.proxy.heal();
    let stored = soon(async {
        let mut batch = batch;
        loop {
            match producer.resend(batch).await {
                Ok(stored) => return stored,
                Err(EnqueueError::Unknown { batch: again, .. }) => batch = again,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    assert_eq!(stored.len(), 1);
    let listed = link.straight.broker().jobs(&JobFilter::default()).await.unwrap();
    assert_eq!(listed.iter().filter(|job| ids.contains(&job.id)).count(), 1);
    assert_eq!(listed.len(), 2);
    link.has_ready(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_behind_a_partition_learns_that_nobody_knows_and_stores_once_after_it() {
    is_stored_once_when_sent_again("R24, bytes vanish", |proxy| proxy.vanish(Way::Both)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_arrives_after_the_partition_beside_its_second_copy_is_stored_once() {
    is_stored_once_when_sent_again("R24, bytes arrive later", |proxy| proxy.hold(Way::Both)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_is_heard_and_hears_nothing_stores_once() {
    is_stored_once_when_sent_again("R24, answers vanish", |proxy| proxy.vanish(Way::ToClient)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_had_sent_nothing_yet_learns_that_nothing_was_stored() {
    let link = link().await;
    let producer = hasty(&link);
    link.proxy.vanish(Way::Both);
    let began = Instant::now();
    let answer = soon(producer.enqueue(count { name: "precious".into() })).await.unwrap_err();
    took("R24, first call", "with a timeout of 0.5 s, the producer was told that nothing was stored", began);
    assert!(matches!(answer, EnqueueError::NotApplied { .. }), "{answer:?}");
    assert!(answer.is_transient());
    link.proxy.heal();
    eventually(async || producer.broker().now().await.is_ok()).await;
    producer.enqueue(count { name: "precious".into() }).await.unwrap();
    link.has_ready(1).await;
}
