//! What the server refuses, and what passes all the same.

use celeriac_broker::conformance::{
    death, expect_session_lost, job, registration, retry, seconds, success, with_payload,
};
use celeriac_broker::{Batch, BatchAnswer, Broker as _, Refusal};
use celeriac_core::Incarnation;

use crate::support::{Scene, empty, expect_refused, fill, raw, start};
use celeriac_broker::StoreClock;
use celeriac_testkit::RedisOptions;

#[tokio::test]
async fn a_full_server_refuses_new_jobs_and_nothing_else() {
    let (scene, _server) = Scene::alone(&RedisOptions::default()).await;
    let worker = scene.worker().await.unwrap();
    scene.enqueue((0..6).map(|_| job("q"))).await.unwrap();
    let before = worker.fetch(&["q"], 3).await.unwrap();
    fill(&scene).await;

    let batch = Batch { lane: scene.lane(), number: 1, jobs: vec![job("q")] };
    expect_refused(&scene.broker.enqueue(&batch).await, Refusal::Full);
    let nothing = Batch { jobs: Vec::new(), ..batch.clone() };
    assert_eq!(scene.broker.enqueue(&nothing).await.unwrap(), BatchAnswer::Applied(Vec::new()));

    let now = scene.now();
    let ways = [success(&before[0], now), death(&before[1], now), retry(&before[2], now, seconds(1))];
    for (delivery, way) in before.iter().zip(ways) {
        worker.settle_one(delivery, way).await.unwrap();
    }
    worker.fetch(&["q"], 2).await.unwrap();
    assert_eq!(worker.held().await.unwrap().len(), 2);
    scene.advance(seconds(1));
    assert_eq!(scene.broker.promote_due(10).await.unwrap().count, 1);
    assert_eq!(
        scene.broker.retry_dead(&[before[1].record.id.clone()]).await.unwrap(),
        [celeriac_broker::Retried::Done]
    );
    let newcomer = scene.broker.register(&registration("new", seconds(20))).await.unwrap();
    let newcomer = scene.broker.reconcile(&newcomer).await.unwrap().session;
    scene.broker.set_paused(&celeriac_broker::conformance::queue_name("q"), true).await.unwrap();
    scene.broker.set_paused(&celeriac_broker::conformance::queue_name("q"), false).await.unwrap();
    scene.lose(&worker).await.unwrap();
    assert_eq!(scene.queue("q").await.unwrap().ready, 5);
    scene.broker.deregister(&newcomer).await.unwrap();

    empty(&scene).await;
    let next = Batch { number: 2, ..batch };
    assert!(matches!(scene.broker.enqueue(&next).await.unwrap(), BatchAnswer::Applied(_)));
}

#[tokio::test]
async fn a_refused_batch_left_nothing_behind() {
    let (scene, _server) = Scene::alone(&RedisOptions::default()).await;
    fill(&scene).await;
    let batch = Batch { lane: scene.lane(), number: 1, jobs: vec![job("q"), job("r")] };
    expect_refused(&scene.broker.enqueue(&batch).await, Refusal::Full);
    assert!(scene.keys().await.is_empty());
    empty(&scene).await;
    assert!(matches!(scene.broker.enqueue(&batch).await.unwrap(), BatchAnswer::Applied(_)));
}

