//! Calls made at the same time travel together, and a client can be closed, dropped and left behind.

use std::collections::BTreeSet;
use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::Duration;

use crate::stage::{Act, Stage};
use crate::support::{Double, Shout, payloads, stage, waiting};
use celeriac_client::{Client, EnqueueError};
use celeriac_core::MAX_PAYLOAD_BYTES;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// A client on one lane whose first call, job 0, is held back by the store.
async fn held_client(stage: &Arc<Stage>, calls: &mut JoinSet<Result<(), EnqueueError>>) -> Client {
    let client = Client::builder(stage.clone()).lanes(1).build().unwrap();
    stage.hold();
    enqueue(&client, calls, 0);
    stage.calls_made(1).await;
    client
}

fn enqueue(client: &Client, calls: &mut JoinSet<Result<(), EnqueueError>>, number: u64) {
    let call = client.enqueue(Double { number }).into_future();
    calls.spawn(async move { call.await.map(drop) });
}

#[tokio::test]
async fn a_lone_call_is_sent_at_once() {
    let stage = stage();
    let client = Client::new(stage.clone());

    client.enqueue(Double { number: 1 }).await.unwrap();
    client.enqueue(Double { number: 2 }).await.unwrap();

    let sizes: Vec<_> = stage.calls().iter().map(|batch| batch.jobs.len()).collect();
    assert_eq!(sizes, [1, 1]);
}

#[tokio::test]
async fn calls_that_wait_for_a_lane_travel_together() {
    let (stage, mut calls) = (stage(), JoinSet::new());
    let client = held_client(&stage, &mut calls).await;

    (1..=600).for_each(|number| enqueue(&client, &mut calls, number));
    tokio::task::yield_now().await;
    stage.release();
    calls.join_all().await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();

    let sizes: Vec<_> = stage.calls().iter().map(|batch| batch.jobs.len()).collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>(), sizes.iter().max()), (3, 601, Some(&500)));
}

#[tokio::test]
async fn calls_that_travel_together_stay_below_the_bytes_of_a_batch() {
    let (stage, mut calls) = (stage(), JoinSet::new());
    let client = held_client(&stage, &mut calls).await;

    for size in [MAX_PAYLOAD_BYTES / 2, MAX_PAYLOAD_BYTES - 2, 10] {
        let call = client.enqueue(Shout("x".repeat(size))).into_future();
        calls.spawn(async move { call.await.map(drop) });
    }
    tokio::task::yield_now().await;
    stage.release();
    calls.join_all().await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();

    let bytes = |batch: &celeriac_broker::Batch| batch.jobs.iter().map(|job| job.record.payload.len()).sum::<usize>();
    assert!(stage.calls().iter().all(|batch| bytes(batch) <= MAX_PAYLOAD_BYTES));
    assert_eq!(stage.calls().iter().map(|batch| batch.jobs.len()).sum::<usize>(), 4);
}

#[tokio::test]
async fn ten_thousand_concurrent_calls_arrive_once_in_far_fewer_batches() {
    let (stage, mut calls) = (stage(), JoinSet::new());
    let client = Client::builder(stage.clone()).enqueue_timeout(Duration::from_secs(600)).build().unwrap();

    for number in 0..10_000 {
        // Due later, because the model looks through all that are ready.
        let call = client.enqueue(Double { number }).delay(Duration::from_secs(60)).into_future();
        calls.spawn(async move { call.await.map(drop) });
    }
    calls.join_all().await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();

    let arrived = payloads(&*stage).await;
    assert_eq!(arrived.len(), 10_000);
    assert_eq!(arrived.into_iter().collect::<BTreeSet<_>>().len(), 10_000);
    let batches = stage.calls().len();
    assert!(batches <= 100, "{batches} calls for 10,000 jobs");
}

