//! Broken connections, lost answers, a server that is killed and comes back.

use std::sync::Arc;

use celeriac_broker::conformance::{Load, TestWorker, job, request, seconds, settlement, success, within};
use celeriac_broker::redis::RedisBroker;
use celeriac_broker::{Acceptance, Batch, BatchAnswer, Broker, BrokerError, Lane, StoreClock};
use celeriac_testkit::{FaultProxy, RedisOptions};

use crate::support::{Scene, start};

#[tokio::test]
async fn a_killed_server_that_comes_back_is_used_again() {
    let (scene, server) = Scene::alone(&RedisOptions::default().append_only()).await;
    let worker = scene.worker().await.unwrap();
    let ids = scene.enqueue([job("q"), job("q")]).await.unwrap();
    let held = worker.fetch_one("q").await.unwrap();
    assert_eq!(held.record.id, ids[0]);
    let waiting = tokio::spawn({
        let (broker, id) = (Arc::clone(&scene.broker), ids[0].clone());
        async move { broker.wait_result(&id).await }
    });
    let back = Arc::clone(&server);
    tokio::task::spawn_blocking(move || back.restart()).await.unwrap();

    let again = within(async {
        loop {
            if let Ok(again) = scene.broker.reconcile(&worker.session).await {
                return again;
            }
        }
    })
    .await;
    assert_eq!(again.held.len(), 1);
    let worker = TestWorker { session: again.session, ..worker };
    worker.settle_one(&held, success(&held, scene.now())).await.unwrap();
    assert_eq!(within(waiting).await.unwrap().unwrap().id, ids[0]);
    assert_eq!(worker.fetch_one("q").await.unwrap().record.id, ids[1]);
    assert_eq!(
        within(async {
            loop {
                if let Ok(queues) = scene.broker.queues().await {
                    return queues;
                }
            }
        })
        .await[0]
            .running,
        1
    );
}

#[tokio::test]
async fn an_emptied_server_begins_another_life() {
    let (scene, _server) = Scene::alone(&RedisOptions::default()).await;
    let (before, same) = (scene.worker().await.unwrap(), scene.worker().await.unwrap());
    assert_eq!(before.session.store, same.session.store);
    let _: () = scene.ask(&mut redis::cmd("FLUSHALL")).await;
    assert!(matches!(scene.broker.heartbeat(&before.session).await, Err(BrokerError::SessionLost)));
    let (after, same) = (scene.worker().await.unwrap(), scene.worker().await.unwrap());
    assert_ne!(before.session.store, after.session.store);
    assert_eq!(after.session.store, same.session.store);
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_applied_once() {
    let server = start(&RedisOptions::default()).await;
    let proxy = FaultProxy::start(server.port()).await.unwrap();
    let url = server.url_through(proxy.port(), "lost");
    let broker = RedisBroker::connect(&url, StoreClock::Store).await.unwrap();
    let made_at = celeriac_broker::Inspector::now(&broker).await.unwrap();
    let batch =
        Batch { lane: Lane { producer: "p".to_owned(), index: 0, made_at }, number: 1, jobs: vec![job("q"), job("q")] };
    // Its first call loads the script; the second one is the one to lose.
    broker.enqueue(&Batch { jobs: vec![job("q")], ..batch.clone() }).await.unwrap();
    let second = Batch { number: 2, ..batch };
    proxy.lose_answer_to("EVALSHA");
    let doubt = broker.enqueue(&second).await;
    assert!(matches!(doubt, Err(BrokerError::InDoubt { .. })), "{doubt:?}");
    assert_eq!(broker.enqueue(&second).await.unwrap(), BatchAnswer::Applied(vec![Acceptance::Accepted; 2]));
    let queues = celeriac_broker::Inspector::queues(&broker).await.unwrap();
    assert_eq!(queues[0].ready, 3);
}

#[tokio::test]
async fn a_fetch_whose_answer_was_lost_is_found_by_reconciling() {
    let (scene, server) = Scene::alone(&RedisOptions::default()).await;
    let proxy = FaultProxy::start(server.port()).await.unwrap();
    let url = server.url_through(proxy.port(), scene.url.namespace().as_str());
    let far: Arc<dyn Broker> = Arc::new(RedisBroker::connect(&url, StoreClock::Store).await.unwrap());
    let worker = TestWorker::register(&far, "far", seconds(20)).await.unwrap();
    scene.enqueue([job("q"), job("q"), job("q")]).await.unwrap();
    worker.fetch_one("q").await.unwrap();
    proxy.lose_answer_to("EVALSHA");
    let doubt = far.fetch(&worker.session, &request(&["q"], 1, Load::Busy)).await;
    assert!(matches!(doubt, Err(BrokerError::InDoubt { .. })), "{doubt:?}");
    let again = far.reconcile(&worker.session).await.unwrap();
    assert_eq!(again.held.len(), 2);
}

#[tokio::test]
async fn a_settlement_whose_answer_was_lost_is_applied_once() {
    let (scene, server) = Scene::alone(&RedisOptions::default()).await;
    let proxy = FaultProxy::start(server.port()).await.unwrap();
    let url = server.url_through(proxy.port(), scene.url.namespace().as_str());
    let far: Arc<dyn Broker> = Arc::new(RedisBroker::connect(&url, StoreClock::Store).await.unwrap());
    let worker = TestWorker::register(&far, "far", seconds(20)).await.unwrap();
    scene.enqueue([job("q"), job("q")]).await.unwrap();
    let (first, second) = (worker.fetch_one("q").await.unwrap(), worker.fetch_one("q").await.unwrap());
    worker.settle_one(&first, success(&first, scene.now())).await.unwrap();
    let end = settlement(&second, success(&second, scene.now()));
    proxy.lose_answer_to("EVALSHA");
    assert!(worker.settle(std::slice::from_ref(&end)).await.unwrap_err().is_in_doubt());
    assert_eq!(worker.settle(&[end]).await.unwrap(), [celeriac_broker::Settled::NotHeld]);
    assert!(far.result(&second.record.id).await.unwrap().is_some());
}
