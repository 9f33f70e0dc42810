//! What the tests of celeriac share: a child redis-server, temporary stores, a proxy that loses answers and worse, a model store, random workflows.
//!
//! Only tests use this crate, so it panics with a clear text where a program would return an error. A missing
//! `redis-server` fails a test; nothing here skips one.

pub mod model;
mod random_workflows;
mod redis_server;
mod shared_redis;
mod temp_sqlite;

pub use celeriac_fault_proxy::{Answer, Commands, Fault, FaultProxy, Kind, Order, Plan, Rule, Way};
pub use model::ModelBroker;
pub use random_workflows::{random_result, random_workflows};
pub use redis_server::{RedisOptions, RedisServer};
pub use shared_redis::{random_prefix, shared_redis};
pub use temp_sqlite::temp_sqlite;
