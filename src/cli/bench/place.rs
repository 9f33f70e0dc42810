//! Where the benchmark runs: a server of its own, or a namespace or a file of its own in the store that was named.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use celeriac_broker::{Broker, StoreKind, StoreUrl};
use tempfile::TempDir;

#[cfg(feature = "redis")]
use super::redis_probe::RedisProbe;
use crate::cli::exit::{Exit, Failure};
use crate::cli::store::Store;

/// A store for the benchmark alone. It ends with the benchmark; in a named store [`Place::clean`] removes what is left.
pub(super) struct Place {
    pub(super) store: Store,
    url: StoreUrl,
    /// Files of the benchmark; beside the database if the store is a file, so that both lie on one disk. It is dropped before
    /// the server, in whose directory it may be.
    directory: TempDir,
    #[cfg(feature = "redis")]
    redis: Option<Redis>,
}

#[cfg(feature = "redis")]
struct Redis {
    probe: RedisProbe,
    version: String,
    /// None if it was named: then others may use it too.
    own: Option<celeriac_local_redis::RedisServer>,
}

impl Place {
    /// Opens the store that was named, or starts a server.
    pub(super) async fn open(named: Option<&StoreUrl>) -> Result<Self, Failure> {
        match named {
            None => Self::start().await,
            Some(url) if url.kind() == StoreKind::Sqlite => Self::beside(url).await,
            Some(url) => Self::within(url.address(), &std::env::temp_dir()).await,
        }
    }

    /// A new file in a new directory beside the one that was named.
    async fn beside(url: &StoreUrl) -> Result<Self, Failure> {
        if url.address() == ":memory:" {
            return Err(Failure::usage(
                "sqlite::memory: belongs to one process, and a benchmark has several; name a file, as in sqlite:celeriac.db",
            ));
        }
        let parent = Path::new(url.address()).parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let directory = directory_in(parent)?;
        let path = directory.path().join("bench.db");
        let url = format!("sqlite:{}", path.display()).parse();
        let url: StoreUrl = url.map_err(|error| Failure::usage(format!("the directory of the store: {error}")))?;
        let store = Store::open_or_make(&url).await?;
        Ok(Self {
            store,
            url,
            directory,
            #[cfg(feature = "redis")]
            redis: None,
        })
    }

    #[cfg(not(feature = "redis"))]
    async fn start() -> Result<Self, Failure> {
        Err(Failure::usage("this build leaves Redis out; name a file with --broker sqlite:PATH"))
    }

    #[cfg(feature = "redis")]
    async fn start() -> Result<Self, Failure> {
        use celeriac_local_redis::{RedisOptions, RedisServer};
        let server = tokio::task::spawn_blocking(|| RedisServer::start(&RedisOptions::default())).await;
        let server = server.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let server = server.map_err(|error| {
            let text = crate::cli::exit::chain(&error);
            Failure::new(Exit::Unreachable, format!("{text}; or name a store with --broker"))
        })?;
        // Beside the server's files, because they are removed also if this process is killed.
        let mut place = Self::within(&server.url(), server.directory()).await?;
        if let Some(redis) = &mut place.redis {
            redis.own = Some(server);
        }
        Ok(place)
    }

    #[cfg(not(feature = "redis"))]
    async fn within(_: &str, _: &Path) -> Result<Self, Failure> {
        Self::start().await
    }

    /// A namespace that nobody else uses, in a server; files go below `files`.
    #[cfg(feature = "redis")]
    async fn within(server: &str, files: &Path) -> Result<Self, Failure> {
        let url = format!("{server}?prefix=bench-{}", celeriac_core::JobId::generate()).parse();
        let url: StoreUrl = url.map_err(|error| Failure::usage(format!("the address of the store: {error}")))?;
        let store = Store::open_or_make(&url).await?;
        let probe = RedisProbe::open(&url).await?;
        let version = probe.version().await?;
        let directory = directory_in(files)?;
        Ok(Self { store, url, directory, redis: Some(Redis { probe, version, own: None }) })
    }

    pub(super) fn broker(&self) -> &Arc<dyn Broker> {
        &self.store.broker
    }

    /// The address with its password, for child processes.
    pub(super) fn secret_url(&self) -> String {
        self.url.expose()
    }

    /// A file of the benchmark.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What people are told.
    pub(super) fn describe(&self) -> String {
        #[cfg(feature = "redis")]
        if let Some(Redis { version, own, .. }) = &self.redis {
            return match own {
                Some(_) => format!("redis-server {version} of its own, on this machine, without persistence"),
                None => format!("{} (Redis {version}), which others may use too", self.url),
            };
        }
        format!("a new file beside the one that was named: {}", self.url)
    }

    pub(super) fn is_redis(&self) -> bool {
        self.url.kind() == StoreKind::Redis
    }

    /// The version of the server, if there is one.
    pub(super) fn redis_version(&self) -> Option<String> {
        #[cfg(feature = "redis")]
        return self.redis.as_ref().map(|redis| redis.version.clone());
        #[cfg(not(feature = "redis"))]
        None
    }

    /// The port of the server, if it is the benchmark's own and everything may be asked of it.
    pub(super) fn own_port(&self) -> Option<u16> {
        #[cfg(feature = "redis")]
        return self.redis.as_ref().and_then(|redis| redis.own.as_ref()).map(celeriac_local_redis::RedisServer::port);
        #[cfg(not(feature = "redis"))]
        None
    }

    /// The processor time of the server so far, if there is a server.
    pub(super) async fn server_cpu_ns(&self) -> Result<Option<u64>, Failure> {
        #[cfg(feature = "redis")]
        if let Some(redis) = &self.redis {
            return redis.probe.cpu_ns().await.map(Some);
        }
        Ok(None)
    }

    /// The memory of the server, if there is a server.
    pub(super) async fn server_memory(&self) -> Result<Option<u64>, Failure> {
        #[cfg(feature = "redis")]
        if let Some(redis) = &self.redis {
            return redis.probe.memory().await.map(Some);
        }
        Ok(None)
    }

    /// Sends a PING with these words, if there is a server.
    pub(super) async fn mark(&self, mark: &str) -> Result<(), Failure> {
        #[cfg(feature = "redis")]
        if let Some(redis) = &self.redis {
            return redis.probe.mark(mark).await;
        }
        let _ = mark;
        Ok(())
    }

    /// Removes every key of the benchmark. Files go with the directory.
    pub(super) async fn clean(&self) -> Result<(), Failure> {
        #[cfg(feature = "redis")]
        if let Some(redis) = &self.redis {
            return redis.probe.remove(self.url.namespace()).await;
        }
        Ok(())
    }
}

fn directory_in(parent: &Path) -> Result<TempDir, Failure> {
    // The whole path, because children and people read it too.
    let made = parent.canonicalize().and_then(|whole| {
        let mut builder = tempfile::Builder::new();
        builder.prefix("celeriac-bench-").tempdir_in(whole)
    });
    made.map_err(|error| {
        Failure::new(Exit::Unreachable, format!("cannot make a directory in {}: {error}", parent.display()))
    })
}
