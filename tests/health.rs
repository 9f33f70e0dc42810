//! A worker's health as an application asks for it: without a server, from another thread.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use celeriac::broker::{Broker, StoreClock};
use celeriac::{Client, Health, State, TaskError, Tasks, Timestamp, Worker, WorkerHandle, task};
use celeriac_testkit::ModelBroker;

/// Blocks the thread it runs on until it is told to go on.
#[task("block")]
async fn block(gate: State<Arc<Mutex<Receiver<()>>>>) -> Result<(), TaskError> {
    gate.lock().unwrap().recv().unwrap();
    Ok(())
}

/// Needs its slot for as long as the test goes on.
#[task("stay")]
async fn stay() -> Result<(), TaskError> {
    std::future::pending().await
}

fn until(handle: &WorkerHandle, what: &str, holds: impl Fn(&Health) -> bool) -> Health {
    let began = Instant::now();
    loop {
        let health = handle.health();
        if holds(&health) {
            return health;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "never {what}: {health:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A worker on a runtime of one thread, which a task can block.
struct Alone {
    handle: WorkerHandle,
    go_on: Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Alone {
    fn start(patience: Duration, work: impl AsyncFnOnce(&Client) + Send + 'static) -> Self {
        let (go_on, gate) = channel();
        let (sender, receiver) = channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                // Its wait for work ends only when there is some: nothing else moves the loop.
                let store: Arc<dyn Broker> = Arc::new(ModelBroker::new(StoreClock::manual(Timestamp::from_millis(1))));
                let client = Client::builder(store).build().unwrap();
                work(&client).await;
                let tasks = Tasks::new().task::<block>().task::<stay>().state(Arc::new(Mutex::new(gate)));
                let built = Worker::builder(&client, tasks).concurrency(1).grace(Duration::ZERO);
                let worker = built.patience(patience).build().unwrap();
                sender.send(worker.handle()).unwrap();
                worker.run().await.unwrap();
            });
        });
        Self { handle: receiver.recv().unwrap(), go_on, thread }
    }

    fn end(self) {
        self.handle.stop();
        self.thread.join().unwrap();
    }
}

#[test]
fn a_worker_whose_runtime_is_blocked_is_not_alive_until_it_goes_on() {
    let alone = Alone::start(Duration::from_millis(100), async |client| drop(client.enqueue(block {}).await.unwrap()));
    let health = until(&alone.handle, "stuck", |health| !health.is_live());
    assert!(health.stuck.is_some_and(|why| why.contains("stands still")));
    assert!(!alone.handle.health().is_ready());
    alone.go_on.send(()).unwrap();
    until(&alone.handle, "alive again", |health| health.is_live() && health.is_ready());
    alone.end();
}

#[test]
fn a_worker_whose_slots_are_all_taken_is_alive_and_ready() {
    let alone = Alone::start(Duration::from_millis(500), async |client| drop(client.enqueue(stay {}).await.unwrap()));
    until(&alone.handle, "ready", Health::is_ready);
    let began = Instant::now();
    // Longer than a loop may stand still, which is three times the patience.
    while began.elapsed() < Duration::from_millis(2_000) {
        let health = alone.handle.health();
        assert!(health.is_ready(), "{health:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    alone.end();
}
