//! celeriac, on Redis and on SQLite: the address decides.

use std::future::Future;

use anyhow::Result;
use celeriac::{Client, Tasks, Worker};

use super::{Producer, System};
use crate::job::Noop;
use crate::spec::Spec;
use crate::tally;

/// A client; its clones share its lanes.
#[derive(Debug, Clone)]
pub(crate) struct Celeriac(Client);

impl Producer for Celeriac {
    async fn connect(spec: &Spec) -> Result<Self> {
        Ok(Self(Client::connect(&address(spec)).await?))
    }

    async fn one(&mut self, job: Noop) -> Result<()> {
        self.0.enqueue(job).await?;
        Ok(())
    }

    async fn many(&mut self, jobs: Vec<Noop>) -> Result<()> {
        self.0.enqueue_many(jobs).await?;
        Ok(())
    }
}

pub(crate) async fn work(spec: &Spec, stop: impl Future<Output = ()> + Send) -> Result<()> {
    let client = Client::connect(&address(spec)).await?;
    let worker = Worker::builder(client, Tasks::new().handle(noop)).concurrency(spec.tuning.concurrency).build()?;
    worker.run_until(stop).await?;
    Ok(())
}

async fn noop(job: Noop) -> Result<()> {
    tally::hit(job.n);
    Ok(())
}

fn address(spec: &Spec) -> String {
    match spec.system {
        System::CeleriacSqlite => format!("sqlite:{}", spec.store),
        _ => spec.store.clone(),
    }
}
