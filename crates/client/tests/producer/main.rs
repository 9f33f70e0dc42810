//! The producer as its users see it, on a store that does what a test tells it and on both real ones.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod coalescing;
mod enqueue;
mod faults;
mod stage;
mod stores;
mod support;
mod waiting;
mod workflows;
