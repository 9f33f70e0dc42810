//! apalis on Redis.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use apalis::prelude::{BackendExt as _, BoxDynError, ParallelizeExt as _, TaskSink as _, WorkerBuilder};
use apalis_redis::{Config, ConnectionManager, RedisStorage};
use redis::aio::ConnectionManagerConfig;

use super::Producer;
use super::ticks::Ticks;
use crate::job::Noop;
use crate::spec::Spec;
use crate::tally;

/// Its scripts hand a whole list of due jobs to Lua's `unpack`, which fails from about 8,000 on.
const PROMOTED_AT_ONCE: usize = 5000;

/// Its default of half a second ends the worker when the server is busy for longer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A storage with a connection that its clones share.
#[derive(Debug, Clone)]
pub(crate) struct ApalisRedis(RedisStorage<Noop>);

impl Producer for ApalisRedis {
    async fn connect(spec: &Spec) -> Result<Self> {
        Ok(Self(storage(spec).await?))
    }

    async fn one(&mut self, job: Noop) -> Result<()> {
        self.0.push(job).await.map_err(|error| anyhow!("apalis does not push: {error}"))
    }

    async fn many(&mut self, jobs: Vec<Noop>) -> Result<()> {
        self.0.push_bulk(jobs).await.map_err(|error| anyhow!("apalis does not push: {error}"))
    }

    /// Each pushed job is put among the scheduled ones, due at once. The next fetch would promote all of them in one call that
    /// fails if they are many, so they are promoted here, in parts and with the same commands.
    async fn finish(&mut self) -> Result<Option<String>> {
        let config = self.0.get_config().clone();
        let link = self.0.get_connection();
        let scheduled = config.scheduled_jobs_set();
        loop {
            let due: Vec<String> = redis::cmd("ZRANGEBYSCORE")
                .arg((&scheduled, 0, "+inf", "LIMIT", 0, PROMOTED_AT_ONCE))
                .query_async(link)
                .await?;
            if due.is_empty() {
                return Ok(None);
            }
            let mut promote = redis::pipe();
            promote.atomic().rpush(config.active_jobs_list(), &due).ignore().zrem(&scheduled, &due).ignore();
            promote.query_async::<()>(link).await?;
        }
    }
}

pub(crate) async fn work(spec: &Spec, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let storage = storage(spec).await?.poll_with_strategy(Ticks::new(Duration::from_millis(spec.tuning.poll)));
    // Two workers of one name would take each other for dead.
    let name = format!("peers-{}", std::process::id());
    let worker = WorkerBuilder::new(name).backend(storage);
    let stop = async {
        stop.await;
        Ok::<_, std::io::Error>(())
    };
    let ended = match spec.tuning.threads {
        0 => worker.build(noop).run_until(stop).await,
        _ => worker.parallelize(tokio::spawn).build(noop).run_until(stop).await,
    };
    ended.map_err(|error| anyhow!("apalis stops: {error}"))
}

async fn noop(job: Noop) -> Result<(), BoxDynError> {
    tally::hit(job.n);
    Ok(())
}

async fn storage(spec: &Spec) -> Result<RedisStorage<Noop>> {
    let settings = ConnectionManagerConfig::new().set_response_timeout(Some(RESPONSE_TIMEOUT));
    let client = redis::Client::open(spec.store.as_str())?;
    let link = ConnectionManager::new_with_config(client, settings).await?;
    // Results must be kept: without them it acknowledges nothing.
    let config = Config::default().queue("peers").batch_size(spec.tuning.batch).lock_tasks(false).emit_events(false);
    Ok(RedisStorage::new(link).with_config(config))
}
