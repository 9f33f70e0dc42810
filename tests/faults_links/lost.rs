//! Answers that are lost after the command was carried out.

use std::time::{Duration, Instant};

use celeriac::CancelReason;
use celeriac::broker::JobFilter;
use celeriac_testkit::{Fault, Rule};

use crate::link::{count, done, heartbeats, link, reconciles, registrations, settlements, soon, stay, stumble, took};

const LOST: Fault = Fault::CutAnswer { at: 0 };

/// Short, so that its end is worth fearing, and long enough for a machine that has much else to do.
const LEASE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn an_enqueue_whose_answer_was_lost_is_stored_once() {
    let link = link().await;
    let before = link.linked.enqueue(count { name: "before".into() }).await.unwrap();
    let lost = link.proxy.lose_answer_to("precious");
    let job = link.linked.enqueue(count { name: "precious".into() }).await.unwrap();
    assert!(lost.happened().await);
    let stored = link.straight.broker().jobs(&JobFilter::default()).await.unwrap();
    assert_eq!(stored.len(), 2);
    link.has_ready(2).await;
    assert!([before, job].iter().all(|job| stored.iter().any(|stored| stored.id == *job.id())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_out_whose_answer_was_lost_is_handed_back_and_spends_no_attempt() {
    let link = link().await;
    link.worker(|worker| worker).await;
    let lost = link.proxy.lose_answer_to("q:counted:suspects");
    let began = Instant::now();
    let job = link.counted("second").await;
    assert!(lost.happened().await);
    assert_eq!(done(&job).await, "second");
    took("R19", "the job of a lost hand-out had run", began);
    let outcome = link.straight.broker().result(job.id()).await.unwrap().unwrap();
    assert_eq!((outcome.attempt, outcome.losses, link.ledger.all_runs()), (1, 0, 2));
    link.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_whose_answer_was_lost_is_done_again() {
    let link = link().await;
    link.worker(|worker| worker).await;
    let hand_out = link.proxy.lose_answer_to("q:counted:suspects");
    done(&link.counted("before").await).await;
    assert!(hand_out.happened().await, "so that the script is loaded");
    let hand_out = link.proxy.lose_answer_to("q:counted:suspects");
    let reconcile = link.proxy.set(Rule::new(reconciles(), LOST).times(3));
    let began = Instant::now();
    let job = link.counted("second").await;
    assert!(hand_out.happened().await);
    assert_eq!(done(&job).await, "second");
    took("R19", "the job of a lost hand-out had run, three lost reconciles later,", began);
    assert_eq!(reconcile.times(), 3);
    let outcome = link.straight.broker().result(job.id()).await.unwrap().unwrap();
    assert_eq!((outcome.attempt, outcome.losses, link.ledger.all_runs()), (1, 0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_whose_answer_was_lost_is_settled_once() {
    let link = link().await;
    link.worker(|worker| worker).await;
    let lost = link.proxy.set(Rule::new(settlements(), LOST));
    let job = link.counted("second").await;
    assert!(lost.happened().await);
    assert_eq!(done(&job).await, "second");
    // The worker goes on, and runs each job once.
    assert_eq!(done(&link.counted("third").await).await, "third");
    assert_eq!(link.ledger.all_runs(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_whose_answer_was_lost_is_one_retry() {
    let link = link().await;
    link.worker(|worker| worker).await;
    let lost = link.proxy.set(Rule::new(settlements(), LOST));
    let job = link.straight.enqueue(stumble { name: "stumbles".into() }).await.unwrap();
    assert!(lost.happened().await);
    assert_eq!(done(&job).await, "stumbles");
    let outcome = link.straight.broker().result(job.id()).await.unwrap().unwrap();
    assert_eq!((outcome.attempt, outcome.failures, outcome.losses), (2, 1, 0));
    assert_eq!(link.ledger.runs("stumbles"), 2);
    link.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_whose_answer_was_lost_leaves_one_worker_that_works() {
    let link = link().await;
    let before = link.straight_worker(|worker| worker).await;
    before.handle.stop();
    soon(before.end).await.unwrap().unwrap();
    let lost = link.proxy.set(Rule::new(registrations(), LOST).times(2));
    let worker = link.worker(|worker| worker).await;
    assert_eq!(lost.times(), 2);
    assert_eq!(link.ledger.all_runs(), 2);
    // The two that nobody knows hold nothing, so nobody has to condemn them; they go with their registration.
    let workers = link.straight.broker().workers().await.unwrap();
    assert_eq!(workers.len(), 3);
    worker.handle.stop();
    soon(worker.end).await.unwrap().unwrap();
    assert_eq!(link.straight.broker().workers().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_whose_answers_were_lost_cost_no_lease_while_some_are_answered() {
    let link = link().await;
    link.worker(|worker| worker.lease(LEASE)).await;
    let job = link.straight.enqueue(stay { name: "stays".into() }).await.unwrap();
    link.ledger.has_begun("stays", 1).await;
    // Would take the job over as soon as the lease had ended.
    link.straight_worker(|worker| worker.lease(LEASE)).await;
    for _ in 0..4 {
        link.sees_twice(heartbeats()).await;
        let lost = link.proxy.set(Rule::new(heartbeats(), LOST));
        assert!(soon(lost.happened()).await);
    }
    link.ledger.open();
    assert_eq!(done(&job).await, "stays");
    assert_eq!(link.ledger.runs("stays"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_hears_no_heartbeat_answered_tells_its_jobs_before_the_lease_is_over() {
    let link = link().await;
    link.worker(|worker| worker.lease(LEASE)).await;
    let job = link.straight.enqueue(stay { name: "stays".into() }).await.unwrap();
    link.ledger.has_begun("stays", 1).await;
    link.sees_twice(heartbeats()).await;
    let began = Instant::now();
    let lost = link.proxy.set(Rule::new(heartbeats(), LOST).always());
    assert_eq!(link.ledger.was_told("stays").await, CancelReason::LeaseAtRisk);
    took("R21", "with a lease of 3 s and no answer, a handler was told to stop", began);
    // All the while the store heard the heartbeats, so the job is still this worker's.
    lost.lift();
    link.ledger.open();
    assert_eq!(done(&job).await, "stays");
    assert_eq!(link.ledger.runs("stays"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_again_and_again_loses_nothing() {
    let link = link().await;
    link.worker(|worker| worker).await;
    let mut jobs = Vec::new();
    for number in 0..200 {
        if number % 10 == 0 {
            link.proxy.cut();
        }
        jobs.push(link.linked.enqueue(count { name: number.to_string() }).await.unwrap());
    }
    for (number, job) in jobs.into_iter().enumerate() {
        assert_eq!(done(&job).await, number.to_string());
    }
    assert_eq!(link.ledger.all_runs(), 201, "no job ran twice: a cut link costs no lease");
    link.is_empty().await;
}
