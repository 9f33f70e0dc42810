//! Exit codes, and the failures that lead to them.

use std::error::Error;
use std::process::ExitCode;

use celeriac_broker::{BrokerError, Refusal};

/// How a verb ends; docs/cli.md promises these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The job or the operation failed.
    Failed = 1,
    /// The command line, a file or standard input holds something that cannot work.
    Usage = 2,
    /// The store does not answer, or does not let us in.
    Unreachable = 3,
    /// There is no such job.
    NotFound = 4,
    /// The id is in use.
    Conflict = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A verb that did not do what it was asked: a sentence for standard error, and an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// What a store said, in a sentence that names it.
    pub(crate) fn store(store: &str, error: &BrokerError) -> Self {
        let text = chain(error);
        let message = if text.contains(store) { text } else { format!("{store}: {text}") };
        Self::new(exit_of(error), message)
    }

    /// The same failure with another exit code.
    pub(crate) fn exiting(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// The same failure with more to say in front.
    pub(crate) fn after(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

fn exit_of(error: &BrokerError) -> Exit {
    match error {
        BrokerError::Unreachable { .. } | BrokerError::InDoubt { .. } => Exit::Unreachable,
        BrokerError::Refused { reason: Refusal::Denied | Refusal::NotReady, .. } => Exit::Unreachable,
        BrokerError::Invalid(_) => Exit::Usage,
        _ => Exit::Failed,
    }
}

/// An error with the causes behind it, each said once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    // Some causes come in several lines; a sentence has one.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_away_leads_to_3_and_is_named_once() {
        let error = BrokerError::Unreachable { store: "redis://h:1".into(), source: "connection refused".into() };
        let failure = Failure::store("redis://h:1", &error);
        assert_eq!(failure.exit, Exit::Unreachable);
        assert_eq!(failure.message, "cannot reach redis://h:1: connection refused");
    }

    #[test]
    fn a_store_is_named_also_by_errors_that_do_not() {
        let error = BrokerError::Corrupt { what: "record", detail: "bad".into() };
        let failure = Failure::store("sqlite:a.db", &error);
        assert_eq!(failure.exit, Exit::Failed);
        assert!(failure.message.starts_with("sqlite:a.db: record in the store"), "{}", failure.message);
    }
}