#[tokio::test]
async fn a_call_dropped_before_it_is_sent_is_cancelled() {
    let (stage, mut calls) = (stage(), JoinSet::new());
    let client = held_client(&stage, &mut calls).await;

    let mut dropped = client.enqueue(Double { number: 1 }).into_future();
    assert!(poll_once(&mut dropped).await.is_none(), "it waits for the lane");
    drop(dropped);
    stage.release();
    client.enqueue(Double { number: 2 }).await.unwrap();

    assert_eq!(payloads(&*stage).await, [r#"{"number":0}"#, r#"{"number":2}"#]);
}

#[tokio::test]
async fn a_call_dropped_after_it_was_sent_is_carried_out() {
    let (stage, mut calls) = (stage(), JoinSet::new());
    let client = held_client(&stage, &mut calls).await;

    calls.shutdown().await;
    stage.release();
    client.close().await;

    assert_eq!(payloads(&*stage).await, [r#"{"number":0}"#]);
}

#[tokio::test]
async fn what_was_called_before_close_is_carried_out_and_later_calls_are_refused() {
    let (stage, mut calls) = (stage(), JoinSet::new());
    let client = held_client(&stage, &mut calls).await;
    let mut waiting_call = client.enqueue(Double { number: 1 }).into_future();
    assert!(poll_once(&mut waiting_call).await.is_none(), "it waits for the lane");

    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close().await }
    });
    stage.release();
    closing.await.unwrap();

    waiting_call.await.unwrap();
    let error = client.enqueue(Double { number: 2 }).await.unwrap_err();
    assert!(matches!(error, EnqueueError::Closed), "{error:?}");
    client.close().await;
    assert_eq!(waiting(&*stage).await, 2);
}

#[tokio::test]
async fn the_last_client_may_go_while_calls_are_under_way() {
    let (stage, mut calls) = (stage(), JoinSet::new());
    let client = held_client(&stage, &mut calls).await;
    enqueue(&client, &mut calls, 1);

    drop(client);
    stage.release();

    calls.join_all().await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();
    assert_eq!(waiting(&*stage).await, 2);
}

#[tokio::test]
async fn the_store_is_let_go_when_the_last_client_is_dropped() {
    let stage = stage();
    let client = Client::new(stage.clone());
    client.enqueue(Double { number: 1 }).await.unwrap();

    drop(client);
    while Arc::strong_count(&stage) > 1 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_client_whose_runtime_has_ended_answers_closed() {
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let client = first.block_on(async { Client::new(stage()) });
    drop(first);

    let error = second.block_on(client.enqueue(Double { number: 1 }).into_future()).unwrap_err();
    second.block_on(client.close());

    assert!(matches!(error, EnqueueError::Closed), "{error:?}");
}

#[test]
fn a_client_made_outside_of_a_runtime_answers_closed() {
    let client = Client::new(stage());

    let error = Runtime::new().unwrap().block_on(client.enqueue(Double { number: 1 }).into_future()).unwrap_err();

    assert!(matches!(error, EnqueueError::Closed), "{error:?}");
}

#[test]
fn a_call_under_way_when_the_runtime_ends_is_unknown_and_can_be_sent_again() {
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let stage = stage();
    stage.direct([Act::Hang]);
    let client = first.block_on(async { Client::new(stage.clone()) });
    let call = second.spawn(client.enqueue(Double { number: 1 }).into_future());
    second.block_on(stage.calls_made(1));
    first.shutdown_timeout(Duration::from_secs(60));

    let error = second.block_on(call).unwrap().unwrap_err();
    let EnqueueError::Unknown { batch, .. } = error else { panic!("{error:?}") };
    let answers = second.block_on(client.resend(batch)).unwrap();

    assert_eq!((answers.len(), second.block_on(waiting(&*stage))), (1, 1));
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// The store works on one batch while the callers of the other are answered.
#[tokio::test]
async fn many_calls_that_meet_idle_lanes_travel_in_two_batches() {
    let (stage, mut calls) = (stage(), JoinSet::new());
    let client = Client::new(stage.clone());

    (1..=64).for_each(|number| enqueue(&client, &mut calls, number));
    calls.join_all().await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();

    let sizes: Vec<_> = stage.calls().iter().map(|batch| batch.jobs.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 64);
    assert!(sizes[..2].iter().all(|size| (30..=34).contains(size)), "{sizes:?}");
}
