//! A link to Redis that loses answers: every command is carried out once all the same.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use celeriac::broker::JobFilter;
use celeriac::{Client, State, TaskError, Tasks, Worker, task};
use celeriac_testkit::{FaultProxy, RedisOptions, RedisServer};

#[task("count", queue = "counted")]
async fn count(name: String, runs: State<Arc<AtomicU32>>) -> Result<String, TaskError> {
    runs.fetch_add(1, Ordering::SeqCst);
    Ok(name)
}

/// A redis-server, a link to it that can fail, and two clients: one straight, one through the link.
struct Link {
    _server: RedisServer,
    proxy: FaultProxy,
    straight: Client,
    linked: Client,
}

async fn link() -> Link {
    let server = RedisServer::start(&RedisOptions::default());
    let proxy = FaultProxy::start(server.port()).await.unwrap();
    let straight = Client::connect(&server.url().expose()).await.unwrap();
    let linked = Client::connect(&server.url_through(proxy.port(), "celeriac").expose()).await.unwrap();
    Link { _server: server, proxy, straight, linked }
}

/// Starts a worker behind the link and runs one job for sure, so that it is connected and waits.
async fn worker(link: &Link) -> Arc<AtomicU32> {
    let runs = Arc::new(AtomicU32::new(0));
    let tasks = Tasks::new().task::<count>().state(Arc::clone(&runs));
    let worker = Worker::builder(&link.linked, tasks).build().unwrap();
    tokio::spawn(worker.run());
    link.straight.enqueue(count { name: "first".into() }).await.unwrap().result().await.unwrap();
    runs
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enqueue_whose_answer_was_lost_is_stored_once() {
    let link = link().await;
    let lost = link.proxy.lose_answer_to("precious");
    let job = link.linked.enqueue(count { name: "precious".into() }).await.unwrap();
    assert!(lost.happened().await);
    let stored = link.straight.broker().jobs(&JobFilter::default()).await.unwrap();
    assert_eq!(stored.iter().map(|job| &job.id).collect::<Vec<_>>(), [job.id()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_out_whose_answer_was_lost_is_handed_back_and_spends_no_attempt() {
    let link = link().await;
    let runs = worker(&link).await;
    let lost = link.proxy.lose_answer_to("q:counted:suspects");
    let job = link.straight.enqueue(count { name: "second".into() }).await.unwrap();
    assert!(lost.happened().await);
    assert_eq!(job.result().await.unwrap(), "second");
    let outcome = link.straight.broker().result(job.id()).await.unwrap().unwrap();
    assert_eq!((outcome.attempt, outcome.losses, runs.load(Ordering::SeqCst)), (1, 0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_whose_answer_was_lost_is_settled_once() {
    let link = link().await;
    let runs = worker(&link).await;
    // Only calls that settle name the channel on which ends are told.
    let lost = link.proxy.lose_answer_to(":finished");
    let job = link.straight.enqueue(count { name: "second".into() }).await.unwrap();
    assert!(lost.happened().await);
    assert_eq!(job.result().await.unwrap(), "second");
    // The worker goes on, and runs each job once.
    link.straight.enqueue(count { name: "third".into() }).await.unwrap().result().await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_again_and_again_loses_nothing() {
    let link = link().await;
    let runs = worker(&link).await;
    let mut jobs = Vec::new();
    for number in 0..200 {
        if number % 10 == 0 {
            link.proxy.cut();
        }
        jobs.push(link.linked.enqueue(count { name: number.to_string() }).await.unwrap());
    }
    for (number, job) in jobs.into_iter().enumerate() {
        assert_eq!(job.result().await.unwrap(), number.to_string());
    }
    assert_eq!(runs.load(Ordering::SeqCst), 201, "no job ran twice: a cut link costs no lease");
}

/// Runs for longer than the lease of its worker.
#[task("long", queue = "counted", retries = 0)]
async fn long(runs: State<Arc<AtomicU32>>) -> Result<u32, TaskError> {
    runs.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(7)).await;
    Ok(runs.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_for_orders_costs_no_lease() {
    let link = link().await;
    let runs = Arc::new(AtomicU32::new(0));
    let start = |client: &Client| {
        let tasks = Tasks::new().task::<long>().state(Arc::clone(&runs));
        let worker = Worker::builder(client, tasks).lease(Duration::from_secs(2)).build().unwrap();
        tokio::spawn(worker.run());
    };
    start(&link.linked);
    let lost = link.proxy.hang_at(":orders");
    let job = link.straight.enqueue(long {}).await.unwrap();
    assert!(lost.happened().await);
    // Would take the job over as soon as the lease had ended.
    start(&link.straight);
    assert_eq!(job.result().await.unwrap(), 1, "the job ran twice");
}
