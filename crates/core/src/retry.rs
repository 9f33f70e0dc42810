//! How long to wait before the next attempt.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often a failed job is tried again unless something else is said.
pub const DEFAULT_RETRIES: u32 = 25;

/// How often and when a failed attempt is repeated: exponential back-off with full jitter.
///
/// After failure number n the wait is a random part of `min(max, base * 2^(n-1))`. With the defaults the bounds are
/// 1 s, 2 s, 4 s … 512 s, and 10 min from the eleventh failure on, so that 25 retries spread over about two and a half hours at most.
/// Full jitter (a random part of the whole interval) spreads a crowd of jobs that failed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Failures that lead to another attempt; one more is the end.
    pub retries: u32,
    /// The bound of the first wait.
    pub base: Duration,
    /// The bound that later waits do not pass.
    pub max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries: DEFAULT_RETRIES, base: Duration::from_secs(1), max: Duration::from_secs(600) }
    }
}

impl RetryPolicy {
    /// The longest wait after failure number `failures`, counted from 1.
    #[must_use]
    pub fn bound(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(63);
        let millis = self.base.as_millis().saturating_mul(1 << doublings);
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)).min(self.max)
    }

    /// The wait after failure number `failures`; `jitter` is a random number from 0 to 1.
    #[must_use]
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        let millis = self.bound(failures).as_millis() as f64 * jitter.clamp(0.0, 1.0);
        Duration::from_millis(millis.round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_double_from_a_second_to_ten_minutes() {
        let policy = RetryPolicy::default();
        let bounds: Vec<_> = [1, 2, 3, 10, 11, 25, u32::MAX].map(|n| policy.bound(n).as_secs()).to_vec();
        assert_eq!(bounds, [1, 2, 4, 512, 600, 600, 600]);
    }

    proptest! {
        #[test]
        fn a_delay_never_passes_its_bound(failures in 0u32.., jitter in -1.0f64..2.0) {
            let policy = RetryPolicy::default();
            prop_assert!(policy.delay(failures, jitter) <= policy.bound(failures));
        }
    }
}
