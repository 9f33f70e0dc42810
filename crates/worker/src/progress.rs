//! Whether the fetch loop of a worker makes progress: it says so here on its way, and whoever asks for the worker's health reads it.
//!
//! The loop goes round at least every few seconds, also when it has nothing to do but to wait. So a loop that does not was stopped by
//! something: a task that blocks its runtime, or a call that never ends. Nothing here asks the store.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A loop that has not been round for so many ticks makes no progress.
const MISSED_TICKS: u32 = 6;

/// An answer of the store is news for so many ticks: an idle worker hears of it every four.
const FRESH_TICKS: u32 = 12;

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It does not fetch yet: it is being set up, or waits for its store to register.
    Starting = 0,
    Fetching = 1,
    /// It fetches no more.
    Leaving = 2,
}

/// What the loop says on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// It could run more jobs, and nothing keeps it from fetching them.
    pub(crate) hungry: bool,
    /// How long a call is in flight that has outlived its own limit.
    pub(crate) overdue: Option<Duration>,
}

/// What is known of a worker's progress.
#[derive(Debug)]
pub(crate) struct Progress {
    /// How often the loop goes round at least.
    tick: Duration,
    born: Instant,
    phase: AtomicU8,
    /// Milliseconds since `born`; 0 is never.
    turned: AtomicU64,
    hungry_since: AtomicU64,
    overdue: AtomicU64,
    /// When a fetch was answered last.
    fetched: AtomicU64,
    /// When runnable work was seen beside free slots; 0 if there was none when last looked.
    work_seen: AtomicU64,
    /// When the connections were rebuilt for that; 0 since the last fetch that was answered.
    rebuilt: AtomicU64,
    /// Rebuilding them did not help.
    hopeless: AtomicBool,
    answered: AtomicU64,
    /// What the last attempt to reach the store said, until it answers.
    away: Mutex<Option<String>>,
}

impl Progress {
    pub(crate) fn new(tick: Duration) -> Self {
        Self {
            tick,
            born: Instant::now(),
            phase: AtomicU8::new(Phase::Starting as u8),
            turned: AtomicU64::new(0),
            hungry_since: AtomicU64::new(0),
            overdue: AtomicU64::new(0),
            fetched: AtomicU64::new(0),
            work_seen: AtomicU64::new(0),
            rebuilt: AtomicU64::new(0),
            hopeless: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            away: Mutex::new(None),
        }
    }

