//! What happens to worker processes: killed before they read an answer, ended by their own handlers, told to end at any moment, without
//! descriptors, with a log that nobody reads.
//!
//! `cargo test --test faults_processes -- --nocapture` also says how long each recovery took.
#![expect(clippy::print_stdout, reason = "the time of each recovery is shown to who asks for it")]
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod handlers;
mod jobs;
mod queues;
mod resources;
mod signals;
mod twins;
mod unique;
mod waiting;
