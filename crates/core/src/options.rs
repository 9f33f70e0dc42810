//! Options of a task and of a single job, and their defaults.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::canvas::StepLink;
use crate::headers::Headers;
use crate::retry::RetryPolicy;
use crate::unique::UniqueKey;

/// How long the end of a job, with its result, can be read unless something else is said.
pub const DEFAULT_RESULT_TTL: Duration = Duration::from_secs(24 * 3600);

/// How long dead jobs are kept unless something else is said: 90 days.
pub const DEFAULT_DEAD_TTL: Duration = Duration::from_secs(90 * 24 * 3600);

/// The largest payload that is accepted, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

/// How urgent a job is among those of its queue: 0 to 9, 9 first, 5 unless something else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

/// A priority above 9.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("priority {0} is outside 0 to 9 (9 is the most urgent)")]
pub struct PriorityError(u8);

impl Priority {
    /// All priorities, 0 first.
    pub const ALL: [Self; 10] =
        [Self(0), Self(1), Self(2), Self(3), Self(4), Self(5), Self(6), Self(7), Self(8), Self(9)];

    /// Checks a priority.
    ///
    /// # Errors
    /// [`PriorityError`] above 9.
    pub fn new(priority: u8) -> Result<Self, PriorityError> {
        if priority > 9 { Err(PriorityError(priority)) } else { Ok(Self(priority)) }
    }

    /// The priority as a number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(5)
    }
}

impl TryFrom<u8> for Priority {
    type Error = PriorityError;
    fn try_from(priority: u8) -> Result<Self, PriorityError> {
        Self::new(priority)
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> u8 {
        priority.0
    }
}

/// What a task says of all its jobs. A job may override it, see [`JobOptions`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskOptions {
    /// The queue its jobs go to.
    pub queue: &'static str,
    /// How often and when a failed attempt is repeated.
    pub retry: RetryPolicy,
    /// How long one attempt may run; `None` is without limit.
    pub timeout: Option<Duration>,
    /// After how long an attempt is told to stop; it may go on to the timeout. `None` is never.
    pub soft_timeout: Option<Duration>,
    /// Names by which jobs may ask for it too: those it had before it was renamed.
    pub aliases: &'static [&'static str],
    /// How long the end of a job can be read; zero keeps nothing.
    pub result_ttl: Duration,
    /// How long its dead jobs are kept, to be looked at and retried.
    pub dead_ttl: Duration,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            queue: crate::QueueName::DEFAULT,
            retry: RetryPolicy::default(),
            timeout: None,
            soft_timeout: None,
            aliases: &[],
            result_ttl: DEFAULT_RESULT_TTL,
            dead_ttl: DEFAULT_DEAD_TTL,
        }
    }
}

impl TaskOptions {
    /// The defaults: queue `default`, 25 retries, no timeout, results kept 24 hours.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the queue its jobs go to.
    #[must_use]
    pub fn queue(mut self, queue: &'static str) -> Self {
        self.queue = queue;
        self
    }

    /// Sets how many failures lead to another attempt.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retry.retries = retries;
        self
    }

    /// Sets the bounds of the wait between attempts: it doubles from `base` up to `max`.
    #[must_use]
    pub fn backoff(mut self, base: Duration, max: Duration) -> Self {
        self.retry.base = base;
        self.retry.max = max;
        self
    }

    /// Limits how long one attempt may run.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Tells an attempt after this long that it should stop; it may clean up until the timeout.
    #[must_use]
    pub fn soft_timeout(mut self, timeout: Duration) -> Self {
        self.soft_timeout = Some(timeout);
        self
    }

    /// Sets the names by which jobs may ask for it too, so that a task that was renamed leaves no job behind.
    #[must_use]
    pub fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Sets how long the end of a job can be read; zero keeps nothing.
    #[must_use]
    pub fn result_ttl(mut self, ttl: Duration) -> Self {
        self.result_ttl = ttl;
        self
    }

    /// Sets how long its dead jobs are kept.
    #[must_use]
    pub fn dead_ttl(mut self, ttl: Duration) -> Self {
        self.dead_ttl = ttl;
        self
    }
}

/// What one job says differently from its task. Most jobs say nothing, and then it takes no room: neither in the record nor here,
/// where a record is moved many times.
///
/// It reads and writes like the [`Overrides`] it stands for.
#[derive(Clone, Default)]
pub struct JobOptions(Option<Box<Overrides>>);

/// The options of one job, each with the one of its task behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Overrides {
    /// Failures that lead to another attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How long one attempt may run, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// After how long an attempt is told to stop, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_timeout_ms: Option<u64>,
    /// How long the end can be read, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_ttl_ms: Option<u64>,
    /// No attempt begins later than this many milliseconds after the store accepted the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// The job must have ended this many milliseconds after the store accepted it: what runs then is given up, and it is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// The key that no other unfinished job may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique: Option<UniqueKey>,
    /// What travels with the job beside its arguments.
    #[serde(skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
    /// The place of the job in its workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Box<StepLink>>,
}

/// An option whose value cannot be met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option} must be {rule}")]
#[non_exhaustive]
pub struct OptionError {
    /// The option.
    pub option: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

impl Overrides {
    /// Checks that its times can be met.
    ///
    /// # Errors
    /// [`OptionError`] for a limit of zero, and for a soft one that is not shorter than the hard one.
    pub fn check(&self) -> Result<(), OptionError> {
        for (option, limit) in [
            ("timeout", self.timeout_ms),
            ("soft_timeout", self.soft_timeout_ms),
            ("expires", self.expires_ms),
            ("deadline", self.deadline_ms),
        ] {
            if limit == Some(0) {
                return Err(OptionError { option, rule: "longer than zero" });
            }
        }
        match (self.soft_timeout_ms, self.timeout_ms) {
            (Some(soft), Some(hard)) if soft >= hard => {
                Err(OptionError { option: "soft_timeout", rule: "shorter than the timeout" })
            }
            _ => Ok(()),
        }
    }
}

/// What a job says that says nothing.
static NOTHING: Overrides = Overrides {
    retries: None,
    timeout_ms: None,
    soft_timeout_ms: None,
    result_ttl_ms: None,
    expires_ms: None,
    deadline_ms: None,
    unique: None,
    headers: Headers::NONE,
    step: None,
};

impl JobOptions {
    /// Whether the job says nothing of its own.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_deref().is_none_or(|overrides| *overrides == NOTHING)
    }
}

impl Deref for JobOptions {
    type Target = Overrides;
    fn deref(&self) -> &Overrides {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for JobOptions {
    fn deref_mut(&mut self) -> &mut Overrides {
        self.0.get_or_insert_default()
    }
}

impl PartialEq for JobOptions {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for JobOptions {}

impl fmt::Debug for JobOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Serialize for JobOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JobOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let overrides = Overrides::deserialize(deserializer)?;
        Ok(Self((overrides != NOTHING).then(|| Box::new(overrides))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_end_at_nine() {
        assert_eq!(Priority::new(9).map(Priority::get), Ok(9));
        assert_eq!(Priority::new(10), Err(PriorityError(10)));
        assert_eq!(Priority::default().get(), 5);
    }

    #[test]
    fn an_empty_override_is_an_empty_object() {
        assert_eq!(serde_json::to_string(&JobOptions::default()).unwrap(), "{}");
        assert!(serde_json::from_str::<JobOptions>("{}").unwrap().is_empty());
    }
}
