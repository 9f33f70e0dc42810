//! A worker on an embedded store: where attempts run, what wraps them, and how they are told to stop.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod blocking;
mod fetching;
mod middleware;
mod names;
mod sessions;
mod stopping;
mod support;
mod workflows;
