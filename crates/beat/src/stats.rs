//! What a beat counts, for whoever watches it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of a running beat.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) fired: AtomicU64,
    pub(crate) missed: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) lag_ms: AtomicU64,
}

/// What a beat has done so far. Of several beats each counts what it did itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BeatStats {
    /// Occurrences that it enqueued.
    pub fired: u64,
    /// Occurrences that nobody had enqueued in time and that it dropped.
    pub missed: u64,
    /// Occurrences that it did not enqueue because the job before had not ended.
    pub skipped: u64,
    /// Calls of the store that failed.
    pub errors: u64,
    /// How much later than due the newest occurrence was enqueued.
    pub lag: Duration,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> BeatStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BeatStats {
            fired: read(&self.fired),
            missed: read(&self.missed),
            skipped: read(&self.skipped),
            errors: read(&self.errors),
            lag: Duration::from_millis(read(&self.lag_ms)),
        }
    }
}

impl BeatStats {
    /// The counters in the text form of Prometheus. There is no label for the schedule: there may be thousands.
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        for (name, kind, help, value) in [
            ("celeriac_schedule_fired_total", "counter", "Occurrences enqueued by this beat.", self.fired as f64),
            (
                "celeriac_schedule_missed_total",
                "counter",
                "Occurrences that nobody enqueued in time.",
                self.missed as f64,
            ),
            (
                "celeriac_schedule_skipped_total",
                "counter",
                "Occurrences skipped while a run went on.",
                self.skipped as f64,
            ),
            ("celeriac_beat_errors_total", "counter", "Calls of the store that failed.", self.errors as f64),
            ("celeriac_schedule_lag_seconds", "gauge", "How late the newest occurrence was.", self.lag.as_secs_f64()),
        ] {
            // Writing to a string cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_in_the_text() {
        let counters = Counters::default();
        Counters::add(&counters.fired, 3);
        counters.lag_ms.store(1500, Ordering::Relaxed);
        let text = counters.stats().to_prometheus();
        assert!(
            text.contains("\nceleriac_schedule_fired_total 3\n")
                && text.contains("\nceleriac_schedule_lag_seconds 1.5\n"),
            "{text}"
        );
        assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE")).count(), 5);
    }
}
