//! Beats on real stores: who enqueues what, after outages, beside each other, and when somebody changes a schedule.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod changes;
mod outages;
mod scale;
mod support;
