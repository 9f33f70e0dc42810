//! A store, a worker on it, and how a job ends.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use celeriac_broker::{Batch, BatchAnswer, Broker, IdOrigin, Lane, NewJob, Start};
use celeriac_core::{JobId, JobOptions, Outcome, QueueName, Record, Task, TaskError, TaskOptions, Timestamp};
use celeriac_worker::{Summary, Tasks, Worker, WorkerBuilder, WorkerHandle};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

/// Nothing here takes so long; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The one task of these tests. Each test gives it a handler.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Probe {
    pub(crate) number: u64,
}

impl Task for Probe {
    const NAME: &'static str = "probe";
    type Output = u64;

    fn options() -> TaskOptions {
        TaskOptions::new().aliases(&["probe.before"])
    }
}

pub(crate) type Answer = Result<u64, TaskError>;

pub(crate) async fn store() -> Arc<dyn Broker> {
    celeriac_broker::connect(&"sqlite::memory:".parse().unwrap()).await.unwrap()
}

/// Enqueues one job for each record.
pub(crate) async fn enqueue(store: &Arc<dyn Broker>, records: Vec<Record>) -> Vec<JobId> {
    let ids = records.iter().map(|record| record.id.clone()).collect();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let made_at = Timestamp::from_millis(u64::try_from(now).unwrap());
    let lane = Lane { producer: JobId::generate().to_string(), index: 0, made_at };
    let job = |record| NewJob { record, start: Start::Now, id_origin: IdOrigin::Generated };
    let batch = Batch { lane, number: 1, jobs: records.into_iter().map(job).collect() };
    let answer = store.enqueue(&batch).await.unwrap();
    assert!(matches!(answer, BatchAnswer::Applied(_)), "{answer:?}");
    ids
}

/// Jobs of the task, numbered from 0. They fail for good at the first failure.
pub(crate) fn probes(count: u64) -> Vec<Record> {
    (0..count).map(|number| named(Probe::NAME, number)).collect()
}

pub(crate) fn named(task: &str, number: u64) -> Record {
    let payload = serde_json::to_vec(&Probe { number }).unwrap();
    let mut record = Record::new(JobId::generate(), task.parse().unwrap(), QueueName::default(), payload);
    let mut options = JobOptions::default();
    options.retries = Some(0);
    record.options = options;
    record
}

/// How the job ends.
pub(crate) async fn end(store: &Arc<dyn Broker>, id: &JobId) -> Outcome {
    tokio::time::timeout(PATIENCE, store.wait_result(id)).await.unwrap().unwrap()
}

/// A worker at work.
pub(crate) struct AtWork {
    pub(crate) handle: WorkerHandle,
    run: JoinHandle<Summary>,
}

impl AtWork {
    pub(crate) fn start(
        store: &Arc<dyn Broker>,
        tasks: Tasks,
        set: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
    ) -> Self {
        let worker = set(Worker::builder(Arc::clone(store), tasks)).build().unwrap();
        let handle = worker.handle();
        Self { handle, run: tokio::spawn(async move { worker.run().await.unwrap() }) }
    }

    /// Stops it, and waits for its end.
    pub(crate) async fn stop(self) -> Summary {
        self.handle.stop();
        self.ended().await
    }

    /// Waits for its end.
    pub(crate) async fn ended(self) -> Summary {
        tokio::time::timeout(PATIENCE, self.run).await.unwrap().unwrap()
    }
}

/// Waits until something is so.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

/// The log lines of a thread.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// How many hold this text.
    pub(crate) fn with(&self, text: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
        tracing::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = String::new();
        event.record(&mut |_: &tracing::field::Field, value: &dyn std::fmt::Debug| line += &format!("{value:?} "));
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &tracing::Id) {}

    fn exit(&self, _: &tracing::Id) {}
}
