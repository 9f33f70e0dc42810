//! How many jobs more than it has slots a worker may hold.

use std::time::{Duration, Instant};

/// The most jobs that wait for a slot, whatever their pace.
const MOST: usize = 1000;

/// The allowance, by Little's law: what ends in the time that a call takes should be there when the call ends.
///
/// Twice that, so that the allowance can grow to the pace of the worker when it was too small for it. Jobs that take much longer
/// than a call hardly end in that time, so a worker of slow jobs holds no more than it runs, and other workers get the rest.
#[derive(Debug)]
pub(crate) struct Prefetch {
    allowance: usize,
    /// Jobs that had ended at the last answer, and when that was.
    last: (u64, Instant),
}

impl Default for Prefetch {
    fn default() -> Self {
        Self { allowance: 0, last: (0, Instant::now()) }
    }
}

impl Prefetch {
    /// Learns how many jobs have ended by now, when a call has taken so long.
    pub(crate) fn learn(&mut self, ended: u64, now: Instant, call: Duration) {
        let (before, since) = std::mem::replace(&mut self.last, (ended, now));
        let passed = now.duration_since(since).as_secs_f64().max(1e-6);
        let pace = ended.saturating_sub(before) as f64 / passed;
        // A call that others delay asks for no more than one that took all the time since the last.
        let wanted = (2.0 * pace * call.as_secs_f64().min(passed)) as usize;
        let wanted = wanted.min(MOST);
        // Fast up, slowly down: one slow answer must not empty the pipe.
        self.allowance = if wanted >= self.allowance { wanted } else { (3 * self.allowance + wanted) / 4 };
    }

    /// Forgets what it learnt: jobs have become longer.
    pub(crate) fn reset(&mut self) {
        self.allowance = 0;
    }

    /// How many jobs may wait for a slot.
    pub(crate) fn allowance(&self) -> usize {
        self.allowance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Jobs that end one after the other, so many a second on all slots together, and calls of a millisecond.
    fn allowance_at(pace: u64) -> usize {
        let mut prefetch = Prefetch::default();
        let start = prefetch.last.1;
        for call in 1..200u64 {
            let now = start + Duration::from_millis(call);
            prefetch.learn(call * pace / 1000, now, Duration::from_millis(1));
        }
        prefetch.allowance()
    }

    #[test]
    fn slow_jobs_let_next_to_nothing_be_fetched_in_advance() {
        assert!(allowance_at(320) <= 2, "jobs of 100 ms on 32 slots");
        let mut prefetch = Prefetch::default();
        let at = |seconds| prefetch.last.1 + Duration::from_secs(seconds);
        let (first, second) = (at(1), at(2));
        prefetch.learn(32, first, Duration::from_millis(1));
        prefetch.learn(64, second, Duration::from_millis(1));
        assert_eq!(prefetch.allowance(), 0, "many that end at once are not many a call");
    }

    #[test]
    fn short_jobs_let_as_much_be_fetched_as_ends_in_two_calls() {
        assert_eq!(allowance_at(100_000), 200);
        assert_eq!(allowance_at(10_000_000), MOST);
    }

    #[test]
    fn the_allowance_falls_when_jobs_become_longer() {
        let mut prefetch = Prefetch::default();
        let start = prefetch.last.1;
        prefetch.learn(1000, start + Duration::from_millis(1), Duration::from_millis(1));
        for call in 2..60 {
            prefetch.learn(1000, start + Duration::from_millis(call), Duration::from_millis(1));
        }
        assert_eq!(prefetch.allowance(), 0);
    }
}
