//! A Redis that takes seconds for everything: work goes on, slowly, and nobody loses a lease or tries ever harder.

use std::time::{Duration, Instant};

use celeriac::Client;
use celeriac_testkit::{Commands, Fault, Order, Rule};

use crate::link::{Link, PATIENCE, count, done, link, stay, took};

/// Makes everything take so much longer on its way there and back again.
fn slow_down(link: &Link, there_and_back: Duration) -> Order {
    let (command, answer) = (there_and_back / 2, there_and_back / 2);
    link.proxy.set(Rule::new(Commands::any(), Fault::Delay { command, answer }).always())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_outlives_its_lease_is_not_lost_by_a_worker_whose_redis_is_slow() {
    let link = link().await;
    link.worker(|worker| worker).await;
    let commands = slow_down(&link, Duration::from_secs(3));
    let began = Instant::now();
    let long = link.straight.enqueue(stay { name: "stays".into() }).await.unwrap();
    link.ledger.has_begun("stays", 1).await;
    // Would condemn the other and take the job over as soon as the lease had ended.
    link.straight_worker(|worker| worker).await;
    let short = link.counted("short").await;
    assert_eq!(done(&short).await, "short");
    // The lease of 20 s began with the hand-out; without a renewal it is over by then.
    tokio::time::sleep_until((began + Duration::from_secs(25)).into()).await;
    link.ledger.open();
    assert_eq!(done(&long).await, "stays");
    took(
        "R17",
        &format!("with 3 s for each command, and {} of them, a job of 25 s had ended", commands.times()),
        began,
    );
    let end = link.straight.broker().result(long.id()).await.unwrap().unwrap();
    assert_eq!((end.attempt, end.losses, link.ledger.runs("stays")), (1, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_whose_redis_is_slow_stores_each_job_once_and_tries_no_harder() {
    let link = link().await;
    let patient = Client::builder(link.linked.broker().clone()).enqueue_timeout(PATIENCE).build().unwrap();
    // The server knows the script from then on.
    patient.enqueue(count { name: "before".into() }).await.unwrap();
    let commands = slow_down(&link, Duration::from_secs(2));
    let began = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..100 {
        let client = patient.clone();
        calls.spawn(async move { client.enqueue(count { name: number.to_string() }).await.unwrap() });
    }
    calls.join_all().await;
    took("R17", &format!("with 2 s for each command, and {} of them, 100 jobs were stored", commands.times()), began);
    let queues = link.straight.broker().queues().await.unwrap();
    assert_eq!(queues[0].ready, 101);
    // Four lanes, each with a look at the clock and a batch or two.
    assert!(commands.times() < 40, "{} commands", commands.times());
}
