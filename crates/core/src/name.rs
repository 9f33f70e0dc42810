//! Names of tasks, queues, schedules, workflows and namespaces: one alphabet, checked where they enter.
//!
//! The alphabet is small on purpose: a name is used in keys, in logs, on terminals and in URLs, and none of these
//! may have to escape it.

use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::excerpt::excerpt;

/// The longest name in bytes.
pub const MAX_NAME_BYTES: usize = 200;

/// The longest name of a schedule in bytes: the ids of its jobs are made of it and an instant.
pub const MAX_SCHEDULE_NAME_BYTES: usize = 160;

/// The longest id of a workflow in bytes: the ids of its jobs are made of it and the name of a step.
pub const MAX_WORKFLOW_ID_BYTES: usize = 160;

/// A name that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no characters.
    #[error("{what} is empty; use 1 to {limit} of letters, digits and ._:/-")]
    Empty {
        /// What was being named.
        what: &'static str,
        /// The most bytes that are allowed.
        limit: usize,
    },
    /// The name is too long: most may have [`MAX_NAME_BYTES`] bytes, those of schedules [`MAX_SCHEDULE_NAME_BYTES`], ids of workflows
    /// [`MAX_WORKFLOW_ID_BYTES`].
    #[error("{what} has {bytes} bytes; at most {limit} are allowed")]
    TooLong {
        /// What was being named.
        what: &'static str,
        /// The length that was refused.
        bytes: usize,
        /// The most bytes that are allowed.
        limit: usize,
    },
    /// The name holds a character outside letters, digits and `._:/-`.
    #[error("{what} {:?} holds {character:?}; use letters, digits and ._:/-", excerpt(name))]
    Character {
        /// What was being named.
        what: &'static str,
        /// The name, as it was given.
        name: String,
        /// The first character that was refused.
        character: char,
    },
}

/// Checks `name` against the one alphabet; `what` is named in the error.
pub(crate) fn check(what: &'static str, name: &str) -> Result<(), NameError> {
    check_up_to(MAX_NAME_BYTES, what, name)
}

fn check_up_to(limit: usize, what: &'static str, name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what, limit });
    }
    if name.len() > limit {
        return Err(NameError::TooLong { what, bytes: name.len(), limit });
    }
    // Bytes first: every id and name that a store hands out is checked, and hardly one is ever refused.
    if name.bytes().all(|byte| ALLOWED[usize::from(byte)]) {
        return Ok(());
    }
    let refused = name.chars().find(|c| !u8::try_from(*c).is_ok_and(|byte| ALLOWED[usize::from(byte)]));
    Err(NameError::Character { what, name: name.to_owned(), character: refused.unwrap_or_default() })
}

/// Whether a byte may stand in a name.
const ALLOWED: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        allowed[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'.' | b'_' | b':' | b'/' | b'-');
        byte += 1;
    }
    allowed
};

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $limit:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(CompactString);

        impl $type {
            /// Checks a name.
            ///
            /// # Errors
            #[doc = concat!("[`NameError`] unless it is 1 to [`", stringify!($limit), "`] of ASCII letters, digits and `._:/-`.")]
            pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
                check_up_to($limit, $what, name.as_ref())?;
                Ok(Self(name.as_ref().into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.into()
            }
        }
    };
}

name! {
    /// The name of a task: stable text that producers and workers agree on.
    TaskName, "task name", MAX_NAME_BYTES
}

impl TaskName {
    /// What stands for a task in the end of a workflow: `workflow`.
    #[must_use]
    pub fn of_workflows() -> Self {
        Self(CompactString::const_new("workflow"))
    }
}

name! {
    /// The name of a queue.
    QueueName, "queue name", MAX_NAME_BYTES
}

name! {
    /// The name of a namespace: one independent celeriac inside a store.
    Namespace, "namespace", MAX_NAME_BYTES
}

name! {
    /// The name of a schedule.
    ScheduleName, "schedule name", MAX_SCHEDULE_NAME_BYTES
}

name! {
    /// The id of a workflow.
    WorkflowId, "workflow id", MAX_WORKFLOW_ID_BYTES
}

impl WorkflowId {
    /// Generates a new id of the same form as that of a job.
    #[must_use]
    pub fn generate() -> Self {
        Self(crate::JobId::generate().as_str().into())
    }
}

impl QueueName {
    /// The queue that is used when nobody names one.
    pub const DEFAULT: &'static str = "default";

    /// Whether this is the queue that is used when nobody names one.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }
}

impl Default for QueueName {
    fn default() -> Self {
        Self(CompactString::const_new(Self::DEFAULT))
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self(CompactString::const_new("celeriac"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_alphabet_is_letters_digits_and_five_signs() {
        assert!(TaskName::new("reports.summarise:v2/daily-1_x").is_ok());
        for bad in ["a b", "a\n", "ä", "a{b}", "a\0", "\u{202e}abc", "a*"] {
            assert!(matches!(TaskName::new(bad), Err(NameError::Character { .. })), "{bad:?}");
        }
    }

    #[test]
    fn length_is_bounded_on_both_sides() {
        assert_eq!(QueueName::new(""), Err(NameError::Empty { what: "queue name", limit: 200 }));
        assert!(QueueName::new("q".repeat(200)).is_ok());
        let refused = Err(NameError::TooLong { what: "queue name", bytes: 201, limit: 200 });
        assert_eq!(QueueName::new("q".repeat(201)), refused);
        assert!(ScheduleName::new("s".repeat(161)).unwrap_err().to_string().contains("at most 160"));
    }

    #[test]
    fn a_name_from_json_is_checked_too() {
        assert!(serde_json::from_str::<QueueName>("\"mail\"").is_ok());
        let error = serde_json::from_str::<QueueName>("\"a b\"").unwrap_err().to_string();
        assert!(error.contains("queue name \"a b\" holds ' '"), "{error}");
    }

    proptest! {
        #[test]
        fn a_name_is_taken_as_it_is_or_refused_in_short(text in "[a-zA-Z0-9._:/-]{0,210}|(.|\\n){0,80}") {
            match TaskName::new(&text) {
                Ok(name) => {
                    prop_assert_eq!(name.as_str(), &text);
                    let json = serde_json::to_string(&name).unwrap();
                    prop_assert_eq!(serde_json::from_str::<TaskName>(&json).unwrap(), name);
                }
                Err(error) => {
                    let said = error.to_string();
                    prop_assert!(said.len() < 1000 && !said.contains(char::is_control), "{}", said);
                }
            }
        }
    }
}
