//! The numbers of one run, by key. What was not measured is not there.

use std::collections::BTreeMap;

/// The numbers of one run.
#[derive(Debug, Default)]
pub(super) struct Measured {
    values: BTreeMap<String, f64>,
}

impl Measured {
    pub(super) fn put(&mut self, key: impl Into<String>, value: f64) {
        self.values.insert(key.into(), value);
    }

    pub(super) fn put_known(&mut self, key: impl Into<String>, value: Option<f64>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<f64> {
        self.values.get(key).copied()
    }
}

/// How many a second, of `count` in `nanoseconds`.
pub(super) fn per_second(count: u64, nanoseconds: u64) -> f64 {
    float(count) * 1e9 / float(nanoseconds.max(1))
}

/// Microseconds for each of `count`.
pub(super) fn micros_each(nanoseconds: u64, count: u64) -> f64 {
    float(nanoseconds) / 1e3 / float(count.max(1))
}

/// A count as a number to calculate with; the error beyond 2^53 is of no account here.
#[expect(clippy::cast_precision_loss, reason = "figures are rounded to a few digits")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
