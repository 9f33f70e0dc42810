//! Waiting for ends: one subscription, whatever the number of waits.

use std::sync::Arc;

use celeriac_broker::conformance::{job, settlement, success, within};

use crate::support::Scene;

async fn subscriptions(scene: &Scene) -> u64 {
    let channel = scene.key("finished");
    let (_, count): (String, u64) = scene.ask(redis::cmd("PUBSUB").arg("NUMSUB").arg(channel)).await;
    count
}

#[tokio::test]
async fn a_thousand_waits_share_a_subscription_and_leave_nothing_behind() {
    let scene = Scene::shared().await;
    let worker = scene.worker().await.unwrap();
    let mut waits = Vec::new();
    for _ in 0..2 {
        for id in scene.enqueue((0..500).map(|_| job("q"))).await.unwrap() {
            let store = Arc::clone(&scene.broker);
            waits.push(tokio::spawn(async move { store.wait_result(&id).await }));
        }
    }
    within(async {
        while scene.store.waits_for_results() < 1000 || subscriptions(&scene).await == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(subscriptions(&scene).await, 1);
    let dropped = waits.split_off(500);
    dropped.iter().for_each(|wait| wait.abort());
    for _ in 0..2 {
        let held = worker.fetch(&["q"], 250).await.unwrap();
        let ends: Vec<_> = held.iter().map(|held| settlement(held, success(held, scene.now()))).collect();
        worker.settle(&ends).await.unwrap();
    }
    for wait in waits {
        within(wait).await.unwrap().unwrap();
    }
    within(async {
        while scene.store.waits_for_results() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_end_is_found_although_its_message_was_lost() {
    let scene = Scene::shared().await;
    let worker = scene.worker().await.unwrap();
    let id = scene.enqueue_one(job("q")).await.unwrap();
    let held = worker.fetch_one("q").await.unwrap();
    let waiting = tokio::spawn({
        let (broker, id) = (Arc::clone(&scene.broker), id.clone());
        async move { broker.wait_result(&id).await }
    });
    within(async {
        while subscriptions(&scene).await == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The subscriber's connection goes, and the message with it.
    let _: u64 = scene.ask(redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub")).await;
    worker.settle_one(&held, success(&held, scene.now())).await.unwrap();
    assert_eq!(within(waiting).await.unwrap().unwrap().id, id);
}
