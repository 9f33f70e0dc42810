//! Unique keys: of the jobs that carry one, a store accepts one at a time.

use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::excerpt::excerpt;

/// The longest unique key, in bytes.
pub const MAX_UNIQUE_BYTES: usize = 200;

/// A unique key that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UniqueKeyError {
    /// It has no characters.
    #[error("a unique key is empty")]
    Empty,
    /// It has more than [`MAX_UNIQUE_BYTES`] bytes.
    #[error("a unique key has {0} bytes; at most {MAX_UNIQUE_BYTES} are allowed")]
    TooLong(usize),
    /// It holds a space or a control character, which a log or a terminal would have to escape.
    #[error("unique key {:?} holds {character:?}; spaces and control characters are not allowed", excerpt(key))]
    Character {
        /// The key, as it was given.
        key: String,
        /// The first character that was refused.
        character: char,
    },
}

/// A key that at most one unfinished job of a namespace has, whatever its task and queue.
///
/// It is held from enqueue to the end of the job: while it is scheduled, queued, running, retrying or parked. 1 to
/// [`MAX_UNIQUE_BYTES`] bytes without spaces and control characters.
///
/// ```
/// use celeriac_core::UniqueKey;
///
/// assert!(UniqueKey::new("invoice:42").is_ok());
/// assert!(UniqueKey::new("two words").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UniqueKey(CompactString);

impl UniqueKey {
    /// Checks a key.
    ///
    /// # Errors
    /// [`UniqueKeyError`] says which rule it breaks.
    pub fn new(key: impl AsRef<str>) -> Result<Self, UniqueKeyError> {
        let key = key.as_ref();
        if key.is_empty() {
            return Err(UniqueKeyError::Empty);
        }
        if key.len() > MAX_UNIQUE_BYTES {
            return Err(UniqueKeyError::TooLong(key.len()));
        }
        match key.chars().find(|c| c.is_whitespace() || c.is_control()) {
            Some(character) => Err(UniqueKeyError::Character { key: key.to_owned(), character }),
            None => Ok(Self(key.into())),
        }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UniqueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for UniqueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl FromStr for UniqueKey {
    type Err = UniqueKeyError;
    fn from_str(key: &str) -> Result<Self, UniqueKeyError> {
        Self::new(key)
    }
}

impl TryFrom<String> for UniqueKey {
    type Error = UniqueKeyError;
    fn try_from(key: String) -> Result<Self, UniqueKeyError> {
        Self::new(key)
    }
}

impl From<UniqueKey> for String {
    fn from(key: UniqueKey) -> Self {
        key.0.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_may_be_an_address_and_not_a_sentence() {
        assert!(UniqueKey::new("mail:jane@example.org?x=ü").is_ok());
        assert_eq!(UniqueKey::new(""), Err(UniqueKeyError::Empty));
        assert_eq!(UniqueKey::new("k".repeat(201)), Err(UniqueKeyError::TooLong(201)));
        for bad in ["a b", "a\nb", "a\u{1b}[31m", "a\u{a0}b"] {
            assert!(matches!(UniqueKey::new(bad), Err(UniqueKeyError::Character { .. })), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_taken_as_it_is_or_refused_in_short(text in "[!-~]{0,210}|(.|\\n){0,80}") {
            match UniqueKey::new(&text) {
                Ok(key) => prop_assert_eq!(key.as_str(), &text),
                Err(error) => {
                    let said = error.to_string();
                    prop_assert!(said.len() < 1000 && !said.contains(char::is_control), "{}", said);
                }
            }
        }
    }
}
