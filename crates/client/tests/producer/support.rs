//! What the client's tests share: a sample task, a store on a stage, and a worker that runs one job.

use std::sync::Arc;

use celeriac_broker::{Broker, FetchRequest, Holder, JobFilter, Registration, Settlement, StoreClock};
use celeriac_core::{Ending, Incarnation, JobId, QueueName, Record, Rules, Task, TaskOptions, Timestamp, decide};
use celeriac_testkit::ModelBroker;
use serde::{Deserialize, Serialize};

use crate::stage::Stage;

/// A task with a queue of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Double {
    pub(crate) number: u64,
}

impl Task for Double {
    const NAME: &'static str = "double";
    type Output = u64;

    fn options() -> TaskOptions {
        TaskOptions::new().queue("numbers")
    }
}

/// A task whose arguments are one text, so that their size is easily chosen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Shout(pub(crate) String);

impl Task for Shout {
    const NAME: &'static str = "shout";
    type Output = String;
}

/// An empty store in memory.
pub(crate) fn model() -> ModelBroker {
    ModelBroker::new(StoreClock::manual(Timestamp::from_millis(1_764_000_000_000)))
}

/// How many jobs wait in all queues, due or not.
pub(crate) async fn waiting(broker: &dyn Broker) -> u64 {
    broker.queues().await.unwrap().iter().map(|queue| queue.ready + queue.scheduled).sum()
}

/// The payloads of all jobs that have a record, as text, sorted.
pub(crate) async fn payloads(broker: &dyn Broker) -> Vec<String> {
    let mut filter = JobFilter::default();
    filter.limit = usize::MAX;
    let jobs = broker.jobs(&filter).await.unwrap();
    let mut texts: Vec<_> = jobs.into_iter().map(|job| String::from_utf8(job.payload.unwrap()).unwrap()).collect();
    texts.sort();
    texts
}

/// The ids of a queue's jobs in the order in which a worker gets them.
pub(crate) async fn fetch_order(broker: &dyn Broker, queue: &str) -> Vec<JobId> {
    let incarnation = Incarnation::generate("tester").unwrap();
    let session = broker.register(&registration(incarnation)).await.unwrap();
    let mut ids = Vec::new();
    loop {
        let fetched = broker.fetch(&session, &request(queue, 500)).await.unwrap();
        if fetched.jobs.is_empty() {
            return ids;
        }
        ids.extend(fetched.jobs.into_iter().map(|delivery| delivery.record.id));
    }
}

/// Fetches one job of a queue and ends it: a worker whose handler is `run`.
pub(crate) async fn work_off(broker: &dyn Broker, queue: &str, run: impl FnOnce(&Record) -> Ending) {
    let incarnation = Incarnation::generate("tester").unwrap();
    let session = broker.register(&registration(incarnation)).await.unwrap();
    let fetched = broker.fetch(&session, &request(queue, 1)).await.unwrap();
    let delivery = fetched.jobs.into_iter().next().expect("a job waits");
    let transition = decide(delivery.record.clone(), run(&delivery.record), &Rules::new("tester", fetched.now));
    let settlement = Settlement { id: delivery.record.id, fence: delivery.lease.fence, transition };
    broker.settle(&Holder::Session(session), &[settlement]).await.unwrap();
}

fn registration(incarnation: Incarnation) -> Registration {
    Registration {
        incarnation,
        host: "here".to_owned(),
        pid: 1,
        version: "0".to_owned(),
        queues: Vec::new(),
        tasks: Vec::new(),
        lease: celeriac_broker::DEFAULT_LEASE,
    }
}

fn request(queue: &str, max_jobs: usize) -> FetchRequest {
    FetchRequest { holds_nothing: true, ..FetchRequest::new(vec![QueueName::new(queue).unwrap()], max_jobs) }
}

/// A stage over an empty model.
pub(crate) fn stage() -> Arc<Stage> {
    Stage::new(model())
}
