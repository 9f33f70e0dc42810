//! Handlers that panic and handlers that block, in processes and out of them: the worker lives, and says who it was.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use celeriac::{Client, JobState, ResultError, State, TaskError, Tasks, Worker, task};
use celeriac_testkit::shared_redis;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

#[derive(Clone, Default)]
struct Shared {
    runs: Arc<AtomicU32>,
    stop: Arc<AtomicU32>,
}

#[task("explode")]
async fn explode(shared: State<Shared>) -> Result<(), TaskError> {
    shared.runs.fetch_add(1, Ordering::SeqCst);
    panic!("boom");
}

/// Never gives its thread back, until it is told from outside its runtime.
#[task("spin")]
async fn spin(shared: State<Shared>) -> Result<u32, TaskError> {
    let run = shared.runs.fetch_add(1, Ordering::SeqCst);
    while shared.stop.load(Ordering::SeqCst) == 0 {
        std::hint::spin_loop();
    }
    Ok(run)
}

#[task("calm")]
async fn calm() -> Result<u32, TaskError> {
    Ok(7)
}

fn tasks(shared: &Shared) -> Tasks {
    Tasks::new().task::<explode>().task::<spin>().task::<calm>().state(shared.clone())
}

async fn a_thousand_panics_do_not_end_a_worker(url: &str) {
    let shared = Shared::default();
    let client = Client::connect(url).await.unwrap();
    let worker = Worker::builder(&client, tasks(&shared)).build().unwrap();
    let handle = worker.handle();
    let worker = tokio::spawn(async move { worker.run().await.unwrap() });
    let jobs = client.enqueue_many((0..1000).map(|_| explode {})).retries(0).await.unwrap();
    for job in jobs {
        let Err(ResultError::Failed { state, error, attempts, .. }) = job.result().await else { panic!("no panic") };
        assert_eq!((state, error.as_str(), attempts), (JobState::Dead, "panicked: boom", 1));
    }
    assert_eq!(shared.runs.load(Ordering::SeqCst), 1000);
    assert_eq!(client.enqueue(calm {}).await.unwrap().result().await.unwrap(), 7);
    handle.stop();
    assert_eq!(worker.await.unwrap().dead, 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_panics_do_not_end_a_worker_on_sqlite() {
    a_thousand_panics_do_not_end_a_worker("sqlite::memory:").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_panics_do_not_end_a_worker_on_redis() {
    a_thousand_panics_do_not_end_a_worker(&shared_redis().await.expose()).await;
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;
    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// The worker's runtime has one thread, and the handler keeps it. The heartbeat has its own: the lease of a second is renewed, nobody else
/// gets the job, and the log says whose fault it is.
#[test]
fn a_handler_that_never_gives_its_thread_back_is_named_and_keeps_its_lease() {
    let log = Log::default();
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_ansi(false).with_writer(log.clone()))
        .init();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("queue.db").display());
    let shared = Shared::default();
    let other_runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let blocked = {
        let (url, shared) = (url.clone(), shared.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = Client::connect(&url).await.unwrap();
                let worker = Worker::builder(client, tasks(&shared)).name("blocked").lease(Duration::from_secs(1));
                worker.max_tasks(1).build().unwrap().run().await.unwrap()
            })
        })
    };
    other_runtime.block_on(async {
        let client = Client::connect(&url).await.unwrap();
        let job = client.enqueue(spin {}).await.unwrap();
        while shared.runs.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Another worker would take the job if the first one's lease ended. It comes after the first has the job.
        let worker =
            Worker::builder(&client, tasks(&shared)).name("other").lease(Duration::from_secs(1)).build().unwrap();
        let handle = worker.handle();
        let worker = tokio::spawn(async move { worker.run().await.unwrap() });
        while !log.text().contains("the handler blocks its thread") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Three leases.
        tokio::time::sleep(Duration::from_secs(3)).await;
        shared.stop.store(1, Ordering::SeqCst);
        assert_eq!(job.result().await.unwrap(), 0, "it ran once");
        handle.stop();
        worker.await.unwrap();
    });
    assert_eq!(blocked.join().unwrap().succeeded, 1);
    let text = log.text();
    let line = text.lines().find(|line| line.contains("the handler blocks its thread")).unwrap();
    assert!(line.contains("task=spin") && line.contains("ERROR"), "{line}");
    assert_eq!(shared.runs.load(Ordering::SeqCst), 1);
}
