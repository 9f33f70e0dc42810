//! A store, its namespace and a plain connection beside it.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use celeriac_broker::conformance::{Context, Fixture};
use celeriac_broker::redis::RedisBroker;
use celeriac_broker::{BrokerError, Refusal, StoreClock, StoreUrl};
use celeriac_core::Timestamp;
use celeriac_testkit::{RedisOptions, RedisServer, shared_redis};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue};

/// A store in an empty namespace, with what the suite's cases use, and a plain connection.
pub(crate) struct Scene {
    context: Context,
    /// The store with its own type.
    pub(crate) store: Arc<RedisBroker>,
    pub(crate) url: StoreUrl,
    raw: MultiplexedConnection,
}

impl Deref for Scene {
    type Target = Context;
    fn deref(&self) -> &Context {
        &self.context
    }
}

impl Scene {
    /// In the server that the tests of this binary share.
    pub(crate) async fn shared() -> Self {
        Self::at(shared_redis().await, Box::new(())).await
    }

    /// In a server of its own.
    pub(crate) async fn alone(options: &RedisOptions) -> (Self, Arc<RedisServer>) {
        let server = Arc::new(start(options).await);
        (Self::at(server.url(), Box::new(Arc::clone(&server))).await, server)
    }

    async fn at(url: StoreUrl, guard: Box<dyn Any + Send + Sync>) -> Self {
        let clock = StoreClock::manual(Timestamp::from_millis(1_764_000_000_000));
        let store = Arc::new(RedisBroker::connect(&url, clock.clone()).await.unwrap());
        let fixture = Fixture { broker: store.clone(), stranger: store.clone(), clock, guard };
        let raw = raw(&url).await;
        Self { context: Context::new(fixture), store, url, raw }
    }

    /// The whole name of a key.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.url.namespace())
    }

    /// Runs a command on the plain connection.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &mut Cmd) -> T {
        command.query_async(&mut self.raw.clone()).await.unwrap()
    }

    /// Every key of the namespace, without the tag, in order.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let keys: Vec<String> = self.ask(redis::cmd("KEYS").arg(self.key("*"))).await;
        let mut keys: Vec<_> = keys.into_iter().map(|key| key[self.key("").len()..].to_owned()).collect();
        keys.sort();
        keys
    }
}

/// Starts a server without blocking the runtime.
pub(crate) async fn start(options: &RedisOptions) -> RedisServer {
    let options = options.clone();
    tokio::task::spawn_blocking(move || RedisServer::start(&options)).await.unwrap()
}

/// A plain connection.
pub(crate) async fn raw(url: &StoreUrl) -> MultiplexedConnection {
    redis::Client::open(url.address()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Expects that the store refused for this reason.
pub(crate) fn expect_refused<T: std::fmt::Debug>(answer: &Result<T, BrokerError>, expected: Refusal) {
    assert!(matches!(answer, Err(BrokerError::Refused { reason, .. }) if *reason == expected), "{answer:?}");
}

/// Lets the server be full: more is in use than it may use.
pub(crate) async fn fill(scene: &Scene) {
    let _: () = scene.ask(redis::cmd("CONFIG").arg("SET").arg("maxmemory-policy").arg("noeviction")).await;
    let _: () = scene.ask(redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(1)).await;
}

pub(crate) async fn empty(scene: &Scene) {
    let _: () = scene.ask(redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(0)).await;
}
