//! What this process knows of the store's clock: the last answer, and the time that has passed since.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use celeriac_core::Timestamp;

/// An estimate of the store's time. It is used for texts and for waiting, never to decide who holds what.
#[derive(Debug, Default)]
pub(crate) struct ClockEstimate {
    last: Mutex<Option<(Timestamp, Instant)>>,
    /// What the store said, and when it was asked at the latest: before that it had not said it.
    asked: Mutex<Option<(Timestamp, Instant)>>,
}

impl ClockEstimate {
    /// Notes what the store said.
    pub(crate) fn note(&self, now: Timestamp) {
        *self.lock() = Some((now, Instant::now()));
    }

    /// Notes what the store said to a call that was asked then, and answered without delay.
    pub(crate) fn note_answer(&self, now: Timestamp, asked: Instant) {
        self.note(now);
        *self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((now, asked));
    }

    /// An instant by which the store's clock had not passed `now` yet: for answers to a wait, which may be older than they seem.
    pub(crate) fn no_later_than(&self, now: Timestamp) -> Option<Instant> {
        let asked = *self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        asked.map(|(then, asked)| (asked + now.since(then)).min(Instant::now()))
    }

    /// The store's time, as far as it is known; the epoch before the first answer.
    pub(crate) fn now(&self) -> Timestamp {
        self.lock().map_or(Timestamp::default(), |(at, heard)| at.after(heard.elapsed()))
    }

    /// The latest time that the store's clock may show now: counted from when it was last asked and not from its answer, which was on
    /// its way for a while.
    pub(crate) fn latest(&self) -> Timestamp {
        let asked = *self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let counted = asked.map(|(then, asked)| then.after(asked.elapsed()));
        counted.unwrap_or_default().max(self.now())
    }

    /// How long until `due`; zero if it is past.
    pub(crate) fn until(&self, due: Timestamp) -> Duration {
        due.since(self.now())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Timestamp, Instant)>> {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
