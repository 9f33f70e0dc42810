//! Every fault happens to a real redis-server and its clients as it is described.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod commands;
mod connections;
mod plans;
mod support;
