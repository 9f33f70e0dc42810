//! Which fault comes next, to whom, and for how long: by chance, and the same again for the same seed.

use std::time::Duration;

use fastrand::Rng;

use super::settings::Settings;
use crate::cli::args::FaultKind;

/// A fault to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    /// How long nothing new happens before it.
    pub(super) pause: Duration,
    pub(super) kind: FaultKind,
    /// Which slot meets it, if it is done to a process: the remainder by the number of slots that can.
    pub(super) victim: usize,
    /// How long it lasts.
    pub(super) lasts: Duration,
    /// For a fault of a link.
    pub(super) seed: u64,
}

/// An endless sequence of faults.
#[derive(Debug)]
pub(super) struct Plan {
    chance: Rng,
    kinds: Vec<FaultKind>,
    lease: Duration,
}

impl Plan {
    pub(super) fn new(settings: &Settings) -> Self {
        // Clocks and poison are not inflicted at a moment: they are in the processes and in the jobs.
        let inflicted = |kind: &FaultKind| !matches!(kind, FaultKind::Clock | FaultKind::Poison);
        let kinds = settings.faults.iter().copied().filter(inflicted).collect();
        Self { chance: Rng::with_seed(settings.seed), kinds, lease: settings.lease }
    }

    /// The next one; `None` if none was asked for.
    pub(super) fn next(&mut self) -> Option<Planned> {
        let chance = &mut self.chance;
        let kind = *self.kinds.get(chance.usize(0..self.kinds.len().max(1)))?;
        let lease = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        // Half of the faults end before a lease can, half last beyond it: those are two different lives.
        let lasts = if chance.bool() { chance.u64(1..lease / 2) } else { chance.u64(lease..lease * 2) };
        Some(Planned {
            pause: Duration::from_millis(chance.u64(100..2500)),
            kind,
            victim: chance.usize(..),
            lasts: Duration::from_millis(lasts),
            seed: chance.u64(..),
        })
    }
}
