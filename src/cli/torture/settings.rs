//! What was asked for, checked.

use std::time::Duration;

use crate::cli::args::{FaultKind, TortureArgs, TorturedStore};
use crate::cli::exit::Failure;
use crate::cli::output::note;
use clap::ValueEnum as _;

/// Where libfaketime lies on the systems that package it.
const FAKETIME: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
];

/// How long a worker may take to stop.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// One torture.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) seed: u64,
    pub(super) time: Duration,
    pub(super) store: TorturedStore,
    pub(super) faults: Vec<FaultKind>,
    pub(super) workers: usize,
    pub(super) beats: usize,
    pub(super) rate: u32,
    pub(super) lease: Duration,
    pub(super) keep: bool,
    /// The library that fakes clocks, if it is there and wanted.
    pub(super) faketime: Option<&'static str>,
}

impl Settings {
    pub(super) fn check(args: &TortureArgs) -> Result<Self, Failure> {
        let fits = |fault: &FaultKind| args.store == TorturedStore::Redis || fault.fits_sqlite();
        if let Some(fault) = args.faults.iter().find(|fault| !fits(fault)) {
            let known: Vec<_> =
                FaultKind::value_variants().iter().filter(|kind| fits(kind)).map(|kind| kind.name()).collect();
            let text =
                format!("a SQLite file cannot meet the fault {}; it can meet {}", fault.name(), known.join(", "));
            return Err(Failure::usage(text));
        }
        let all = || FaultKind::value_variants().iter().copied().filter(fits).collect();
        let mut faults: Vec<_> = if args.faults.is_empty() { all() } else { args.faults.clone() };
        // However they were typed, a seed gives the same ones.
        faults.sort();
        faults.dedup();
        let faketime = FAKETIME.into_iter().find(|path| std::path::Path::new(path).exists());
        if args.faults.contains(&FaultKind::Clock) && faketime.is_none() {
            let text =
                "libfaketime is not installed, so no clock can be wrong; install it with `apt-get install faketime`";
            return Err(Failure::usage(text));
        }
        if faults.contains(&FaultKind::Clock) && faketime.is_none() {
            note("note: libfaketime is not installed, so every process has the right time");
        }
        Ok(Self {
            // Short enough to be typed again.
            seed: args.seed.unwrap_or_else(|| fastrand::u64(1..1_000_000)),
            time: args.minutes,
            store: args.store,
            faketime: faketime.filter(|_| faults.contains(&FaultKind::Clock)),
            faults,
            workers: args.workers.get(),
            beats: args.beats.get(),
            rate: args.rate.get(),
            lease: args.lease,
            keep: args.keep,
        })
    }

    pub(super) fn has(&self, fault: FaultKind) -> bool {
        self.faults.contains(&fault)
    }
}