#[tokio::test]
async fn a_demoted_primary_is_left_and_found_again() {
    let (scene, _server) = Scene::alone(&RedisOptions::default()).await;
    let other = start(&RedisOptions::default()).await;
    scene.enqueue([job("q")]).await.unwrap();
    let connections = async || {
        let clients: String = scene.ask(redis::cmd("CLIENT").arg("LIST")).await;
        clients
            .lines()
            .filter(|line| line.contains("cmd=evalsha"))
            .map(|line| line.split(' ').next().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let before = connections().await;
    let _: () = scene.ask(redis::cmd("REPLICAOF").arg("127.0.0.1").arg(other.port())).await;
    let batch = Batch { lane: scene.lane(), number: 1, jobs: vec![job("q")] };
    let refused = scene.broker.enqueue(&batch).await;
    assert!(
        matches!(&refused, Err(error) if error.is_transient() && !error.is_in_doubt()),
        "a replica takes no jobs: {refused:?}"
    );
    let _: () = scene.ask(redis::cmd("REPLICAOF").arg("NO").arg("ONE")).await;
    assert!(matches!(scene.broker.enqueue(&batch).await.unwrap(), BatchAnswer::Applied(_)));
    assert_ne!(connections().await, before, "the connection to the demoted server was used on");
}

#[tokio::test]
async fn a_key_of_another_program_is_named_and_left_alone() {
    let scene = Scene::shared().await;
    let worker = scene.worker().await.unwrap();
    scene.enqueue([job("q")]).await.unwrap();
    let held = worker.fetch_one("q").await.unwrap();
    for name in ["jobs", "queues", "q:q:ready", "q:q:suspects", "wake:q", "counts", "scheduled", "leases", "meta"] {
        let (key, aside) = (scene.key(name), scene.key("aside"));
        let existed: i64 = scene.ask(redis::cmd("EXISTS").arg(&key)).await;
        if existed == 1 {
            let _: () = scene.ask(redis::cmd("RENAME").arg(&key).arg(&aside)).await;
        }
        let _: () = scene.ask(redis::cmd("SET").arg(&key).arg("foreign")).await;
        let keys = scene.keys().await;
        if !["q:q:suspects", "leases"].contains(&name) {
            let batch = Batch { lane: scene.lane(), number: 1, jobs: vec![job("q")] };
            let refused = scene.broker.enqueue(&batch).await;
            expect_refused(&refused, Refusal::Foreign);
            let text = refused.unwrap_err().to_string();
            assert!(text.contains(&format!("the key {key} is a string and must be a ")), "{text}");
        }
        expect_refused(&worker.fetch_busy(&["q"], 1).await, Refusal::Foreign);
        if !["queues", "meta"].contains(&name) {
            let way = retry(&held, scene.now(), seconds(1));
            let settlement = celeriac_broker::conformance::settlement(&held, way);
            expect_refused(&worker.settle(&[settlement]).await, Refusal::Foreign);
        }
        assert_eq!(scene.keys().await, keys, "something was written beside {name}");
        let _: () = scene.ask(redis::cmd("DEL").arg(&key)).await;
        if existed == 1 {
            let _: () = scene.ask(redis::cmd("RENAME").arg(&aside).arg(&key)).await;
        }
    }
    worker.settle_one(&held, success(&held, scene.now())).await.unwrap();
}

#[tokio::test]
async fn a_fetch_with_an_old_generation_takes_nothing_and_passes_the_token_on() {
    let scene = Scene::shared().await;
    let worker = scene.worker().await.unwrap();
    scene.broker.reconcile(&worker.session).await.unwrap();
    scene.enqueue([job("q")]).await.unwrap();
    let _: () = scene.ask(redis::cmd("DEL").arg(scene.key("wake:q"))).await;
    expect_session_lost(&worker.fetch_busy(&["q"], 1).await);
    assert_eq!(scene.queue("q").await.unwrap().ready, 1);
    let tokens: u64 = scene.ask(redis::cmd("LLEN").arg(scene.key("wake:q"))).await;
    assert_eq!(tokens, 1);
}

#[tokio::test]
async fn an_incarnation_is_registered_once() {
    let scene = Scene::shared().await;
    let mut again = registration("w", seconds(20));
    scene.broker.register(&again).await.unwrap();
    assert!(scene.broker.register(&again).await.unwrap_err().to_string().contains("registered before"));
    again.incarnation = Incarnation::generate("w").unwrap();
    scene.broker.register(&again).await.unwrap();
}

#[tokio::test]
async fn another_layout_is_not_touched() {
    let scene = Scene::shared().await;
    let _: () = scene.ask(redis::cmd("HSET").arg(scene.key("meta")).arg("format").arg("2")).await;
    let error = celeriac_broker::redis::RedisBroker::connect(&scene.url, StoreClock::Store).await.unwrap_err();
    assert!(error.to_string().contains("format 2"), "{error}");
    drop(raw(&scene.url).await);
}

#[tokio::test]
async fn a_batch_above_the_bounds_is_refused_before_it_is_sent() {
    let scene = Scene::shared().await;
    let many = Batch { lane: scene.lane(), number: 1, jobs: (0..501).map(|_| job("q")).collect() };
    assert!(scene.store.enqueue(&many).await.unwrap_err().to_string().contains("501 jobs"));
    let half = || with_payload(vec![b'1'; 600 * 1024], "q");
    let heavy = Batch { lane: scene.lane(), number: 1, jobs: vec![half(), half()] };
    assert!(scene.store.enqueue(&heavy).await.unwrap_err().to_string().contains("bytes"));
}
