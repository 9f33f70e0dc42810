//! Passwords, users, databases and addresses.

use celeriac_broker::conformance::{Context, Fixture, firing_at, job, schedule_entry, seconds, success, within};
use celeriac_broker::redis::RedisBroker;
use celeriac_broker::{
    Batch, Broker as _, BrokerError, Fired, Inspector as _, Lane, Refusal, Schedules as _, StoreClock, StoreUrl,
};
use celeriac_core::{JobId, ScheduleName, Timestamp};
use celeriac_testkit::RedisOptions;
use std::sync::Arc;

use crate::support::{Scene, expect_refused, raw, start};

async fn connect(url: &str) -> Result<RedisBroker, BrokerError> {
    let url: StoreUrl = url.parse()?;
    RedisBroker::connect(&url, StoreClock::Store).await
}

#[tokio::test]
async fn a_password_opens_and_a_wrong_one_is_denied() {
    let server = start(&RedisOptions::default().password("open-sesame")).await;
    let port = server.port();
    connect(&format!("redis://:open-sesame@127.0.0.1:{port}")).await.unwrap();
    for bad in [format!("redis://127.0.0.1:{port}"), format!("redis://:secret@127.0.0.1:{port}")] {
        let refused = connect(&bad).await;
        expect_refused(&refused, Refusal::Denied);
        let error = refused.unwrap_err();
        let error = format!("{error:?} {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_user_with_the_rights_it_needs_can_work() {
    let server = start(&RedisOptions::default()).await;
    let mut raw = raw(&server.url()).await;
    let rules = ["on", ">word", "~{celeriac}:*", "+@all", "-@admin", "-@dangerous", "&{celeriac}:*"];
    let _: () = redis::cmd("ACL").arg("SETUSER").arg("app").arg(&rules).query_async(&mut raw).await.unwrap();
    let url: StoreUrl = format!("redis://app:word@127.0.0.1:{}", server.port()).parse().unwrap();
    let clock = StoreClock::manual(Timestamp::from_millis(1_764_000_000_000));
    let broker = Arc::new(RedisBroker::connect(&url, clock.clone()).await.unwrap());
    let context = Context::new(Fixture { stranger: broker.clone(), broker, clock, guard: Box::new(server) });
    let id = context.enqueue_one(job("q")).await.unwrap();
    let worker = context.worker().await.unwrap();
    let delivery = worker.fetch_one("q").await.unwrap();
    worker.settle_one(&delivery, success(&delivery, context.now())).await.unwrap();
    assert_eq!(context.broker.wait_result(&id).await.unwrap().id, id);
    assert_eq!(context.broker.queues().await.unwrap().len(), 1);
    context.broker.put_schedules(&[schedule_entry("s", "every 1m")]).await.unwrap();
    context.advance(seconds(1));
    let found = context.broker.due_schedules(10).await.unwrap();
    let order = firing_at(&found.due[0], context.now());
    assert_eq!(context.broker.fire(&[order]).await.unwrap(), [Fired::Done]);
    context.broker.pause_schedule(&found.due[0].name, true).await.unwrap();
    within(context.broker.wait_for_schedules(&found.mark, seconds(600))).await.unwrap();
}

#[tokio::test]
async fn a_user_may_not_reach_beyond_its_keys() {
    let server = start(&RedisOptions::default()).await;
    let mut raw = raw(&server.url()).await;
    let rules = ["on", ">word", "~{other}:*", "+@all"];
    let _: () = redis::cmd("ACL").arg("SETUSER").arg("app").arg(&rules).query_async(&mut raw).await.unwrap();
    let refused = connect(&format!("redis://app:word@127.0.0.1:{}", server.port())).await;
    expect_refused(&refused, Refusal::Denied);
}

#[tokio::test]
async fn a_question_of_several_commands_is_denied_like_one() {
    let server = start(&RedisOptions::default()).await;
    let mut raw = raw(&server.url()).await;
    let rules = ["on", ">word", "~{celeriac}:*", "+@all", "-zscore", "-zmscore"];
    let _: () = redis::cmd("ACL").arg("SETUSER").arg("app").arg(&rules).query_async(&mut raw).await.unwrap();
    let broker = connect(&format!("redis://app:word@127.0.0.1:{}", server.port())).await.unwrap();
    expect_refused(&broker.job(&JobId::generate()).await, Refusal::Denied);
    expect_refused(&broker.schedule(&ScheduleName::new("s").unwrap()).await, Refusal::Denied);
}

#[tokio::test]
async fn a_prefix_and_a_database_keep_apart() {
    let scene = Scene::shared().await;
    scene.enqueue([job("q")]).await.unwrap();
    let namespace = scene.url.namespace();
    let base = scene.url.address();
    let elsewhere = [format!("{base}?prefix={namespace}x"), format!("{base}/3?prefix={namespace}")];
    for url in elsewhere {
        assert!(connect(&url).await.unwrap().queues().await.unwrap().is_empty(), "{url}");
    }
    let same = connect(&format!("{base}/0?prefix={namespace}")).await.unwrap();
    assert_eq!(same.queues().await.unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let server = start(&RedisOptions::default()).await;
    let url = format!("redis://127.0.0.1:{}", server.port());
    let broker = connect(&url).await.unwrap();
    server.kill();
    assert!(matches!(connect(&url).await, Err(BrokerError::Unreachable { .. })));
    let lane = Lane { producer: "p".to_owned(), index: 0, made_at: Timestamp::default() };
    let batch = Batch { lane, number: 1, jobs: Vec::new() };
    // The open connection breaks first; then none can be made.
    while !matches!(broker.enqueue(&batch).await, Err(BrokerError::Unreachable { .. })) {}
    assert!(matches!(broker.queues().await, Err(BrokerError::Unreachable { .. } | BrokerError::InDoubt { .. })));
}
