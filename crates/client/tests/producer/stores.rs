//! The producer on the real stores: what the model cannot show.

use std::collections::BTreeSet;
use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::redis::RedisBroker;
use celeriac_broker::{Broker, StoreClock, StoreUrl};
use celeriac_client::{Client, JobHandle};
use celeriac_core::{Ending, JobId};
use celeriac_testkit::{FaultProxy, RedisOptions, RedisServer, shared_redis, temp_sqlite};
use serde_json::value::to_raw_value;
use tokio::task::JoinSet;

use crate::support::{Double, fetch_order, waiting, work_off};

/// So long that a slow machine changes no answer.
const PATIENT: Duration = Duration::from_secs(600);

async fn redis(url: &StoreUrl) -> Arc<RedisBroker> {
    Arc::new(RedisBroker::connect(url, StoreClock::Store).await.unwrap())
}

async fn enqueue_at_once(broker: Arc<dyn Broker>, count: u64) -> Vec<JobHandle<u64>> {
    let client = Client::builder(broker).enqueue_timeout(PATIENT).build().unwrap();
    let mut calls = JoinSet::new();
    for number in 0..count {
        calls.spawn(client.enqueue(Double { number }).into_future());
    }
    calls.join_all().await.into_iter().collect::<Result<_, _>>().unwrap()
}

async fn ten_thousand_arrive_once(broker: Arc<dyn Broker>) {
    let handles = enqueue_at_once(broker.clone(), 10_000).await;

    let told: BTreeSet<JobId> = handles.iter().map(|handle| handle.id().clone()).collect();
    let arrived = fetch_order(&*broker, "numbers").await;
    assert_eq!(arrived.len(), 10_000, "none is lost and none is there twice");
    assert_eq!(arrived.into_iter().collect::<BTreeSet<_>>(), told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_concurrent_calls_arrive_once_in_redis() {
    ten_thousand_arrive_once(redis(&shared_redis().await).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_concurrent_calls_arrive_once_in_sqlite() {
    let (_directory, url) = temp_sqlite();
    ten_thousand_arrive_once(celeriac_broker::connect(&url).await.unwrap()).await;
}

#[tokio::test]
async fn waits_that_are_dropped_leave_nothing_in_the_store_client() {
    let broker = redis(&shared_redis().await).await;
    let mut waits = JoinSet::new();
    for job in enqueue_at_once(broker.clone(), 1000).await {
        waits.spawn(async move { job.result().await });
    }
    while broker.waits_for_results() < 1000 {
        tokio::task::yield_now().await;
    }

    waits.shutdown().await;

    assert_eq!(broker.waits_for_results(), 0);
}

#[tokio::test]
async fn a_result_comes_back_with_its_type_from_each_store() {
    let (_directory, sqlite) = temp_sqlite();
    for url in [sqlite, shared_redis().await] {
        let client = Client::connect(&url.expose()).await.unwrap();
        let job = client.enqueue(Double { number: 21 }).await.unwrap();
        let wait = tokio::spawn(async move { job.result().await });

        work_off(&**client.broker(), "numbers", |_| Ending::Succeeded(to_raw_value(&42).unwrap())).await;

        assert_eq!(wait.await.unwrap().unwrap(), 42, "{url}");
    }
}

#[tokio::test]
async fn an_answer_lost_between_redis_and_the_producer_doubles_nothing() {
    let server = tokio::task::spawn_blocking(|| RedisServer::start(&RedisOptions::default())).await.unwrap();
    let proxy = FaultProxy::start(server.port()).await.unwrap();
    let broker = redis(&server.url_through(proxy.port(), "lost")).await;
    let client = Client::builder(broker.clone()).enqueue_timeout(PATIENT).build().unwrap();
    client.enqueue(Double { number: 1 }).await.unwrap();

    for number in 2..6 {
        proxy.lose_answer_to(&format!(r#"{{"number":{number}}}"#));
        client.enqueue(Double { number }).await.unwrap();
        proxy.lose_command(&format!(r#"{{"number":{}}}"#, number + 10));
        client.enqueue(Double { number: number + 10 }).await.unwrap();
    }

    assert_eq!(waiting(&*broker).await, 9);
}
