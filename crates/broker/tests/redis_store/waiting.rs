//! Wake tokens: none is lost, whoever stops waiting.

use std::time::Duration;

use celeriac_broker::Broker as _;
use celeriac_broker::conformance::{delayed, job, queue_name, seconds, within};
use tokio::time::timeout;

use crate::support::Scene;

async fn tokens(scene: &Scene, queue: &str) -> u64 {
    scene.ask(redis::cmd("LLEN").arg(scene.key(&format!("wake:{queue}")))).await
}

async fn blocked(scene: &Scene) -> u64 {
    let clients: String = scene.ask(redis::cmd("CLIENT").arg("LIST")).await;
    clients.lines().filter(|line| line.contains("cmd=blpop") && line.contains("flags=b")).count() as u64
}

#[tokio::test]
async fn a_token_that_a_dropped_wait_popped_is_given_back() {
    let (scene, _server) = Scene::alone(&Default::default()).await;
    let worker = scene.worker().await.unwrap();
    let queues = [queue_name("q")];
    let wait = scene.store.wait_for_work(&worker.session, &queues, seconds(60));
    drop(timeout(Duration::from_millis(1), wait).await);
    // The command still waits and pops this token; nobody asks for it.
    scene.enqueue([job("q")]).await.unwrap();
    within(async {
        while blocked(&scene).await > 0 || tokens(&scene, "q").await == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_deserted_wait_ends_its_command() {
    let (scene, _server) = Scene::alone(&Default::default()).await;
    let worker = scene.worker().await.unwrap();
    let queues = [queue_name("q")];
    {
        let wait = scene.store.wait_for_work(&worker.session, &queues, seconds(600));
        tokio::pin!(wait);
        within(async {
            tokio::select! {
                _ = &mut wait => panic!("there is no work"),
                () = async { while blocked(&scene).await == 0 { tokio::task::yield_now().await; } } => {}
            }
        })
        .await;
    }
    within(async {
        while blocked(&scene).await > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!scene.keys().await.iter().any(|key| key.starts_with("ctl:")));
}

#[tokio::test]
async fn a_wait_for_other_queues_replaces_the_one_before() {
    let scene = Scene::shared().await;
    let worker = scene.worker().await.unwrap();
    for queue in ["a", "b", "a", "b"] {
        let earlier = [queue_name("c")];
        let wait = scene.store.wait_for_work(&worker.session, &earlier, seconds(600));
        drop(timeout(Duration::from_millis(1), wait).await);
        scene.enqueue([job(queue)]).await.unwrap();
        within(scene.store.wait_for_work(&worker.session, &[queue_name(queue)], seconds(600))).await.unwrap();
        worker.fetch_one(queue).await.unwrap();
    }
}

#[tokio::test]
async fn work_is_not_slept_through_however_waits_are_dropped() {
    let scene = Scene::shared().await;
    let worker = scene.worker().await.unwrap();
    let queues = [queue_name("q")];
    for round in 0..50 {
        let wait = scene.store.wait_for_work(&worker.session, &queues, seconds(600));
        let enqueue = scene.enqueue([job("q")]);
        let (_, sent) = tokio::join!(timeout(Duration::from_micros(round * 20), wait), enqueue);
        sent.unwrap();
        within(async {
            while worker.fetch(&["q"], 1).await.unwrap().is_empty() {
                scene.store.wait_for_work(&worker.session, &queues, seconds(600)).await.unwrap();
            }
        })
        .await;
    }
}

#[tokio::test]
async fn an_earlier_due_time_wakes_and_a_later_one_does_not() {
    let scene = Scene::shared().await;
    scene.enqueue([delayed(seconds(60), "q")]).await.unwrap();
    assert_eq!(tokens(&scene, "q").await, 1);
    let _: () = scene.ask(redis::cmd("DEL").arg(scene.key("wake:q"))).await;
    scene.enqueue([delayed(seconds(90), "q")]).await.unwrap();
    assert_eq!(tokens(&scene, "q").await, 0);
    scene.enqueue([delayed(seconds(30), "q")]).await.unwrap();
    assert_eq!(tokens(&scene, "q").await, 1);
}

#[tokio::test]
async fn a_paused_queue_gets_no_token_from_a_fetch() {
    let scene = Scene::shared().await;
    let worker = scene.worker().await.unwrap();
    scene.enqueue([job("q"), job("q")]).await.unwrap();
    celeriac_broker::Inspector::set_paused(&*scene.store, &queue_name("q"), true).await.unwrap();
    let _: () = scene.ask(redis::cmd("DEL").arg(scene.key("wake:q"))).await;
    worker.fetch_busy(&["q"], 1).await.unwrap();
    assert_eq!(tokens(&scene, "q").await, 0);
    celeriac_broker::Inspector::set_paused(&*scene.store, &queue_name("q"), false).await.unwrap();
    assert_eq!(tokens(&scene, "q").await, 1);
}
