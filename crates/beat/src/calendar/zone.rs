//! Time zones by their names in the IANA database.
//!
//! The database of the machine comes first, because it is updated without a new program; the one that is compiled in is for machines
//! without, as small container images are.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::error::TimetableError;
use super::wall::Wall;

/// From this likeness on a name is proposed.
const ALIKE: f64 = 0.85;

/// How many names are proposed at most.
const PROPOSALS: usize = 3;

/// What is longer is no misspelt name, and comparing it with every name takes long; the longest name has 32.
const MAX_MISSPELT_BYTES: usize = 48;

/// A time zone of the IANA database.
///
/// Its data are read once for all timetables of a process; a copy costs nothing. An update of the machine's database is seen by the next process.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time, whose clock is never shifted.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// The zone of this name, as in `Europe/Berlin`; capitals do not matter.
    ///
    /// # Errors
    /// [`TimetableError::UnknownZone`], with the names that look most like it.
    pub fn named(name: &str) -> Result<Self, TimetableError> {
        let unknown = || TimetableError::UnknownZone { name: name.to_owned(), nearest: nearest(name) };
        let zone = if is_of_the_machine(name) { None } else { TimeZone::get(name).ok() };
        let known = zone.filter(|zone| !zone.is_unknown() && zone.iana_name().is_some());
        known.map(Self).ok_or_else(unknown)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The clock on its walls.
    pub(super) fn wall(&self) -> Wall<'_> {
        Wall::new(&self.0)
    }
}

/// Whether the database has this name and another machine may mean something else by it, or nothing: its own zone, the zone of installers, and
/// the directories with all zones once more, `right` with the leap seconds that no timestamp here has.
fn is_of_the_machine(name: &str) -> bool {
    let alone = ["localtime", "posixrules", "Factory"].iter().any(|own| name.eq_ignore_ascii_case(own));
    alone || ["right/", "posix/"].iter().any(|copies| name.to_ascii_lowercase().starts_with(copies))
}

/// The names that look most like this one, or whose last part does: whoever writes `berlin` means a city.
fn nearest(wrong: &str) -> Vec<String> {
    if wrong.len() > MAX_MISSPELT_BYTES {
        return Vec::new();
    }
    let wrong = wrong.to_lowercase();
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let last = name.rsplit('/').next().unwrap_or(&name);
        strsim::jaro_winkler(&wrong, &name).max(strsim::jaro_winkler(&wrong, last))
    };
    let known = jiff::tz::db().available().filter(|name| !is_of_the_machine(name.as_str()));
    let mut alike: Vec<_> = known.map(|name| (likeness(name.as_str()), name.as_str().to_owned())).collect();
    alike.retain(|(likeness, _)| *likeness >= ALIKE);
    alike
        .sort_by(|one, other| other.0.partial_cmp(&one.0).unwrap_or(Ordering::Equal).then_with(|| one.1.cmp(&other.1)));
    alike.into_iter().take(PROPOSALS).map(|(_, name)| name).collect()
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.name(), f)
    }
}

impl FromStr for Zone {
    type Err = TimetableError;
    fn from_str(name: &str) -> Result<Self, TimetableError> {
        Self::named(name)
    }
}

impl TryFrom<String> for Zone {
    type Error = TimetableError;
    fn try_from(name: String) -> Result<Self, TimetableError> {
        Self::named(&name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().to_owned()
    }
}
