//! What may be typed behind `bench`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use celeriac_core::{DurationError, parse_duration};
use clap::Args;

/// Without --broker and without the variable it starts a redis-server of its own.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Jobs in each phase
    #[arg(long, value_name = "N", default_value = "100000")]
    pub(crate) jobs: NonZeroU64,
    /// Bytes of the arguments of each job
    #[arg(long, value_name = "BYTES", default_value = "128")]
    pub(crate) payload: usize,
    /// Jobs at once in each worker process: twice what one fetch brings, so that one batch runs while the next is on its way
    #[arg(short, long, value_name = "N", default_value = "1000")]
    pub(crate) concurrency: NonZeroUsize,
    /// Numbers of worker processes to drain with
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,4")]
    pub(crate) processes: Vec<NonZeroUsize>,
    /// How often everything is measured; then medians are shown, with the lowest and the highest
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) runs: NonZeroUsize,
    /// Measure also what a job costs the server with so many others waiting, beside ten [default: not measured]
    #[arg(long, value_name = "N")]
    pub(crate) backlog: Option<NonZeroU64>,
    /// How long an idle worker is watched; 0s leaves it out
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = idle)]
    pub(crate) idle: Duration,
    /// Drain also with results kept
    #[arg(long)]
    pub(crate) with_results: bool,
}

/// Reads a duration, or the zero that needs no unit.
fn idle(text: &str) -> Result<Duration, DurationError> {
    if text == "0" { Ok(Duration::ZERO) } else { parse_duration(text) }
}