    /// How often the loop must go round.
    pub(crate) fn tick(&self) -> Duration {
        self.tick
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// How long ago this was noted; `None` if never.
    fn since(&self, noted: &AtomicU64) -> Option<Duration> {
        let at = noted.load(Ordering::Relaxed);
        (at > 0).then(|| Duration::from_millis(self.now().saturating_sub(at)))
    }

    /// The loop went round.
    pub(crate) fn turned(&self, Turn { hungry, overdue }: Turn) {
        let now = self.now();
        self.turned.store(now, Ordering::Relaxed);
        self.phase.store(Phase::Fetching as u8, Ordering::Relaxed);
        let overdue = overdue.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self.overdue.store(overdue, Ordering::Relaxed);
        if !hungry {
            self.hungry_since.store(0, Ordering::Relaxed);
        } else if self.hungry_since.load(Ordering::Relaxed) == 0 {
            self.hungry_since.store(now, Ordering::Relaxed);
        }
    }

    /// The loop fetches no more.
    pub(crate) fn leaves(&self) {
        self.phase.store(Phase::Leaving as u8, Ordering::Relaxed);
    }

    /// A fetch was answered.
    pub(crate) fn fetched(&self) {
        self.fetched.store(self.now(), Ordering::Relaxed);
        self.rebuilt.store(0, Ordering::Relaxed);
        self.hopeless.store(false, Ordering::Relaxed);
    }

    /// Somebody looked whether work is ready. True if it was before, the loop could have taken some all the while, and no fetch was
    /// answered in between: then its connections must be rebuilt. If that was done and did not help, the worker is beyond help.
    pub(crate) fn starves(&self, work_waiting: bool) -> bool {
        let now = self.now();
        let seen = self.work_seen.load(Ordering::Relaxed);
        let hungry = self.hungry_since.load(Ordering::Relaxed);
        if !work_waiting || hungry == 0 {
            self.work_seen.store(0, Ordering::Relaxed);
            return false;
        }
        if seen == 0 || hungry > seen || self.fetched.load(Ordering::Relaxed) >= seen {
            self.work_seen.store(now, Ordering::Relaxed);
            return false;
        }
        self.work_seen.store(now, Ordering::Relaxed);
        if self.rebuilt.swap(now, Ordering::Relaxed) > 0 {
            self.hopeless.store(true, Ordering::Relaxed);
        }
        true
    }

    /// The store answered.
    pub(crate) fn answered(&self) {
        self.answered.store(self.now(), Ordering::Relaxed);
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The store could not be reached, and will be tried again: that is progress of the loop, too.
    pub(crate) fn waits_for_store(&self, error: &dyn std::error::Error) {
        self.turned.store(self.now(), Ordering::Relaxed);
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    /// Why the loop makes no progress; `None` while it does.
    pub(crate) fn stuck(&self) -> Option<String> {
        if self.phase.load(Ordering::Relaxed) != Phase::Fetching as u8 {
            return None;
        }
        let silent = self.since(&self.turned).unwrap_or_default();
        if silent > self.tick * MISSED_TICKS {
            let seconds = silent.as_secs();
            return Some(format!("the fetch loop stands still for {seconds} s: does a task block its runtime?"));
        }
        if self.hopeless.load(Ordering::Relaxed) {
            let text = "work is ready, slots are free, and nothing is fetched, though the connections were rebuilt";
            return Some(text.to_owned());
        }
        match self.overdue.load(Ordering::Relaxed) {
            0 => None,
            millis => Some(format!("a call to the store has not ended for {} s", millis / 1_000)),
        }
    }

    /// Why no work can be expected of it; `None` when it can.
    pub(crate) fn unready(&self) -> Option<String> {
        match self.phase.load(Ordering::Relaxed) {
            phase if phase == Phase::Starting as u8 => return Some(self.or_away("the worker is not registered yet")),
            phase if phase == Phase::Leaving as u8 => return Some("the worker is stopping".to_owned()),
            _ => {}
        }
        let silent = self.since(&self.answered);
        let fresh = silent.is_some_and(|silent| silent <= self.tick * FRESH_TICKS);
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if fresh && !away { None } else { Some(self.or_away("the store has not answered for a while")) }
    }

    fn or_away(&self, otherwise: &str) -> String {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.as_ref().map_or_else(|| otherwise.to_owned(), |error| format!("waiting for the store: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FED: Turn = Turn { hungry: false, overdue: None };

    /// A loop that goes round every 5 s, as seen after so many seconds of its life.
    fn aged(seconds: u64) -> Progress {
        let mut progress = Progress::new(Duration::from_secs(5));
        age(&mut progress, seconds);
        progress
    }

    fn age(progress: &mut Progress, seconds: u64) {
        progress.born = progress.born.checked_sub(Duration::from_secs(seconds)).unwrap();
    }

    #[test]
    fn a_loop_that_goes_round_is_alive_and_one_that_does_not_says_why() {
        let mut progress = aged(100);
        assert_eq!(progress.stuck(), None, "it has not begun");
        progress.turned(FED);
        age(&mut progress, 29);
        assert_eq!(progress.stuck(), None);
        age(&mut progress, 2);
        assert!(progress.stuck().is_some_and(|why| why.contains("stands still for 31 s")), "{:?}", progress.stuck());
        progress.turned(Turn { hungry: false, overdue: Some(Duration::from_secs(40)) });
        assert!(progress.stuck().is_some_and(|why| why.contains("not ended for 40 s")));
        progress.leaves();
        assert_eq!(progress.stuck(), None, "its end is in sight");
    }

    #[test]
    fn a_loop_that_waits_for_its_store_is_alive_and_not_ready() {
        let mut progress = aged(1);
        progress.turned(FED);
        progress.answered();
        assert_eq!(progress.unready(), None);
        age(&mut progress, 20);
        progress.waits_for_store(&std::io::Error::other("nobody there"));
        age(&mut progress, 20);
        assert_eq!(progress.stuck(), None);
        assert_eq!(progress.unready().as_deref(), Some("waiting for the store: nobody there"));
        progress.answered();
        assert_eq!(progress.unready(), None);
        age(&mut progress, 61);
        assert!(progress.unready().is_some(), "an answer is news for a minute");
    }

    #[test]
    fn it_is_ready_only_while_it_fetches() {
        let progress = aged(1);
        assert!(progress.unready().is_some_and(|why| why.contains("not registered")));
        progress.turned(FED);
        progress.answered();
        progress.leaves();
        assert_eq!(progress.unready().as_deref(), Some("the worker is stopping"));
    }

    #[test]
    fn a_loop_that_fetches_nothing_beside_ready_work_is_told_and_then_given_up() {
        const HUNGRY: Turn = Turn { hungry: true, overdue: None };
        let mut progress = aged(1);
        progress.turned(HUNGRY);
        age(&mut progress, 1);
        assert!(!progress.starves(true), "seen for the first time");
        age(&mut progress, 10);
        progress.fetched();
        age(&mut progress, 1);
        assert!(!progress.starves(true), "a fetch was answered since");
        age(&mut progress, 10);
        assert!(progress.starves(true));
        progress.turned(HUNGRY);
        assert_eq!(progress.stuck(), None);
        age(&mut progress, 10);
        assert!(progress.starves(true));
        progress.turned(HUNGRY);
        assert!(progress.stuck().is_some_and(|why| why.contains("nothing is fetched")));
        progress.fetched();
        assert_eq!(progress.stuck(), None);
        assert!(!progress.starves(false));
        progress.turned(FED);
        assert!(!progress.starves(true) && !progress.starves(true), "it has no room");
    }
}
