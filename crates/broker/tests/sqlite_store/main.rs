//! What only the SQLite store has: a file, shared by processes, on a machine with clocks. What every store does is
//! checked by the conformance suite.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod checkup;
mod clocks;
mod crashes;
mod damage;
mod refusals;
mod scale;
mod schedules;
mod sharing;
#[cfg(target_os = "linux")]
mod small_disk;
mod support;
mod workflows;
