//! What the benchmark asks a Redis server beside its jobs: processor time, memory, version; and how it cleans up.

use std::time::Duration;

use celeriac_broker::StoreUrl;
use celeriac_core::Namespace;
use redis::aio::MultiplexedConnection;

use crate::cli::exit::{Exit, Failure};

/// How often, every 50 ms, the server is asked whether it has freed what was removed.
const FREEING_LOOKS: usize = 200;

/// Opens a connection. Answers have no time limit: a busy server may take longer than the usual half second.
pub(super) async fn connect(url: &StoreUrl) -> Result<MultiplexedConnection, Failure> {
    let away = |error: redis::RedisError| Failure::new(Exit::Unreachable, format!("{url}: {error}"));
    let client = redis::Client::open(url.address()).map_err(away)?;
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(away)
}

/// A connection for questions.
#[derive(Clone)]
pub(super) struct RedisProbe {
    connection: MultiplexedConnection,
    name: String,
}

impl RedisProbe {
    pub(super) async fn open(url: &StoreUrl) -> Result<Self, Failure> {
        Ok(Self { connection: connect(url).await?, name: url.to_string() })
    }

    /// The processor time the server has used, in nanoseconds.
    pub(super) async fn cpu_ns(&self) -> Result<u64, Failure> {
        let info = self.info("cpu").await?;
        let user: f64 = self.field(&info, "used_cpu_user:")?;
        let system: f64 = self.field(&info, "used_cpu_sys:")?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds of a process, not negative"
        )]
        Ok(((user + system) * 1e9) as u64)
    }

    /// Bytes the server has allocated.
    pub(super) async fn memory(&self) -> Result<u64, Failure> {
        let info = self.info("memory").await?;
        self.field(&info, "used_memory:")
    }

    pub(super) async fn version(&self) -> Result<String, Failure> {
        let info = self.info("server").await?;
        self.field(&info, "redis_version:")
    }

    /// Answers once the server has seen `mark`: in the stream of MONITOR, everything before it came before.
    pub(super) async fn mark(&self, mark: &str) -> Result<(), Failure> {
        let mut connection = self.connection.clone();
        redis::cmd("PING").arg(mark).query_async::<()>(&mut connection).await.map_err(|error| self.failed(&error))
    }

    /// Removes every key of a namespace.
    pub(super) async fn remove(&self, namespace: &Namespace) -> Result<(), Failure> {
        let mut connection = self.connection.clone();
        let pattern = format!("{{{namespace}}}:*");
        let mut cursor: u64 = 0;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1000);
            let (next, keys): (u64, Vec<Vec<u8>>) =
                scan.query_async(&mut connection).await.map_err(|error| self.failed(&error))?;
            if !keys.is_empty() {
                let removed = redis::cmd("UNLINK").arg(keys).to_owned();
                removed.query_async::<()>(&mut connection).await.map_err(|error| self.failed(&error))?;
            }
            if next == 0 {
                return self.wait_freed().await;
            }
            cursor = next;
        }
    }

    /// Waits, but not for ever, until the server has given back the memory of what was removed: that takes processor time, which
    /// the next phase would be charged.
    async fn wait_freed(&self) -> Result<(), Failure> {
        for _ in 0..FREEING_LOOKS {
            let info = self.info("memory").await?;
            let pending: u64 = self.field(&info, "lazyfree_pending_objects:")?;
            if pending == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn info(&self, section: &str) -> Result<String, Failure> {
        let mut connection = self.connection.clone();
        let info = redis::cmd("INFO").arg(section).to_owned();
        info.query_async(&mut connection).await.map_err(|error| self.failed(&error))
    }

    fn field<T: std::str::FromStr>(&self, info: &str, name: &str) -> Result<T, Failure> {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.ok_or_else(|| Failure::new(Exit::Failed, format!("{}: INFO does not tell {name}", self.name)))
    }

    fn failed(&self, error: &redis::RedisError) -> Failure {
        Failure::new(Exit::Unreachable, format!("{}: {error}", self.name))
    }
}
