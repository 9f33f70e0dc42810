//! What the handler does in every system: count the run of its job, and note when.
//!
//! It is a global, because then no system's way of handing state to a handler is part of the figure.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::clock;

static TALLY: OnceLock<Tally> = OnceLock::new();

/// Runs of each job in this process.
#[derive(Debug)]
pub(crate) struct Tally {
    runs: Vec<AtomicU32>,
    starts: Vec<AtomicU64>,
    handled: AtomicU64,
    first: AtomicU64,
    last: AtomicU64,
}

impl Tally {
    /// Prepares the tally of this process for jobs 0 to `jobs`.
    pub(crate) fn prepare(jobs: u64) -> &'static Self {
        TALLY.get_or_init(|| Self {
            runs: (0..jobs).map(|_| AtomicU32::new(0)).collect(),
            starts: (0..jobs).map(|_| AtomicU64::new(0)).collect(),
            handled: AtomicU64::new(0),
            first: AtomicU64::new(u64::MAX),
            last: AtomicU64::new(0),
        })
    }

    pub(crate) fn handled(&self) -> u64 {
        self.handled.load(Ordering::Relaxed)
    }

    /// When the first and the last run began; `None` if there was none.
    pub(crate) fn span(&self) -> Option<(u64, u64)> {
        let last = self.last.load(Ordering::Relaxed);
        (last > 0).then(|| (self.first.load(Ordering::Relaxed), last))
    }

    /// How often each job ran.
    pub(crate) fn runs(&self) -> Vec<u32> {
        self.runs.iter().map(|runs| runs.load(Ordering::Relaxed)).collect()
    }

    /// When each job was run last, 0 for never.
    pub(crate) fn starts(&self) -> Vec<u64> {
        self.starts.iter().map(|start| start.load(Ordering::Relaxed)).collect()
    }
}

/// Counts a run of job `n`; the whole handler.
pub(crate) fn hit(n: u64) {
    let now = clock::now();
    let Some(tally) = TALLY.get() else { return };
    let slot = usize::try_from(n).ok();
    if let Some(runs) = slot.and_then(|slot| tally.runs.get(slot)) {
        runs.fetch_add(1, Ordering::Relaxed);
    }
    if let Some(start) = slot.and_then(|slot| tally.starts.get(slot)) {
        start.store(now, Ordering::Relaxed);
    }
    tally.first.fetch_min(now, Ordering::Relaxed);
    tally.last.fetch_max(now, Ordering::Relaxed);
    tally.handled.fetch_add(1, Ordering::Relaxed);
}
