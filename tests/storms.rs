//! A Redis that behaves badly under load: connections that are killed, scripts that are forgotten, memory that is full, a primary that is
//! demoted. Nothing is lost, nothing is stored twice, and what can go on goes on.
//!
//! `CELERIAC_STORM=10s cargo test --release --test storms -- --nocapture` lets the storms last longer and prints the pace.
#![expect(clippy::print_stdout, reason = "the pace is shown to who asks for it")]
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use celeriac::broker::{BrokerError, Refusal};
use celeriac::{Client, EnqueueError, JobId, JobState, State, TaskError, Tasks, Worker, WorkerHandle, task};
use celeriac_testkit::{RedisOptions, RedisServer};
use tokio::sync::Notify;

/// How often each job ran.
#[derive(Clone, Default)]
struct Ledger {
    runs: Arc<Mutex<BTreeMap<u64, u32>>>,
    started: Arc<Notify>,
    go: Arc<Notify>,
}

#[task("count", result_ttl = "1h")]
async fn count(number: u64, ledger: State<Ledger>) -> Result<u64, TaskError> {
    *ledger.runs.lock().unwrap().entry(number).or_default() += 1;
    Ok(number)
}

#[task("gate")]
async fn gate(ledger: State<Ledger>) -> Result<(), TaskError> {
    ledger.started.notify_one();
    ledger.go.notified().await;
    Ok(())
}

struct Scene {
    server: RedisServer,
    ledger: Ledger,
    client: Client,
    handle: WorkerHandle,
    worker: tokio::task::JoinHandle<celeriac::Summary>,
}

impl Scene {
    async fn new() -> Self {
        let server = RedisServer::start(&RedisOptions::default());
        let client = Client::connect(&server.url().expose()).await.unwrap();
        let ledger = Ledger::default();
        let tasks = Tasks::new().task::<count>().task::<gate>().state(ledger.clone());
        // A worker has connections of its own, as one in another process has.
        let own = Client::connect(&server.url().expose()).await.unwrap();
        let worker = Worker::builder(&own, tasks).build().unwrap();
        let handle = worker.handle();
        Self { server, ledger, client, handle, worker: tokio::spawn(async move { worker.run().await.unwrap() }) }
    }

    /// A command to the server, on a connection of its own.
    fn order(&self, words: &[&str]) {
        let url = format!("redis://127.0.0.1:{}/", self.server.port());
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let _: redis::Value = command.query(&mut connection).unwrap();
    }

    /// Enqueues as fast as answers come, with eight calls in flight, for a time; what was stored, and how many a second.
    async fn produce(&self, time: Duration, first: u64) -> (Vec<(u64, JobId)>, f64) {
        let began = Instant::now();
        let mut lanes = tokio::task::JoinSet::new();
        for lane in 0..8 {
            let client = self.client.clone();
            lanes.spawn(async move {
                let mut stored = Vec::new();
                for number in (first..).skip(lane).step_by(8) {
                    if began.elapsed() >= time {
                        break;
                    }
                    if let Some(id) = enqueue(&client, number).await {
                        stored.push((number, id));
                    }
                }
                stored
            });
        }
        let stored: Vec<_> = lanes.join_all().await.into_iter().flatten().collect();
        let pace = stored.len() as f64 / began.elapsed().as_secs_f64();
        (stored, pace)
    }

    /// Waits until every stored job has ended, and expects each to have succeeded.
    async fn expect_all_done(&self, stored: &[(u64, JobId)]) {
        let mut ends = tokio::task::JoinSet::new();
        for part in stored.chunks(stored.len() / 32 + 1) {
            let (part, broker) = (part.to_vec(), Arc::clone(self.client.broker()));
            ends.spawn(async move {
                for (_, id) in part {
                    let end = broker.wait_result(&id).await.unwrap();
                    assert_eq!(end.state, JobState::Succeeded, "{id}: {:?}", end.error);
                }
            });
        }
        ends.join_all().await;
    }

    async fn stop(self) {
        self.handle.stop();
        self.worker.await.unwrap();
    }
}

