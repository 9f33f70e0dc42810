//! The Rust version of BullMQ.

use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use bullmq::options::RedisConnectionOptions;
use bullmq::types::RemoveOnFinish;
use bullmq::worker::CancellationToken;
use bullmq::{BulkJob, Error, Job, JobOptions, Queue, QueueOptions, Worker, WorkerOptions};
use serde_json::Value;

use super::Producer;
use crate::job::Noop;
use crate::spec::Spec;
use crate::tally;

const QUEUE: &str = "peers";

/// How long a worker may take to end its last jobs, in milliseconds.
const GRACE: u64 = 30_000;

/// A queue; its clones share one connection.
#[derive(Clone)]
pub(crate) struct Bullmq(Queue);

impl Producer for Bullmq {
    async fn connect(spec: &Spec) -> Result<Self> {
        let options = QueueOptions::new().connection(connection(spec)).default_job_options(job_options());
        Ok(Self(Queue::with_options(QUEUE, options).await?))
    }

    async fn one(&mut self, job: Noop) -> Result<()> {
        self.0.add("noop", job).await?;
        Ok(())
    }

    async fn many(&mut self, jobs: Vec<Noop>) -> Result<()> {
        self.0.add_bulk(jobs.into_iter().map(|job| BulkJob::new("noop", job)).collect()).await?;
        Ok(())
    }
}

pub(crate) async fn work(spec: &Spec, stop: impl Future<Output = ()> + Send) -> Result<()> {
    // A lock that outlives the measurement needs no renewal.
    let options = WorkerOptions::new()
        .connection(connection(spec))
        .concurrency(spec.tuning.concurrency)
        // A worker that is told to stop ends its last wait for jobs first.
        .drain_delay(Duration::from_secs(1))
        .remove_on_complete(RemoveOnFinish::Bool(true))
        .skip_stalled_check()
        .skip_lock_renewal();
    let worker = Worker::with_options(QUEUE, noop, WorkerOptions { lock_duration: 3_600_000, ..options }).await?;
    stop.await;
    worker.close(GRACE).await?;
    Ok(())
}

async fn noop(job: Job, _: CancellationToken) -> Result<Value, Error> {
    let job: Noop = serde_json::from_value(job.data().clone())?;
    tally::hit(job.n);
    Ok(Value::Null)
}

fn connection(spec: &Spec) -> RedisConnectionOptions {
    RedisConnectionOptions { url: spec.store.clone(), ..RedisConnectionOptions::default() }
}

fn job_options() -> JobOptions {
    JobOptions::new().remove_on_complete(RemoveOnFinish::Bool(true))
}
