//! The command line of any celeriac application: its tasks and the command tasks of `celeriac.toml`, under one set of verbs.
//!
//! One file is one group of verbs: [`worker`], [`beat`], [`schedule`], [`workflow`], [`enqueue`] and [`enqueue_file`], [`job`] with [`revoke`] and
//! [`explain`], [`result`], [`dead`], [`queue`], [`workers`], [`doctor`], [`bench`], [`torture`]. Beside them
//! stand what they share: [`application`] is what an application hands over, [`run`] leads from the arguments to the verb, [`args`] says what may be typed, [`config`] reads `celeriac.toml`, [`job_spec`] checks one job to enqueue, [`own_schedules`] puts the schedules of application and file together,
//! [`consent`] asks before much is changed, [`store`] opens the store, [`reach`] waits for one that is away, [`signals`] for the end, [`logging`] and [`log_lines`] write the log, [`health`] answers the probes of whoever keeps a worker running, [`wait`] waits for ends, [`json`] and [`output`] say what comes out, [`exit`] what it all ends with.
//!
//! Invariant: standard output carries the answer and nothing else; with `--json` that is exactly one JSON value.

mod application;
mod args;
mod beat;
mod bench;
mod config;
mod consent;
mod dead;
mod doctor;
mod enqueue;
mod enqueue_file;
mod exit;
mod explain;
mod health;
mod job;
mod job_spec;
mod json;
mod log_lines;
mod logging;
mod output;
mod own_schedules;
mod process;
mod queue;
mod reach;
mod result;
mod revoke;
mod run;
mod schedule;
mod signals;
mod store;
mod torture;
mod wait;
mod worker;
mod workers;
mod workflow;

pub use application::{Cli, cli};
