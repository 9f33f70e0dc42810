//! Where a torture takes place: a store of its own, a directory of its own, and for each process a link of its own to the store.

use std::path::PathBuf;

use celeriac_broker::StoreUrl;
use tempfile::TempDir;

use crate::cli::args::TorturedStore;
use crate::cli::exit::{Exit, Failure};

/// Files and store of one torture. Both go with it, unless the files are kept.
pub(super) struct Arena {
    directory: TempDir,
    #[cfg(feature = "redis")]
    pub(super) redis: Option<std::sync::Arc<celeriac_local_redis::RedisServer>>,
}

impl Arena {
    /// Starts the store.
    pub(super) async fn open(store: TorturedStore) -> Result<Self, Failure> {
        let made = tempfile::Builder::new().prefix("celeriac-torture-").tempdir();
        let directory =
            made.map_err(|error| Failure::new(Exit::Failed, format!("cannot make a temporary directory: {error}")))?;
        match store {
            TorturedStore::Sqlite => Ok(Self {
                directory,
                #[cfg(feature = "redis")]
                redis: None,
            }),
            TorturedStore::Redis => Self::with_redis(directory).await,
        }
    }

    /// The server writes every command to disk before it answers: what it acknowledged survives its death.
    #[cfg(feature = "redis")]
    async fn with_redis(directory: TempDir) -> Result<Self, Failure> {
        use celeriac_local_redis::{RedisOptions, RedisServer};
        let options = RedisOptions::default().append_only();
        let started = tokio::task::spawn_blocking(move || RedisServer::start(&options)).await;
        let started = started.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let redis = started.map_err(|error| Failure::new(Exit::Unreachable, crate::cli::exit::chain(&error)))?;
        Ok(Self { directory, redis: Some(std::sync::Arc::new(redis)) })
    }

    #[cfg(not(feature = "redis"))]
    async fn with_redis(_: TempDir) -> Result<Self, Failure> {
        Err(Failure::usage("this build leaves Redis out; torture SQLite with --store sqlite"))
    }

    /// A file of the torture.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The store, straight.
    pub(super) fn url(&self) -> Result<StoreUrl, Failure> {
        #[cfg(feature = "redis")]
        if let Some(redis) = &self.redis {
            return parse(&redis.url());
        }
        parse(&format!("sqlite:{}", self.file("queue.db").display()))
    }

    /// The store through a proxy on `port`.
    #[cfg(feature = "redis")]
    pub(super) fn url_through(&self, port: Option<u16>) -> Result<StoreUrl, Failure> {
        match (&self.redis, port) {
            (Some(redis), Some(port)) => parse(&redis.url_through(port)),
            _ => self.url(),
        }
    }

    /// What people are told.
    pub(super) fn describe(&self) -> &'static str {
        #[cfg(feature = "redis")]
        if self.redis.is_some() {
            return "a redis-server of its own that writes every command to disk before it answers";
        }
        "a SQLite file of its own"
    }

    /// Leaves the files; where they are.
    pub(super) fn keep(self) -> PathBuf {
        self.directory.keep()
    }
}

fn parse(url: &str) -> Result<StoreUrl, Failure> {
    url.parse().map_err(|error| Failure::new(Exit::Failed, format!("the address of the store: {error}")))
}
