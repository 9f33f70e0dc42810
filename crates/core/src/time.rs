//! Instants by the store's clock.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant by the store's clock: milliseconds since the Unix epoch.
///
/// Instants of two stores, or of a store and this machine, are not comparable; nothing in celeriac compares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The last instant that fits the 48 bits a record has for it: the year 10889.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// An instant from milliseconds since the Unix epoch; later than [`Timestamp::MAX`] becomes that.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(Self::MAX.0))
    }

    /// An instant that is known when the program is written.
    ///
    /// # Panics
    /// Where it is compiled, if it is later than [`Timestamp::MAX`].
    #[must_use]
    pub const fn from_fixed_millis(millis: u64) -> Self {
        assert!(millis <= Self::MAX.0, "an instant has 48 bits");
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// This instant and `duration` more, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// How long `earlier` lies before this instant; zero if it does not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = i64::try_from(self.0).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        match instant {
            Some(instant) => write!(f, "{instant:.3}"),
            None => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_rfc_3339() {
        assert_eq!(Timestamp::from_millis(1_357_034_400_250).to_string(), "2013-01-01T10:00:00.250Z");
        assert!(Timestamp::MAX.to_string().ends_with("ms"), "beyond jiff's range it falls back to the number");
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX.after(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
    }
}
