//! Links to Redis that fail: answers are lost, bytes stop in the middle, servers refuse, change or forget. Every job is stored once and ends
//! once all the same.
//!
//! `cargo test --test faults_links -- --nocapture` prints how long each recovery took; docs/reliability.md has the table.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]
#![expect(clippy::print_stdout, reason = "recovery times are shown to who asks for them, and asserted nowhere")]

mod cuts;
mod failover;
mod link;
mod lost;
mod partitions;
mod refusals;
mod reset;
mod slow;
#[path = "../support/mod.rs"]
mod support;