/// Enqueues one job, by every means the client has to know whether it is stored; `None` if it surely is not.
async fn enqueue(client: &Client, number: u64) -> Option<JobId> {
    match client.enqueue(count { number }).await {
        Ok(job) => Some(job.id().clone()),
        Err(EnqueueError::Unknown { batch, .. }) => {
            let ids: Vec<_> = batch.ids().cloned().collect();
            client.resend(batch).await.unwrap();
            ids.into_iter().next()
        }
        Err(EnqueueError::NotApplied { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

fn storm() -> Duration {
    let asked = std::env::var("CELERIAC_STORM").ok();
    asked.map_or(Duration::from_secs(1), |text| celeriac_core::parse_duration(&text).unwrap())
}

/// Lets a storm of commands rage while jobs are enqueued and run, and compares the pace with that of a calm.
async fn under(what: &str, words: &'static [&'static str], every: Duration) {
    let scene = Arc::new(Scene::new().await);
    let (calm, normal) = scene.produce(Duration::from_secs(1), 0).await;
    scene.expect_all_done(&calm).await;
    let weather = {
        let scene = Arc::clone(&scene);
        tokio::spawn(async move {
            loop {
                let scene = Arc::clone(&scene);
                tokio::task::spawn_blocking(move || scene.order(words)).await.unwrap();
                tokio::time::sleep(every).await;
            }
        })
    };
    let (stored, pace) = scene.produce(storm(), 1_000_000).await;
    scene.expect_all_done(&stored).await;
    weather.abort();
    let _ = weather.await;
    let runs = scene.ledger.runs.lock().unwrap().clone();
    let produced: Vec<u64> = runs.keys().copied().filter(|number| *number >= 1_000_000).collect();
    assert_eq!(produced.len(), stored.len(), "what ran is what was stored, no more");
    let mut again = 0;
    for (number, id) in &stored {
        let end = scene.client.broker().result(id).await.unwrap().unwrap();
        // A second run has a recorded cause, or the first one's end was never settled; attempts count both.
        assert!(runs[number] <= end.attempt.max(1) + end.losses, "job {number} ran {} times", runs[number]);
        again += runs[number] - 1;
    }
    println!(
        "{what}: {} jobs, all succeeded, {again} ran again; {pace:.0}/s in the storm, {normal:.0}/s in the calm, {:.2} of it",
        stored.len(),
        pace / normal
    );
    Arc::try_unwrap(scene).ok().unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_killed_again_and_again_lose_and_double_nothing() {
    under("CLIENT KILL every 200 ms", &["CLIENT", "KILL", "TYPE", "normal"], Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_are_forgotten_again_and_again_lose_and_double_nothing() {
    under("SCRIPT FLUSH every 20 ms", &["SCRIPT", "FLUSH"], Duration::from_millis(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_refuses_new_jobs_and_lets_running_ones_end() {
    let scene = Scene::new().await;
    let running = scene.client.enqueue(gate {}).await.unwrap();
    scene.ledger.started.notified().await;
    let waiting = scene.client.enqueue(count { number: 1 }).delay(Duration::from_millis(1)).await.unwrap();
    waiting.result().await.unwrap();
    scene.order(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    scene.order(&["CONFIG", "SET", "maxmemory", "1"]);
    let strict = Client::builder(Arc::clone(scene.client.broker()));
    let strict = strict.enqueue_timeout(Duration::from_millis(300)).build().unwrap();
    let refused = strict.enqueue(count { number: 2 }).await.unwrap_err();
    let EnqueueError::NotApplied { source } = &refused else { panic!("{refused:?}") };
    assert!(matches!(**source, BrokerError::Refused { reason: Refusal::Full, .. }), "{source:?}");
    assert!(refused.is_transient());
    scene.ledger.go.notify_one();
    running.result().await.unwrap();
    scene.order(&["CONFIG", "SET", "maxmemory", "0"]);
    strict.enqueue(count { number: 3 }).await.unwrap().result().await.unwrap();
    assert!(!scene.ledger.runs.lock().unwrap().contains_key(&2));
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_primary_is_left_and_used_again_when_it_is_primary() {
    let scene = Scene::new().await;
    let before = scene.client.enqueue(count { number: 1 }).await.unwrap();
    before.result().await.unwrap();
    // A replica of nobody who answers: it may not be written, and keeps what it has.
    scene.order(&["REPLICAOF", "127.0.0.1", "1"]);
    let strict = Client::builder(Arc::clone(scene.client.broker()));
    let strict = strict.enqueue_timeout(Duration::from_millis(300)).build().unwrap();
    let refused = strict.enqueue(count { number: 2 }).await.unwrap_err();
    let EnqueueError::NotApplied { source } = &refused else { panic!("{refused:?}") };
    assert!(matches!(**source, BrokerError::Refused { reason: Refusal::ReadOnly, .. }), "{source:?}");
    scene.order(&["REPLICAOF", "NO", "ONE"]);
    strict.enqueue(count { number: 3 }).await.unwrap().result().await.unwrap();
    assert_eq!(scene.ledger.runs.lock().unwrap().get(&2), None);
    scene.stop().await;
}
