//! What a worker did.

use std::sync::atomic::{AtomicU64, Ordering};

use celeriac_core::State;

/// How the attempts of a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Jobs that ended with a result.
    pub succeeded: u64,
    /// Attempts that will be repeated.
    pub retried: u64,
    /// Jobs that are dead.
    pub dead: u64,
    /// Jobs that ended because they were revoked while this worker held them.
    pub revoked: u64,
    /// Jobs that ended because they came up too late.
    pub expired: u64,
    /// Jobs given back unfinished.
    pub handed_back: u64,
    /// Jobs kept aside.
    pub parked: u64,
    /// Attempts whose end was refused, because the lease had been lost.
    pub leases_lost: u64,
}

/// The summary while the worker runs.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    by_state: [AtomicU64; COUNTED.len()],
    leases_lost: AtomicU64,
}

const COUNTED: [State; 7] =
    [State::Succeeded, State::Retry, State::Dead, State::Revoked, State::Expired, State::Queued, State::Parked];

impl Counters {
    pub(crate) fn settled(&self, state: State) {
        if let Some(place) = COUNTED.iter().position(|counted| *counted == state) {
            self.by_state[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn lease_lost(&self) {
        self.leases_lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn summary(&self) -> Summary {
        let [succeeded, retried, dead, revoked, expired, handed_back, parked] =
            std::array::from_fn(|place| self.by_state[place].load(Ordering::Relaxed));
        let leases_lost = self.leases_lost.load(Ordering::Relaxed);
        Summary { succeeded, retried, dead, revoked, expired, handed_back, parked, leases_lost }
    }
}
