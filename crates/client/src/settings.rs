//! What a caller says of a job beside its arguments, and the builder methods that say it.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use celeriac_broker::Start;
use celeriac_core::{JobOptions, Timestamp};

/// Options of one call. Names are checked when the call is made, so that builder methods need no `Result`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) queue: Option<Cow<'static, str>>,
    pub(crate) start: Start,
    pub(crate) options: JobOptions,
}

impl Settings {
    /// Starts it at an instant by the wall clock; instants before 1970 are past like any other.
    pub(crate) fn at(&mut self, instant: SystemTime) {
        let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.start = Start::At(Timestamp::from_millis(millis(since)));
    }
}

/// Whole milliseconds, rounded up so that a short time does not become none.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Writes the builder methods of a type that has a field `settings`.
macro_rules! setters {
    () => {
        /// Sends it to this queue instead of the task's own.
        pub fn queue(mut self, queue: impl Into<String>) -> Self {
            self.settings.queue = Some(std::borrow::Cow::Owned(queue.into()));
            self
        }

        /// Runs it no earlier than this long after the store accepted it. Replaces an earlier `delay` or `at`.
        pub fn delay(mut self, delay: std::time::Duration) -> Self {
            self.settings.start = celeriac_broker::Start::After(delay);
            self
        }

        /// Runs it no earlier than this instant by the store's clock. Replaces an earlier `delay` or `at`.
        pub fn at(mut self, instant: std::time::SystemTime) -> Self {
            self.settings.at(instant);
            self
        }

        /// Sets how many failures lead to another attempt, instead of the task's own number.
        pub fn retries(mut self, retries: u32) -> Self {
            self.settings.options.retries = Some(retries);
            self
        }

        /// Limits how long one attempt may run, instead of the task's own limit. It must not be zero.
        pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
            self.settings.options.timeout_ms = Some($crate::settings::millis(timeout));
            self
        }

        /// Sets how long the end of the job can be read, instead of the task's own time; zero keeps nothing.
        pub fn result_ttl(mut self, ttl: std::time::Duration) -> Self {
            self.settings.options.result_ttl_ms = Some($crate::settings::millis(ttl));
            self
        }
    };
}
pub(crate) use setters;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_before_1970_is_the_first_one() {
        let mut settings = Settings::default();
        settings.at(SystemTime::UNIX_EPOCH - Duration::from_secs(5));
        assert_eq!(settings.start, Start::At(Timestamp::from_millis(0)));
        settings.at(SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
        assert_eq!(settings.start, Start::At(Timestamp::from_millis(1500)));
    }

    #[test]
    fn times_are_rounded_up_to_a_millisecond() {
        assert_eq!([0, 1, 1_000_000, 1_000_001].map(|ns| millis(Duration::from_nanos(ns))), [0, 1, 1, 2]);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
