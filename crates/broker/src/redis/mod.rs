//! The Redis store: ids move between lists and sorted sets, records stay in one hash.
//!
//! Every operation that changes something is one Lua script in `lua/`, so it happens as a whole or not at all, and the
//! server's clock decides. Each script has one typed caller here, named like the operation. docs/redis-layout.md describes the keys.
//!
//! Invariants: keys are built in `keys.rs` and declared to each script; the fate of a connection after an error is
//! decided in `link.rs` and `errors.rs`; status words become an enum in `replies.rs`. Deliberately absent: blocking pops of jobs (what a lost
//! reply pops is lost), KEYS and SCAN, and cjson, which corrupts numbers.

mod checkup;
mod diagnosis;
mod enqueue;
mod errors;
mod fetch;
mod foreign;
mod inspect;
mod keys;
mod link;
mod notes;
mod operate;
mod page;
mod places;
mod pool;
mod promote;
mod reclaim;
mod replies;
mod results;
mod revoke;
mod schedules;
mod script;
mod session;
mod settle;
mod store;
mod wait;
mod workflows;

pub use store::RedisBroker;
