//! What a caller says of a job beside its arguments, and the builder methods that say it.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use celeriac_broker::Start;
use celeriac_core::{JobOptions, OptionError, Priority, QueueName, Timestamp};

use crate::error::Invalid;

/// Options of one call. Names are checked when the call is made, so that builder methods need no `Result`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) queue: Option<Cow<'static, str>>,
    pub(crate) start: Start,
    pub(crate) options: JobOptions,
    pub(crate) priority: Option<u8>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Settings {
    /// Checks what only together, or only now, can be checked: priority, headers and the times that must fit each other.
    pub(crate) fn check(mut self) -> Result<Checked, Invalid> {
        let priority = self.priority.map_or_else(|| Ok(Priority::default()), Priority::new)?;
        for (name, value) in self.headers {
            self.options.headers.insert(name, value)?;
        }
        self.options.check().map_err(|OptionError { option, rule, .. }| Invalid::Option { option, rule })?;
        if let Start::After(delay) = self.start {
            let early = |limit: Option<u64>| limit.is_some_and(|limit| limit <= millis(delay));
            if early(self.options.expires_ms) {
                return Err(Invalid::Option { option: "expires", rule: "longer than the delay: both count from now" });
            }
            if early(self.options.deadline_ms) {
                return Err(Invalid::Option { option: "deadline", rule: "longer than the delay: both count from now" });
            }
        }
        let queue = self.queue.map_or_else(|| Ok(QueueName::default()), QueueName::new)?;
        Ok(Checked { queue, start: self.start, priority, options: self.options })
    }

    /// Starts it at an instant by the wall clock; instants before 1970 are past like any other.
    pub(crate) fn at(&mut self, instant: SystemTime) {
        let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.start = Start::At(Timestamp::from_millis(millis(since)));
    }
}

/// Options that were checked.
pub(crate) struct Checked {
    pub(crate) queue: QueueName,
    pub(crate) start: Start,
    pub(crate) priority: Priority,
    pub(crate) options: JobOptions,
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

        /// Tells an attempt after this long that it should stop, instead of the task's own soft limit. It must not be zero.
        pub fn soft_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.settings.options.soft_timeout_ms = Some($crate::settings::millis(timeout));
            self
        }

        /// Sets how urgent it is among the jobs of its queue: 0 to 9, 9 first, 5 unless set. It must not be above 9.
        pub fn priority(mut self, priority: u8) -> Self {
            self.settings.priority = Some(priority);
            self
        }

        /// Lets no attempt begin later than this after the store accepted it: then it ends as expired. It must not be zero.
        pub fn expires(mut self, expires: std::time::Duration) -> Self {
            self.settings.options.expires_ms = Some($crate::settings::millis(expires));
            self
        }

        /// Lets it end no later than this after the store accepted it: what runs then is given up, and the job is dead. It must
        /// not be zero.
        pub fn deadline(mut self, deadline: std::time::Duration) -> Self {
            self.settings.options.deadline_ms = Some($crate::settings::millis(deadline));
            self
        }

        /// Adds a header, which travels with the job and reaches its handler untouched: a W3C `traceparent`, for example. Names are
        /// letters, digits and `._-`; all headers together have at most 8 KiB.
        pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.settings.headers.push((name.into(), value.into()));
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
