//! What may be typed behind `beat`.

use std::path::PathBuf;

use celeriac_core::ScheduleName;
use clap::Args;

use crate::cli::health::HealthTarget;
use crate::cli::logging::LogFormat;

#[derive(Debug, Args)]
pub(crate) struct BeatArgs {
    /// File of command tasks and schedules [default: celeriac.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// To whom the schedules of the application and of the file belong [default: what these say]
    #[arg(long, value_name = "NAME", value_parser = owner)]
    pub(crate) owner: Option<ScheduleName>,
    /// Tell whoever keeps this process running how it is: HOST:PORT serves /livez, /readyz and /metrics; a path with a slash is a
    /// file that is touched while the beat is alive
    #[arg(long, value_name = "ADDRESS|PATH")]
    pub(crate) health: Option<HealthTarget>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// Reads the name of an owner, whose rule is that of schedules.
pub(super) fn owner(text: &str) -> Result<ScheduleName, String> {
    ScheduleName::new(text).map_err(|error| error.to_string())
}
