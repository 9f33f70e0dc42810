//! apalis on SQLite.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use apalis::prelude::{BackendExt as _, BoxDynError, ParallelizeExt as _, TaskSink as _, WorkerBuilder};
use apalis_sqlite::{Config, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteStorage};

use super::ticks::Ticks;
use super::{Producer, System};
use crate::job::Noop;
use crate::spec::{Role, Spec};
use crate::tally;

/// How long a connection waits while another process writes.
const BUSY: Duration = Duration::from_secs(60);

/// A storage with a pool that its clones share.
#[derive(Debug, Clone)]
pub(crate) struct ApalisSqlite(SqliteStorage<Noop>);

impl Producer for ApalisSqlite {
    async fn connect(spec: &Spec) -> Result<Self> {
        let pool = open(spec).await?;
        if spec.role == Role::Prepare {
            SqliteStorage::setup(&pool).await?;
            // With this index SQLite chooses a plan for the acknowledgement that reads every job the worker has ever had: the drain
            // of n jobs takes time as n * n, with or without ANALYZE. Nothing on a job's way needs it.
            sqlx::query("DROP INDEX IF EXISTS LIdx").execute(&pool).await?;
        }
        Ok(Self(storage(spec, &pool)))
    }

    async fn one(&mut self, job: Noop) -> Result<()> {
        self.0.push(job).await.map_err(|error| anyhow!("apalis does not push: {error}"))
    }

    async fn many(&mut self, jobs: Vec<Noop>) -> Result<()> {
        self.0.push_bulk(jobs).await.map_err(|error| anyhow!("apalis does not push: {error}"))
    }

    async fn finish(&mut self) -> Result<Option<String>> {
        let pool = self.0.pool();
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await?;
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await?;
        Ok(Some(format!("journal_mode={journal}, synchronous={synchronous}")))
    }
}

pub(crate) async fn work(spec: &Spec, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let pool = open(spec).await?;
    let storage = storage(spec, &pool).poll_with_strategy(Ticks::new(Duration::from_millis(spec.tuning.poll)));
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

fn storage(spec: &Spec, pool: &SqlitePool) -> SqliteStorage<Noop> {
    let config = Config::default().queue("peers").batch_size(spec.tuning.batch).lock_tasks(false);
    SqliteStorage::new(pool).with_config(config)
}

/// The settings that `setup` makes hold for the one connection that it happens to use, so every connection gets them here.
async fn open(spec: &Spec) -> Result<SqlitePool> {
    let synchronous = if spec.system == System::ApalisSqliteFull { "FULL" } else { "OFF" };
    let options = SqliteConnectOptions::new()
        .filename(&spec.store)
        .create_if_missing(true)
        .busy_timeout(BUSY)
        .pragma("journal_mode", "WAL")
        .pragma("synchronous", synchronous)
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", "64000")
        .pragma("journal_size_limit", "67108864");
    let connections = u32::try_from(spec.tuning.lanes)?;
    Ok(SqlitePoolOptions::new().max_connections(connections).connect_with(options).await?)
}
