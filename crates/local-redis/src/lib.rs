//! A redis-server as a child process on a free loopback port, for tests and benchmarks.
//!
//! ```no_run
//! use celeriac_local_redis::{RedisOptions, RedisServer};
//!
//! # fn main() -> Result<(), celeriac_local_redis::RedisServerError> {
//! let server = RedisServer::start(&RedisOptions::default())?;
//! println!("it answers at {}", server.url());
//! # Ok(())
//! # }
//! ```
//!
//! The server ends when its [`RedisServer`] is dropped, and also when the process that started it is killed.

mod guardian;
mod options;
mod server;

pub use options::RedisOptions;
pub use server::{RedisServer, RedisServerError};
