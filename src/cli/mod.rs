//! The command line of any celeriac application: its tasks and the command tasks of `celeriac.toml`, under one set of verbs.
//!
//! One file is one group of verbs: [`worker`], [`enqueue`] and [`enqueue_file`], [`job`], [`result`], [`dead`], [`queue`], [`doctor`], [`bench`]. Beside them
//! stand what they share: [`run`] leads from the arguments to the verb, [`args`] says what may be typed, [`config`] reads `celeriac.toml`, [`job_spec`] checks one job to enqueue,
//! [`store`] opens the store, [`health`] answers the probes of whoever keeps a worker running, [`wait`] waits for ends, [`json`] and [`output`] say what comes out, [`exit`] what it all ends with.
//!
//! Invariant: standard output carries the answer and nothing else; with `--json` that is exactly one JSON value.

mod args;
mod bench;
mod config;
mod dead;
mod doctor;
mod enqueue;
mod enqueue_file;
mod exit;
mod health;
mod job;
mod job_spec;
mod json;
mod logging;
mod output;
mod queue;
mod result;
mod run;
mod store;
mod wait;
mod worker;

pub use run::cli;
