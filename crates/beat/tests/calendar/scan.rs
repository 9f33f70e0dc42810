//! Every minute around shifts of clocks is looked at, and the rules are applied as they are said in words:
//! a fixed time comes when the clock shows it for the first time, and what the clock jumps over comes when it has jumped, once;
//! an interval comes whenever the clock shows it.

use std::collections::HashSet;

use celeriac_core::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};

use crate::expressions::{Fields, Named, any_fields, frequent};
use crate::support::{Chance, ZONES, cases, from_jiff, shifts, time_zone, timetable};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// A minute as whoever watches the clock sees it.
struct Minute {
    at: Timestamp,
    shown: DateTime,
    /// Whether the clock shows it for the first time.
    new: bool,
    /// What the clock has jumped over just before.
    jumped: Vec<DateTime>,
}

impl Minute {
    fn is_due(&self, named: &Named) -> bool {
        match named.interval {
            true => named.has(self.shown),
            false => (self.new && named.has(self.shown)) || self.jumped.iter().any(|time| named.has(*time)),
        }
    }
}

/// All minutes of some days.
struct Window {
    zone: String,
    minutes: Vec<Minute>,
}

impl Window {
    /// The minutes from 30 hours before `middle` to 30 hours after it. None if clocks show seconds then, which this scan does not see.
    fn around(zone: &str, middle: jiff::Timestamp) -> Option<Self> {
        let clock = time_zone(zone);
        let middle = jiff::Timestamp::from_second(middle.as_second().div_euclid(60) * 60).unwrap();
        let (first, last) = (middle - 30.hours(), middle + 30.hours());
        // What was shown in the days before counts as shown.
        let mut at = first - 48.hours();
        let mut seen = HashSet::new();
        let mut before = clock.to_datetime(at - MINUTE);
        let mut minutes = Vec::new();
        while at <= last {
            let shown = clock.to_datetime(at);
            if shown.second() != 0 {
                return None;
            }
            let jumped: Vec<_> = before.series(1.minute()).skip(1).take_while(|time| *time < shown).collect();
            let new = seen.insert(shown);
            seen.extend(jumped.iter().copied());
            if at >= first {
                minutes.push(Minute { at: from_jiff(at), shown, new, jumped });
            }
            before = shown;
            at += MINUTE;
        }
        Some(Self { zone: zone.to_owned(), minutes })
    }

    /// Compares all occurrences in the window, forwards or backwards, and those around an instant in between.
    fn compare(&self, fields: &Fields, named: &Named, between: usize) {
        let timetable = timetable(&fields.to_string(), &self.zone);
        let due: Vec<_> = self.minutes.iter().filter(|minute| minute.is_due(named)).map(|minute| minute.at).collect();
        let before = Timestamp::from_millis(self.minutes[0].at.as_millis() - 1);
        let last = self.minutes[self.minutes.len() - 1].at;
        let occurrences = timetable.occurrences_between(before, last);
        if between.is_multiple_of(2) {
            assert_eq!(occurrences.collect::<Vec<_>>(), due, "{timetable}");
        } else {
            assert!(occurrences.rev().eq(due.iter().rev().copied()), "{timetable} backwards from {last}, not {due:?}");
        }
        // Most of what can go wrong goes wrong within two hours of the shift in the middle.
        let nth = if between.is_multiple_of(3) { between } else { self.minutes.len() / 2 - 120 + between % 240 };
        let minute = self.minutes[nth % self.minutes.len()].at;
        let some = Timestamp::from_millis(minute.as_millis() + between as u64 % 1_000);
        let next = due.iter().copied().find(|due| *due > some);
        assert_eq!(timetable.next_after(some).filter(|next| *next <= last), next, "{timetable} after {some}");
        let latest = due.iter().copied().rfind(|due| *due <= some);
        assert_eq!(
            timetable.latest_at_or_before(some).filter(|latest| *latest > before),
            latest,
            "{timetable} at {some}"
        );
    }
}

/// A window in each zone, around one of its shifts in the years 2011 to 2040 if it has any.
fn windows(chance: &mut Chance) -> Vec<Window> {
    let ordinary: jiff::Timestamp = "2026-03-29T01:00:00Z".parse().unwrap();
    let windows = ZONES.into_iter().map(|zone| {
        let shifts = shifts(&time_zone(zone), 2011, 2040);
        let middle = (!shifts.is_empty()).then(|| shifts[chance.draw(0..shifts.len())]);
        Window::around(zone, middle.unwrap_or(ordinary)).unwrap()
    });
    windows.collect()
}

#[test]
fn occurrences_are_those_that_somebody_sees_who_watches_the_clock() {
    let mut chance = Chance::new();
    let skipped_day = Window::around("Pacific/Apia", "2011-12-30T10:00:00Z".parse().unwrap()).unwrap();
    for _ in 0..cases(5) {
        let windows = windows(&mut chance);
        for _ in 0..44 {
            let fields = chance.draw(frequent());
            let named = Named::by(&fields);
            for window in windows.iter().chain([&skipped_day]) {
                window.compare(&fields, &named, chance.draw(0..1_000_000usize));
            }
        }
    }
}

#[test]
fn every_zone_and_every_shift_since_1970_obeys_the_same_rules() {
    let mut chance = Chance::new();
    let zones: Vec<_> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let mut tried = 0;
    while tried < cases(40) {
        let zone = &zones[chance.draw(0..zones.len())];
        let shifts = TimeZone::get(zone).map(|zone| shifts(&zone, 1970, 2060)).unwrap_or_default();
        let Some(shift) = (!shifts.is_empty()).then(|| shifts[chance.draw(0..shifts.len())]) else { continue };
        if shift < jiff::Timestamp::UNIX_EPOCH + 48.hours() || celeriac_beat::Zone::named(zone).is_err() {
            continue;
        }
        let Some(window) = Window::around(zone, shift) else { continue };
        tried += 1;
        for _ in 0..20 {
            let fields = chance.draw(frequent());
            window.compare(&fields, &Named::by(&fields), chance.draw(0..1_000_000usize));
        }
    }
}

/// Dates without shifts: every day of 45 years is looked at.
#[test]
fn seldom_dates_are_those_of_the_calendar() {
    let mut chance = Chance::new();
    let first = jiff::civil::date(1999, 12, 31);
    for _ in 0..cases(60) {
        let fields = Fields { minute: "7".to_owned(), hour: "5".to_owned(), ..chance.draw(any_fields()) };
        let named = Named::by(&fields);
        let days = first.series(1.day()).skip(1).take(365 * 45).filter(|day| named.has_day(*day));
        let due: Vec<_> = days.map(|day| from_jiff(TimeZone::UTC.to_timestamp(day.at(5, 7, 0, 0)).unwrap())).collect();
        let Ok(timetable) = fields.to_string().parse::<celeriac_beat::Timetable>() else {
            assert!(due.is_empty(), "{fields} was refused");
            continue;
        };
        let start = from_jiff(TimeZone::UTC.to_timestamp(first.at(23, 59, 0, 0)).unwrap());
        let found: Vec<_> = timetable.occurrences_between(start, Timestamp::MAX).take(due.len()).collect();
        assert_eq!(found, due, "{timetable}");
    }
}
