//! The systems that are compared. One file for each; nothing else knows how any of them is called.

mod apalis_redis;
mod apalis_sqlite;
mod bullmq;
mod celeriac;
mod ticks;

use std::future::Future;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::job::Noop;
use crate::produce;
use crate::spec::{Produced, Role, Spec};

pub(crate) use self::apalis_redis::ApalisRedis;
pub(crate) use self::apalis_sqlite::ApalisSqlite;
pub(crate) use self::bullmq::Bullmq;
pub(crate) use self::celeriac::Celeriac;

/// One column of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum System {
    Celeriac,
    ApalisRedis,
    Bullmq,
    CeleriacSqlite,
    /// As its `setup` leaves it, without sync to disk.
    ApalisSqlite,
    /// With each commit synced to disk, which its users must ask for.
    ApalisSqliteFull,
}

/// What can be tuned; each system's own defaults are in [`System::tuning`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Tuning {
    /// Threads of the worker's runtime; 0 is a current-thread runtime.
    pub(crate) threads: usize,
    /// Jobs at once in one worker.
    pub(crate) concurrency: usize,
    /// Jobs fetched at once, where it can be chosen.
    pub(crate) batch: usize,
    /// Jobs in one bulk call.
    pub(crate) chunk: usize,
    /// Bulk calls at once.
    pub(crate) lanes: usize,
    /// Milliseconds between polls, for systems that poll.
    pub(crate) poll: u64,
}

/// Enqueues jobs in one system. Clones share what the system lets them share.
pub(crate) trait Producer: Clone + Send + Sized + 'static {
    fn connect(spec: &Spec) -> impl Future<Output = Result<Self>> + Send;

    /// Returns when the store has the job.
    fn one(&mut self, job: Noop) -> impl Future<Output = Result<()>> + Send;

    /// Returns when the store has the jobs.
    fn many(&mut self, jobs: Vec<Noop>) -> impl Future<Output = Result<()>> + Send;

    /// Makes everything ready for workers, outside the measured time.
    fn finish(&mut self) -> impl Future<Output = Result<Option<String>>> + Send {
        async { Ok(None) }
    }
}

impl System {
    /// What was found to be fastest; benches/README.md says what was tried.
    pub(crate) fn tuning(self) -> Tuning {
        let usual = Tuning { threads: 0, concurrency: 1000, batch: 500, chunk: 500, lanes: 4, poll: 1 };
        match self {
            Self::Celeriac | Self::CeleriacSqlite | Self::ApalisRedis => usual,
            Self::Bullmq => Tuning { threads: 1, concurrency: 200, ..usual },
            Self::ApalisSqlite | Self::ApalisSqliteFull => Tuning { lanes: 1, ..usual },
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Celeriac => "celeriac",
            Self::ApalisRedis => "apalis-redis",
            Self::Bullmq => "bullmq-official",
            Self::CeleriacSqlite => "celeriac (SQLite)",
            Self::ApalisSqlite => "apalis-sqlite (as set up: sync off)",
            Self::ApalisSqliteFull => "apalis-sqlite (sync full)",
        }
    }

    pub(crate) fn is_celeriac(self) -> bool {
        matches!(self, Self::Celeriac | Self::CeleriacSqlite)
    }

    pub(crate) fn uses_redis(self) -> bool {
        matches!(self, Self::Celeriac | Self::ApalisRedis | Self::Bullmq)
    }

    /// Carries out a role that enqueues.
    pub(crate) async fn produce(self, spec: &Spec) -> Result<Produced> {
        match self {
            Self::Celeriac | Self::CeleriacSqlite => produce_with::<Celeriac>(spec).await,
            Self::ApalisRedis => produce_with::<ApalisRedis>(spec).await,
            Self::Bullmq => produce_with::<Bullmq>(spec).await,
            Self::ApalisSqlite | Self::ApalisSqliteFull => produce_with::<ApalisSqlite>(spec).await,
        }
    }

    /// Runs a worker until `stop` is over, and then until everything it has run is settled.
    pub(crate) async fn work(self, spec: &Spec, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        match self {
            Self::Celeriac | Self::CeleriacSqlite => celeriac::work(spec, stop).await,
            Self::ApalisRedis => apalis_redis::work(spec, stop).await,
            Self::Bullmq => bullmq::work(spec, stop).await,
            Self::ApalisSqlite | Self::ApalisSqliteFull => apalis_sqlite::work(spec, stop).await,
        }
    }
}

async fn produce_with<P: Producer>(spec: &Spec) -> Result<Produced> {
    let mut producer = P::connect(spec).await?;
    let mut produced = match spec.role {
        Role::Prepare | Role::Work => Produced::default(),
        Role::Enqueue => produce::one_by_one(&producer, spec).await?,
        Role::Bulk => produce::in_bulk(&producer, spec).await?,
        Role::Feed => produce::feed(&mut producer, spec).await?,
    };
    produced.note = producer.finish().await?;
    Ok(produced)
}
