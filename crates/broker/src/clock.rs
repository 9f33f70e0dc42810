//! Which clock a store uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use celeriac_core::Timestamp;

/// The clock by which a store decides leases, delays and expiries.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum StoreClock {
    /// The store's own: Redis `TIME`, or this machine for SQLite.
    #[default]
    Store,
    /// A clock that a test turns by hand.
    Manual(Arc<AtomicU64>),
}

impl StoreClock {
    /// A clock that stands at `now` until [`StoreClock::advance_to`] turns it.
    #[must_use]
    pub fn manual(now: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(now.as_millis())))
    }

    /// Turns a manual clock; the store's own clock cannot be turned and stays.
    pub fn advance_to(&self, now: Timestamp) {
        if let Self::Manual(millis) = self {
            millis.store(now.as_millis(), Ordering::SeqCst);
        }
    }

    /// The time of a manual clock; `None` means that the store must be asked.
    #[must_use]
    pub fn manual_now(&self) -> Option<Timestamp> {
        match self {
            Self::Store => None,
            Self::Manual(millis) => Some(Timestamp::from_millis(millis.load(Ordering::SeqCst))),
        }
    }
}
