//! A redis-server of the test's own: [`celeriac_local_redis`] with addresses of stores, and panics in place of errors.

use celeriac_broker::StoreUrl;
pub use celeriac_local_redis::RedisOptions;

/// A running redis-server. It ends when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    server: celeriac_local_redis::RedisServer,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// If `redis-server` is not installed or does not start.
    #[must_use]
    pub fn start(options: &RedisOptions) -> Self {
        match celeriac_local_redis::RedisServer::start(options) {
            Ok(server) => Self { server },
            Err(error) => panic!("these tests need a redis-server: {error}"),
        }
    }

    /// The port it listens on, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// The address, with the password if there is one, and the default namespace.
    #[must_use]
    pub fn url(&self) -> StoreUrl {
        self.server.url().parse().expect("a valid address")
    }

    /// The address with a namespace of its own.
    #[must_use]
    pub fn url_with_prefix(&self, prefix: &str) -> StoreUrl {
        self.url_through(self.port(), prefix)
    }

    /// The address with another port, for a proxy in front of the server, and a namespace.
    #[must_use]
    pub fn url_through(&self, port: u16, prefix: &str) -> StoreUrl {
        format!("{}?prefix={prefix}", self.server.url_through(port)).parse().expect("a valid address")
    }

    /// Kills the server; its files stay for [`RedisServer::restart`].
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts the server again on the same port and the same files, and waits until it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&self) {
        self.server.restart().expect("redis-server starts again");
    }

    /// Stops the process without ending it, as an overloaded machine would: connections stay open and nothing answers.
    ///
    /// # Panics
    /// If the server was killed.
    pub fn freeze(&self) {
        self.server.freeze().expect("the server runs");
    }

    /// Lets a frozen process go on.
    ///
    /// # Panics
    /// If the server was killed.
    pub fn thaw(&self) {
        self.server.thaw().expect("the server runs");
    }
}
