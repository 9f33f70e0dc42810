//! Where a whole workflow is.

use std::fmt;

/// Where a workflow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Something runs or will run.
    Running,
    /// Nothing runs, and nothing will before an operator has retried what is dead.
    Waiting,
    /// All steps have succeeded; under `"when_dead": "continue"`, all have ended.
    Succeeded,
    /// A step has died under `"when_dead": "fail"`. Jobs that had begun may still run.
    Failed,
    /// Somebody revoked it. Jobs that had begun may still run.
    Revoked,
}

impl Status {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting for a retry",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
