//! `bench`: measures this machine with real processes, and shows each figure beside the floor of the same run.
//!
//! [`command`] leads from the arguments to the report. Where it runs: [`place`] with [`redis_probe`] and [`monitor`]. What runs: the [`phases`],
//! each with processes of [`child`], which [`spawned`] holds one and [`crew`] several of; they speak the [`protocol`]. What
//! comes out: [`measured`] numbers, named in [`figures`], summed up by [`statistics`], shown by [`report`] with [`machine`].
//!
//! Invariants: nothing that was in a store before is touched. A number is shown only if it was measured, and only if [`check`] found that each
//! job of its phase ran exactly once.

mod check;
mod child;
mod command;
mod crew;
mod figures;
mod format;
mod machine;
mod measured;
mod monitor;
mod noop;
mod phases;
mod place;
mod protocol;
mod record;
#[cfg(feature = "redis")]
mod redis_probe;
mod report;
mod settings;
mod spawned;
mod statistics;

pub(crate) use child::run as run_child;
pub(crate) use command::run;
