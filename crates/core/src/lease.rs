//! Who holds a job: incarnations, generations, fencing tokens and leases.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::name::{self, NameError};

/// One life of one worker process: its name and a random boot id.
///
/// A lease belongs to an incarnation and never to a name: two processes that carry the same name live and die on
/// their own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(Arc<str>);

impl Incarnation {
    /// A new life for a worker of this name.
    ///
    /// # Errors
    /// [`NameError`] for a name outside the alphabet.
    pub fn generate(worker_name: &str) -> Result<Self, NameError> {
        name::check("worker name", worker_name)?;
        let boot = Uuid::new_v4().simple().to_string();
        Ok(Self(format!("{worker_name}~{}", &boot[..16]).into()))
    }

    /// Takes the text form that a store kept.
    #[must_use]
    pub fn from_stored(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text form: name, `~`, boot id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The worker's name alone.
    #[must_use]
    pub fn worker_name(&self) -> &str {
        self.0.split_once('~').map_or(&self.0, |(name, _)| name)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A fencing token: grows with every hand-out, so an outside system can refuse the older of two holders.
///
/// One token is given out for each fetch call; the pair of job and token is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(u64);

impl Fence {
    /// A token from its number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// The token's number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Tells the connections of one incarnation apart: a command that carries an older generation is refused whole. A newer one is larger, also
/// in a store that was restored meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(u64);

impl Generation {
    /// A generation from its number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// The generation's number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// The right of one incarnation to settle one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds the job.
    pub holder: Incarnation,
    /// The token of the hand-out.
    pub fence: Fence,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lives_of_one_name_differ() {
        let first = Incarnation::generate("web-1").unwrap();
        let second = Incarnation::generate("web-1").unwrap();
        assert_ne!(first, second);
        assert_eq!(first.worker_name(), "web-1");
    }

    #[test]
    fn a_worker_name_cannot_hold_the_separator() {
        assert!(Incarnation::generate("a~b").is_err());
    }
}
