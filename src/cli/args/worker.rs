//! What may be typed behind `worker`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use celeriac_core::{Incarnation, ScheduleName, parse_duration};
use clap::Args;

use super::WeighedQueue;
use super::beat::owner;
use crate::cli::health::HealthTarget;
use crate::cli::logging::LogFormat;

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// Queues to serve; one with =N comes first N times as often as one without [default: "default" and those of the known tasks]
    #[arg(short, long = "queue", value_name = "QUEUE[=N]", value_delimiter = ',')]
    pub(crate) queues: Vec<WeighedQueue>,
    /// Serve a queue only while those named before it are empty
    #[arg(long)]
    pub(crate) strict: bool,
    /// Jobs at once [default: 16 for each core; one for each core if all tasks are commands]
    #[arg(short, long, value_name = "N", value_parser = super::at_least_one::<NonZeroUsize>)]
    pub(crate) concurrency: Option<NonZeroUsize>,
    /// Blocking tasks at once, each on a thread [default: one for each core]
    #[arg(long, value_name = "N", value_parser = super::at_least_one::<NonZeroUsize>)]
    pub(crate) blocking: Option<NonZeroUsize>,
    /// File of command tasks and schedules [default: celeriac.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Name of this worker [default: the host's name]
    #[arg(long, value_parser = worker_name)]
    pub(crate) name: Option<String>,
    /// How long a stop may take; what still runs then is handed back
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(crate) grace: Duration,
    /// How long jobs stay this worker's own after its last heartbeat; at least 1s
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = lease)]
    pub(crate) lease: Duration,
    /// End when the queues are empty and nothing is due within a minute
    #[arg(long, conflicts_with = "beat")]
    pub(crate) burst: bool,
    /// End after so many jobs were begun
    #[arg(long, value_name = "N", value_parser = super::at_least_one::<NonZeroU64>)]
    pub(crate) max_tasks: Option<NonZeroU64>,
    /// Run schedules too, as `celeriac beat` does: those of the store, of the application and of the file
    #[arg(long)]
    pub(crate) beat: bool,
    /// To whom the schedules of the application and of the file belong [default: what these say]
    #[arg(long, value_name = "NAME", value_parser = owner, requires = "beat")]
    pub(crate) owner: Option<ScheduleName>,
    /// Tell whoever keeps this process running how it is: HOST:PORT serves /livez, /readyz and /metrics; a path with a slash is a
    /// file that is touched while the worker is alive
    #[arg(long, value_name = "ADDRESS|PATH")]
    pub(crate) health: Option<HealthTarget>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

pub(super) fn lease(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(lease) if lease < Duration::from_secs(1) => Err("a lease must last at least 1s".to_owned()),
        Ok(lease) => Ok(lease),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn worker_name(text: &str) -> Result<String, String> {
    Incarnation::generate(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}
