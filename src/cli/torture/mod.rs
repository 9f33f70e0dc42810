//! `torture`: real processes on a store of their own, everything done to them that happens to processes, links and servers, and a checker that
//! says whether every promise was kept.
//!
//! [`command`] leads from the arguments, checked in [`settings`], to the [`report`]. The [`arena`] is the store and the files, the [`cast`] the
//! processes, each on a link of its own ([`links`]) and with its [`order`]; [`child`] is what they do, [`jobs`] what they do it with, [`beats`] what comes again and again. The
//! [`driver`] inflicts the faults of the [`plan`]. Everybody writes down what happens ([`events`]). After the storm the [`aftermath`] waits for quiet and asks the store
//! how each job ended; that is the [`evidence`], which the [`checker`] judges and [`timings`] counts.
//!
//! Invariants: no store but its own is touched. The checker is a pure function, and does not believe the store: what ran is in the
//! ledger, which handlers write.

mod aftermath;
mod arena;
mod beats;
mod cast;
mod checker;
mod child;
mod command;
mod driver;
mod events;
mod evidence;
mod jobs;
mod links;
mod order;
mod plan;
mod report;
mod settings;
mod timings;

pub(crate) use child::run as run_child;
pub(crate) use command::run;
