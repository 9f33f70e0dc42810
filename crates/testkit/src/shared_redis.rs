//! One redis-server for each test binary, shared by its tests under random prefixes.

use celeriac_broker::StoreUrl;
use celeriac_core::JobId;
use tokio::sync::OnceCell;

use crate::redis_server::{RedisOptions, RedisServer};

/// A static is never dropped: the server's guardian ends it when this process is gone.
static SERVER: OnceCell<RedisServer> = OnceCell::const_new();

/// The address of a namespace that no other test uses, in the server that this test binary shares.
///
/// Nothing is ever flushed: a test sees only its own prefix, so tests may run side by side.
///
/// # Panics
/// If `redis-server` cannot be started.
pub async fn shared_redis() -> StoreUrl {
    let start = || async {
        let start = tokio::task::spawn_blocking(|| RedisServer::start(&RedisOptions::default()));
        start.await.expect("redis-server starts")
    };
    SERVER.get_or_init(start).await.url_with_prefix(&random_prefix())
}

/// A namespace's name that was never used before.
#[must_use]
pub fn random_prefix() -> String {
    format!("t{}", JobId::generate())
}
