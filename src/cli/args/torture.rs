//! What may be typed behind `torture`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use celeriac_core::parse_duration;
use clap::{Args, ValueEnum};

/// It starts stores of its own in a temporary directory and touches no other, whatever --broker says.
#[derive(Debug, Args)]
pub(crate) struct TortureArgs {
    /// Decides which jobs and which faults come; the same seed gives the same ones again [default: a random one]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How long faults go on; a fraction is allowed
    #[arg(long, value_name = "M", default_value = "2", value_parser = minutes)]
    pub(crate) minutes: Duration,
    /// Which store to torture
    #[arg(long, value_enum, default_value = "redis")]
    pub(crate) store: TorturedStore,
    /// Only these faults [default: all that the store can meet]
    #[arg(long, value_enum, value_name = "FAULT,…", value_delimiter = ',')]
    pub(crate) faults: Vec<FaultKind>,
    /// Worker processes
    #[arg(long, value_name = "N", default_value = "4", value_parser = super::at_least_one::<NonZeroUsize>)]
    pub(crate) workers: NonZeroUsize,
    /// Beat processes
    #[arg(long, value_name = "N", default_value = "3", value_parser = super::at_least_one::<NonZeroUsize>)]
    pub(crate) beats: NonZeroUsize,
    /// Jobs a second, from both producers together
    #[arg(long, value_name = "N", default_value = "100", value_parser = super::at_least_one::<NonZeroU32>)]
    pub(crate) rate: NonZeroU32,
    /// How long jobs stay a worker's own after its last heartbeat; faults last up to twice as long
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = super::worker::lease)]
    pub(crate) lease: Duration,
    /// Keep the files also if nothing was found: histories, ledger, logs
    #[arg(long)]
    pub(crate) keep: bool,
}

/// A store that the torture starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TorturedStore {
    Redis,
    Sqlite,
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum FaultKind {
    /// A process is killed
    Kill,
    /// A process is stopped, often for longer than its lease, and goes on
    Stop,
    /// A worker is told to end, and another comes
    Term,
    /// redis-server is killed and comes back
    Restart,
    /// redis-server is stopped, and goes on
    Freeze,
    /// The link of a process loses, delays, cuts, falls silent or answers with errors
    Link,
    /// Workers live with a clock that is an hour off, where libfaketime is installed
    Clock,
    /// Jobs end the process they run in
    Poison,
}

impl FaultKind {
    /// Its name as it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Term => "term",
            Self::Restart => "restart",
            Self::Freeze => "freeze",
            Self::Link => "link",
            Self::Clock => "clock",
            Self::Poison => "poison",
        }
    }

    /// Whether a SQLite file can meet it: there is no server, no link, and the clock of the processes is the store's.
    pub(crate) fn fits_sqlite(self) -> bool {
        matches!(self, Self::Kill | Self::Stop | Self::Term | Self::Poison)
    }
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| (0.01..=100_000.0).contains(minutes));
    let minutes = minutes.ok_or_else(|| {
        let hint = if parse_duration(text).is_ok() { ", without a unit" } else { "" };
        format!("write a number of minutes{hint}, 0.01 at least")
    })?;
    Ok(Duration::from_secs_f64(minutes * 60.0))
}
