//! Stores, batches and workers for the tests of this binary.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use celeriac_broker::sqlite::SqliteBroker;
use celeriac_broker::{
    Batch, Broker as _, BrokerError, DEFAULT_LEASE, Delivery, FetchRequest, Holder, IdOrigin, Inspector as _, Lane,
    NewJob, Registration, Session, Settlement, Start, StoreClock, StoreUrl,
};
use celeriac_core::{Ending, Incarnation, JobId, QueueName, Record, Rules, TaskName, decide};
use rusqlite::Connection;
use serde_json::value::RawValue;
use tempfile::TempDir;

/// A directory for a store, and the store's path in it.
pub(crate) fn new_file() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue.db");
    (directory, path)
}

pub(crate) fn url(path: &Path) -> StoreUrl {
    format!("sqlite:{}", path.display()).parse().unwrap()
}

pub(crate) async fn try_open(path: &Path) -> Result<SqliteBroker, BrokerError> {
    SqliteBroker::open(&url(path), StoreClock::Store).await
}

pub(crate) async fn open(path: &Path) -> SqliteBroker {
    try_open(path).await.unwrap()
}

/// The file as any other program sees it.
pub(crate) fn raw(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(30)).unwrap();
    connection
}

/// Fails instead of hanging.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(120), future).await.expect("nothing happened for two minutes")
}

pub(crate) fn queue() -> QueueName {
    QueueName::default()
}

pub(crate) fn task() -> TaskName {
    TaskName::new("task").unwrap()
}

pub(crate) fn new_job(start: Start) -> NewJob {
    let record = Record::new(JobId::generate(), task(), queue(), b"{}".to_vec());
    NewJob { record, start, id_origin: IdOrigin::Generated }
}

/// A producer with one lane.
pub(crate) struct Producer {
    lane: Lane,
    number: u64,
}

impl Producer {
    pub(crate) async fn new(broker: &SqliteBroker) -> Self {
        let producer = JobId::generate().to_string();
        Self { lane: Lane { producer, index: 0, made_at: broker.now().await.unwrap() }, number: 0 }
    }

    pub(crate) async fn enqueue(&mut self, broker: &SqliteBroker, jobs: Vec<NewJob>) {
        self.number += 1;
        let batch = Batch { lane: self.lane.clone(), number: self.number, jobs };
        broker.enqueue(&batch).await.unwrap();
    }
}

pub(crate) async fn enqueue(broker: &SqliteBroker, jobs: Vec<NewJob>) -> Vec<JobId> {
    let ids = jobs.iter().map(|job| job.record.id.clone()).collect();
    Producer::new(broker).await.enqueue(broker, jobs).await;
    ids
}

pub(crate) async fn enqueue_one(broker: &SqliteBroker) -> JobId {
    enqueue(broker, vec![new_job(Start::Now)]).await.remove(0)
}

pub(crate) async fn register(broker: &SqliteBroker) -> Session {
    register_for(broker, DEFAULT_LEASE).await
}

/// A worker with a lease of its own length.
pub(crate) async fn register_for(broker: &SqliteBroker, lease: Duration) -> Session {
    let registration = Registration {
        incarnation: Incarnation::generate("worker").unwrap(),
        host: "host".to_owned(),
        pid: 1,
        version: "0".to_owned(),
        queues: vec![queue()],
        tasks: vec![task()],
        lease,
    };
    broker.register(&registration).await.unwrap()
}

pub(crate) fn everything() -> FetchRequest {
    FetchRequest { holds_nothing: true, ..FetchRequest::new(vec![queue()], 500) }
}

pub(crate) async fn succeed(broker: &SqliteBroker, session: &Session, delivery: &Delivery) {
    let result = RawValue::from_string("1".to_owned()).unwrap();
    let rules = Rules::new("worker", broker.now().await.unwrap());
    let settlement = Settlement {
        id: delivery.record.id.clone(),
        fence: delivery.lease.fence,
        transition: decide(delivery.record.clone(), Ending::Succeeded(result), &rules),
    };
    broker.settle(&Holder::Session(session.clone()), &[settlement]).await.unwrap();
}
