//! The SQLite store: one file that many processes of one machine share, or one store in memory.
//!
//! `broker.rs` is the face; each operation has its file and is a plain function of a `Scope` (it writes) or a
//! `View` (it reads). `writer.rs` owns the one connection that writes and commits in groups, `reader.rs` the one
//! that reads and looks for the commits of other processes, `watchers.rs` knows who waits for what.
//!
//! Two invariants: every write runs on the writer's thread inside `BEGIN IMMEDIATE`, and nobody is answered before the
//! commit. No SQL stands outside this folder.

mod broker;
mod checkup;
mod clock;
mod connection;
mod control;
mod disk;
mod enqueue;
mod fault;
mod fetch;
mod inspect;
mod inspector;
mod notes;
mod page;
mod promote;
mod prune;
mod queues;
mod reader;
mod reclaim;
mod rows;
mod schedules;
mod schema;
mod scope;
mod session;
mod settle;
mod steps;
mod wait;
mod watchers;
mod workflows;
mod writer;

pub use broker::SqliteBroker;
