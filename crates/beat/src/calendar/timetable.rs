//! A timetable: what was written, its zone and its rule.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use celeriac_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::TimetableError;
use super::occurrences::Occurrences;
use super::rule::Rule;
use super::text;
use super::zone::Zone;

/// When periodic work is due: a cron expression, a period, or one instant, on the clock of a time zone.
///
/// As text it is the expression and, unless it is UTC, its zone: `30 2 * * MON-FRI in Europe/Berlin`, `@daily in America/Bogota`,
/// `every 5m`, `every 6h from 2030-01-31T12:00:00Z`, `at 2030-01-31T12:00 in Asia/Tokyo`. That is also its form in JSON.
///
/// Two timetables are equal if they are written alike and have the same zone.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timetable {
    expression: String,
    zone: Zone,
    rule: Rule,
}

impl Timetable {
    /// Reads `expression` for the clock of `zone`.
    ///
    /// # Errors
    /// [`TimetableError`] if it cannot be read, never comes, or names a zone itself that is not `zone`.
    pub fn new(expression: &str, zone: Zone) -> Result<Self, TimetableError> {
        Self::read(expression, Some(zone))
    }

    /// What is due at `anchor` and whenever another `period` has passed since. With the epoch as anchor, all who ask agree.
    ///
    /// # Errors
    /// [`TimetableError::PeriodTooShort`] below a second, [`TimetableError::Instant`] if the anchor lies after the year 9999.
    pub fn every(period: Duration, anchor: Timestamp) -> Result<Self, TimetableError> {
        let (expression, rule) = text::every(period, anchor)?;
        Ok(Self { expression, zone: Zone::UTC, rule })
    }

    /// What is due once.
    ///
    /// # Errors
    /// [`TimetableError::Instant`] if it lies after the year 9999.
    pub fn at(instant: Timestamp) -> Result<Self, TimetableError> {
        let (expression, rule) = text::at(instant)?;
        Ok(Self { expression, zone: Zone::UTC, rule })
    }

    /// What was written, without the zone.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone on whose clock it is due.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The first occurrence after `after`, never at it; none if there is none before the year 10000.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.rule.next_after(&self.zone, after)
    }

    /// The latest occurrence that is not after `instant`; none if there was none since 1970. It costs what [`Timetable::next_after`] costs,
    /// however long ago it was.
    #[must_use]
    pub fn latest_at_or_before(&self, instant: Timestamp) -> Option<Timestamp> {
        self.rule.latest_at_or_before(&self.zone, instant)
    }

    /// The occurrences after `after` and not after `until`, in order.
    ///
    /// They are found one at a time, from either end: `.take(n)` costs n steps, and so does `.rev().take(n)`, the latest n. There may be a
    /// million of them, so bound them before you collect them.
    #[must_use]
    pub fn occurrences_between(&self, after: Timestamp, until: Timestamp) -> Occurrences<'_> {
        Occurrences::new(self, after, until)
    }

    /// The latest occurrences after `after` and not after `until`, at most `most`, in order: what was missed while nobody looked.
    #[must_use]
    pub fn latest_between(&self, after: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut latest: Vec<_> = self.occurrences_between(after, until).rev().take(most).collect();
        latest.reverse();
        latest
    }

    fn read(text: &str, zone: Option<Zone>) -> Result<Self, TimetableError> {
        let (expression, zone, rule) = text::read(text, zone)?;
        Ok(Self { expression, zone, rule })
    }
}

impl PartialEq for Timetable {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression && self.zone == other.zone
    }
}

impl Eq for Timetable {}

impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expression)?;
        if self.zone == Zone::UTC { Ok(()) } else { write!(f, " in {}", self.zone) }
    }
}

impl fmt::Debug for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

impl FromStr for Timetable {
    type Err = TimetableError;
    fn from_str(text: &str) -> Result<Self, TimetableError> {
        Self::read(text, None)
    }
}

impl TryFrom<String> for Timetable {
    type Error = TimetableError;
    fn try_from(text: String) -> Result<Self, TimetableError> {
        Self::read(&text, None)
    }
}

impl From<Timetable> for String {
    fn from(timetable: Timetable) -> Self {
        timetable.to_string()
    }
}
