//! What only the Redis store has: its keys and scripts, its server's refusals, its connections.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod access;
mod checkup;
mod layout;
mod limits;
mod recovery;
mod results;
mod schedules;
mod scripts;
mod support;
mod volume;
mod waiting;
