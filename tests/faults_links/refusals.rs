//! A Redis that answers and refuses: it loads its data, belongs to a cluster, or is busy with a script.

use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac::broker::{BrokerError, Refusal};
use celeriac::{Client, EnqueueError, WorkerError};
use celeriac_testkit::{Answer, Commands, Fault, Order, RedisOptions, RedisServer, Rule};

use crate::link::{Link, count, done, eventually, link, order, soon, stay, took};

fn answers(link: &Link, answer: Answer) -> Order {
    link.proxy.set(Rule::new(Commands::any(), Fault::Answer(answer)).always())
}

/// What a producer that gives up soon is told.
async fn refused(link: &Link) -> EnqueueError {
    let client = Client::builder(link.linked.broker().clone());
    let client = client.enqueue_timeout(Duration::from_millis(300)).build().unwrap();
    soon(client.enqueue(count { name: "refused".into() })).await.unwrap_err()
}

/// Refuses everything for a time, while one job runs and another waits to be enqueued.
async fn is_waited_for(row: &str, answer: Answer) {
    let link = link().await;
    let worker = link.worker(|worker| worker).await;
    let running = link.straight.enqueue(stay { name: "stays".into() }).await.unwrap();
    link.ledger.has_begun("stays", 1).await;
    let order = answers(&link, answer);
    let began = Instant::now();
    let error = refused(&link).await;
    let EnqueueError::NotApplied { source } = &error else { panic!("{error:?}") };
    assert!(matches!(**source, BrokerError::Refused { reason: Refusal::NotReady, .. }), "{source:?}");
    assert!(error.is_transient());
    let patient = tokio::spawn({
        let linked = link.linked.clone();
        async move { linked.enqueue(count { name: "waits".into() }).await.unwrap() }
    });
    link.ledger.open();
    // The end of the job is refused too, and the worker knows why it cannot be counted on.
    eventually(async || !worker.handle.health().is_ready()).await;
    assert!(worker.handle.health().is_live());
    eventually(async || order.times() >= 20).await;
    let (tries, time) = (order.times(), began.elapsed());
    link.proxy.heal();
    let healed = Instant::now();
    assert_eq!(done(&running).await, "stays");
    assert_eq!(done(&soon(patient).await.unwrap()).await, "waits");
    took(row, &format!("with {tries} tries in {:.1} s, both had ended", time.as_secs_f64()), healed);
    eventually(async || worker.handle.health().is_ready()).await;
    assert_eq!((link.ledger.runs("stays"), link.ledger.runs("waits"), link.ledger.runs("refused")), (1, 1, 0));
    // About a dozen at once, and then each caller once a second; a storm would be thousands.
    let bound = 40.0 + 40.0 * time.as_secs_f64();
    assert!((tries as f64) < bound, "{tries} tries in {time:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loads_its_data_is_waited_for() {
    is_waited_for("R7", Answer::Loading).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_busy_with_a_script_is_waited_for() {
    is_waited_for("R11, injected", Answer::Busy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_its_slots_is_waited_for() {
    is_waited_for("R8, CLUSTERDOWN", Answer::ClusterDown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_not_the_slot_is_a_clear_error_at_once() {
    let link = link().await;
    let worker = link.worker(|worker| worker).await;
    answers(&link, Answer::Moved);
    let began = Instant::now();
    let error = soon(link.linked.enqueue(count { name: "moved".into() })).await.unwrap_err();
    took("R8, MOVED", "the producer was told", began);
    let EnqueueError::NotApplied { source } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("node of a Redis Cluster, which is not supported yet"), "{source}");
    assert!(!error.is_transient());
    // The worker waits for work; the next thing it asks ends it with the same words.
    link.counted("second").await;
    let ended = soon(worker.end).await.unwrap().unwrap_err();
    assert!(
        matches!(&ended, WorkerError::Store(BrokerError::Invalid(text)) if text.contains("Redis Cluster")),
        "{ended}"
    );
    let url = link.server.url_through(link.proxy.port(), "celeriac").expose();
    assert!(Client::connect(&url).await.unwrap_err().to_string().contains("Redis Cluster"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_node_without_slots_says_so_and_one_with_all_of_them_works() {
    let server = RedisServer::start(&RedisOptions::default().option("--cluster-enabled", "yes"));
    let url = server.url().expose();
    let error = Client::connect(&url).await.unwrap_err();
    assert!(matches!(&error, BrokerError::Refused { reason: Refusal::NotReady, .. }), "{error:?}");
    assert!(error.to_string().contains("CLUSTERDOWN") || error.to_string().contains("slot"), "{error}");
    let slots: Vec<String> = (0..16384).map(|slot| slot.to_string()).collect();
    let words: Vec<&str> = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
    order(&server, &words).unwrap();
    // All keys of a namespace are in one slot, so a node that has them all is a server like any other.
    let client = soon(async {
        loop {
            match Client::connect(&url).await {
                Ok(client) => return client,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        }
    })
    .await;
    client.enqueue(count { name: "stored".into() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_somebody_else_that_does_not_end_costs_time_only() {
    let link = link().await;
    link.worker(|worker| worker).await;
    let link = Arc::new(link);
    order(&link.server, &["CONFIG", "SET", "lua-time-limit", "50"]).unwrap();
    let running = link.straight.enqueue(stay { name: "stays".into() }).await.unwrap();
    link.ledger.has_begun("stays", 1).await;
    let script = tokio::task::spawn_blocking({
        let link = Arc::clone(&link);
        move || order(&link.server, &["EVAL", "while true do end", "0"])
    });
    eventually(async || {
        let answer = order(&link.server, &["PING"]);
        answer.is_err_and(|error| error.code() == Some("BUSY"))
    })
    .await;
    link.ledger.open();
    let enqueued = tokio::spawn({
        let linked = link.linked.clone();
        async move { linked.enqueue(count { name: "waits".into() }).await.unwrap() }
    });
    // Both meet it.
    let meets = link.count(Commands::named("EVALSHA"));
    eventually(async || meets.times() >= 6).await;
    order(&link.server, &["SCRIPT", "KILL"]).unwrap();
    let killed = Instant::now();
    assert!(soon(script).await.unwrap().is_err());
    assert_eq!(done(&soon(enqueued).await.unwrap()).await, "waits");
    assert_eq!(done(&running).await, "stays");
    took("R11, a real script", "both had ended", killed);
    assert_eq!((link.ledger.runs("stays"), link.ledger.runs("waits")), (1, 1));
}
