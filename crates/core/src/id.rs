//! The id of a job: one text form everywhere, from the log line to the store's key.
//!
//! A generated id is a UUID of version 7 (time ordered) in 22 characters of base 62. The short form is what makes
//! a queued job cheap: the id stands twice in Redis. 36 characters would cost about 36 bytes a job more.

use std::fmt;
use std::str::FromStr;

use compact_str::{CompactString, format_compact};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::name::{self, NameError, WorkflowId};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^22 is the first power of 62 above 2^128.
const GENERATED_LENGTH: usize = 22;
/// Digits of base 62 that fit 64 bits, and the number that is one above them.
const WORD_DIGITS: usize = 10;
const WORD: u128 = 62u128.pow(WORD_DIGITS as u32);

/// A job id that was refused; it says which rule it broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct JobIdError(#[from] NameError);

/// The id of a job: generated, or chosen by the caller.
///
/// Cloning is cheap. Generated ids sort by the time they were made.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(CompactString);

impl JobId {
    /// Generates a new id from a UUID of version 7.
    #[must_use]
    pub fn generate() -> Self {
        Self::from(Uuid::now_v7())
    }

    /// Takes an id that the caller chose.
    ///
    /// # Errors
    /// [`JobIdError`] unless it is 1 to 200 of ASCII letters, digits and `._:/-`.
    pub fn new(id: impl AsRef<str>) -> Result<Self, JobIdError> {
        name::check("job id", id.as_ref())?;
        Ok(Self(id.as_ref().into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl JobId {
    /// The id of the job of a step: its workflow, a colon, and its name, or what stands for it.
    ///
    /// Ids of workflows and names of steps have the alphabet of ids; the caller has looked at the length.
    pub(crate) fn of_step(workflow: &WorkflowId, name: fmt::Arguments<'_>) -> Self {
        Self(format_compact!("{workflow}:{name}"))
    }
}

impl From<&WorkflowId> for JobId {
    /// The id under which the end of a workflow is kept: its own. It has the alphabet of ids of jobs, and these may be longer.
    fn from(workflow: &WorkflowId) -> Self {
        Self(workflow.as_str().into())
    }
}

impl From<Uuid> for JobId {
    fn from(uuid: Uuid) -> Self {
        let mut text = [b'0'; GENERATED_LENGTH];
        // Digits are taken from words of 64 bits: a division of 128 bits costs as much as all the rest of an enqueue.
        let mut rest = uuid.as_u128();
        for digits in text.rchunks_mut(WORD_DIGITS) {
            let mut word = (rest % WORD) as u64;
            rest /= WORD;
            for place in digits.iter_mut().rev() {
                *place = ALPHABET[(word % 62) as usize];
                word /= 62;
            }
        }
        Self(CompactString::from_utf8_lossy(&text))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for JobId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobId {
    type Err = JobIdError;
    fn from_str(id: &str) -> Result<Self, JobIdError> {
        Self::new(id)
    }
}

impl TryFrom<String> for JobId {
    type Error = JobIdError;
    fn try_from(id: String) -> Result<Self, JobIdError> {
        Self::new(id)
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> String {
        id.0.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn generated_ids_have_22_characters_and_keep_the_order_of_their_uuids() {
        let low = JobId::from(Uuid::from_u128(u128::from(u64::MAX)));
        let high = JobId::from(Uuid::from_u128(u128::MAX));
        assert_eq!(low.as_str().len(), 22);
        assert!(low < high);
        assert_eq!(high.as_str(), "7n42DGM5Tflk9n8mt7Fhc7");
    }

    #[test]
    fn two_generated_ids_differ() {
        assert_ne!(JobId::generate(), JobId::generate());
    }

    #[test]
    fn a_chosen_id_follows_the_rule_of_names() {
        assert!(JobId::new("invoice:2013-01").is_ok());
        assert!(JobId::new("two words").unwrap_err().to_string().starts_with("job id"));
    }

    proptest! {
        #[test]
        fn an_id_of_a_uuid_is_an_id_and_keeps_its_order(one: u128, other: u128) {
            let ids = [one, other].map(|number| JobId::from(Uuid::from_u128(number)));
            prop_assert_eq!(JobId::new(ids[0].as_str()), Ok(ids[0].clone()));
            prop_assert_eq!(ids[0].cmp(&ids[1]), one.cmp(&other));
        }
    }
}
