//! Zones, instants and chance for all tests of the calendar.

use celeriac_beat::{Timetable, Zone};
use celeriac_core::Timestamp;
use jiff::tz::TimeZone;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// Shifts of half an hour, of three quarters past, of two hours, of a whole day; in Ramadan; on other continents; and none at all.
pub(crate) const ZONES: [&str; 14] = [
    "Africa/Casablanca",
    "America/Bogota",
    "America/New_York",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
];

fn asked(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|number| number.parse().ok())
}

/// How many cases to try where `usual` are tried as a rule.
pub(crate) fn cases(usual: usize) -> usize {
    usual * asked("CELERIAC_CALENDAR_CASES").map_or(1, |times| usize::try_from(times).unwrap())
}

pub(crate) fn seed() -> u64 {
    asked("CELERIAC_CALENDAR_SEED").unwrap_or(1)
}

/// Chance that repeats itself.
pub(crate) struct Chance(TestRunner);

impl Chance {
    pub(crate) fn new() -> Self {
        Self(TestRunner::new(Config {
            rng_seed: RngSeed::Fixed(seed()),
            failure_persistence: None,
            ..Config::default()
        }))
    }

    pub(crate) fn draw<S: Strategy>(&mut self, strategy: S) -> S::Value {
        strategy.new_tree(&mut self.0).unwrap().current()
    }
}

pub(crate) fn time_zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

pub(crate) fn timetable(expression: &str, zone: &str) -> Timetable {
    Timetable::new(expression, Zone::named(zone).unwrap()).unwrap()
}

pub(crate) fn instant(text: &str) -> Timestamp {
    from_jiff(text.parse().unwrap())
}

pub(crate) fn from_jiff(instant: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(u64::try_from(instant.as_millisecond()).unwrap())
}

pub(crate) fn to_jiff(instant: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(i64::try_from(instant.as_millis()).unwrap()).unwrap()
}

/// The shifts of a zone in these years, the first and the last included.
pub(crate) fn shifts(zone: &TimeZone, first: i16, last: i16) -> Vec<jiff::Timestamp> {
    let start = |year| TimeZone::UTC.to_timestamp(jiff::civil::date(year, 1, 1).at(0, 0, 0, 0)).unwrap();
    let following = zone.following(start(first)).map(|shift| shift.timestamp());
    following.take_while(|shift| *shift < start(last + 1)).collect()
}
