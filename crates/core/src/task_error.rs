//! What a handler answers when an attempt did not succeed.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What shall happen after an attempt that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Try again by the retry policy.
    Retry,
    /// Try again after this time, if a retry is left.
    RetryIn(Duration),
    /// Never try again.
    Permanent,
    /// Run again after this time; this attempt counts as no failure.
    Snooze(Duration),
}

/// The error of a handler: a text and what shall happen next.
///
/// Any standard error, `anyhow::Error`, `String` or `&str` becomes one with `?` and is retried by the policy.
/// This type does not implement [`Error`] itself, because that conversion would then be ambiguous.
///
/// ```
/// use celeriac_core::{TaskError, Verdict};
///
/// fn charge(card: &str) -> Result<u32, TaskError> {
///     let amount: u32 = "12".parse()?;
///     if card.is_empty() {
///         return Err(TaskError::permanent("no card"));
///     }
///     Ok(amount)
/// }
///
/// assert_eq!(charge("").unwrap_err().verdict(), Verdict::Permanent);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskError {
    message: String,
    verdict: Verdict,
}

impl TaskError {
    /// An error that is retried by the policy.
    #[must_use]
    pub fn retry(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), verdict: Verdict::Retry }
    }

    /// An error that is retried after `delay` if a retry is left.
    #[must_use]
    pub fn retry_in(delay: Duration, message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), verdict: Verdict::RetryIn(delay) }
    }

    /// An error that no retry can mend: the job is dead at once.
    #[must_use]
    pub fn permanent(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), verdict: Verdict::Permanent }
    }

    /// Not now: the job runs again after `delay`, and no failure is counted.
    #[must_use]
    pub fn snooze(delay: Duration) -> Self {
        Self { message: "snoozed".to_owned(), verdict: Verdict::Snooze(delay) }
    }

    /// What shall happen next.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The text, with the causes behind it.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E> From<E> for TaskError
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn from(error: E) -> Self {
        let error = error.into();
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            // Many errors already print their source.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = inner.source();
        }
        Self { message, verdict: Verdict::Retry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("reading the amount")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn the_causes_of_an_error_are_kept() {
        let error = TaskError::from(Outer("x".parse::<u32>().unwrap_err()));
        assert_eq!(error.message(), "reading the amount: invalid digit found in string");
        assert_eq!(error.verdict(), Verdict::Retry);
    }

    #[test]
    fn texts_become_errors() {
        assert_eq!(TaskError::from("broken").message(), "broken");
        assert_eq!(TaskError::from(String::from("broken")).message(), "broken");
    }
}
