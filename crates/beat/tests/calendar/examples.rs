//! The cases that the guide tells, and those that other schedulers have got wrong.

use std::time::Duration;

use celeriac_beat::{Timetable, TimetableError, Zone};
use celeriac_core::Timestamp;

use crate::support::{instant, timetable};

/// The occurrences after one instant and not after another, by the clock on the wall with its distance from UTC.
fn shown(expression: &str, zone: &str, after: &str, until: &str) -> Vec<String> {
    let timetable = timetable(expression, zone);
    let clock = crate::support::time_zone(zone);
    let between = timetable.occurrences_between(instant(after), instant(until));
    let shown =
        between.map(|at| crate::support::to_jiff(at).to_zoned(clock.clone()).strftime("%d %H:%M %:z").to_string());
    shown.collect()
}

#[test]
fn a_fixed_time_in_a_gap_comes_when_the_gap_is_over() {
    let found = shown("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z");
    assert_eq!(found, ["28 02:30 +01:00", "29 03:00 +02:00", "30 02:30 +02:00"]);
    let found = shown("0,30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z");
    assert_eq!(found, ["29 03:00 +02:00", "29 03:30 +02:00"], "all that fall on the end of the gap are one");
}

#[test]
fn a_fixed_time_shown_twice_comes_the_first_time() {
    let found = shown("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z");
    assert_eq!(found, ["24 02:30 +02:00", "25 02:30 +02:00", "26 02:30 +01:00"]);
    let found = shown("0,30 2,3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z");
    assert_eq!(found, ["25 02:00 +02:00", "25 02:30 +02:00", "25 03:00 +01:00", "25 03:30 +01:00"]);
    let second_pass = instant("2026-10-25T01:05:00Z");
    let next = timetable("30 2 * * *", "Europe/Berlin").next_after(second_pass);
    assert_eq!(next, Some(instant("2026-10-26T01:30:00Z")), "asked between the two, it is over");
    let latest = timetable("30 2 * * *", "Europe/Berlin").latest_at_or_before(second_pass);
    assert_eq!(latest, Some(instant("2026-10-25T00:30:00Z")), "and it was today, though the clock shows 02:05 again");
}

#[test]
fn an_interval_leaves_the_gap_out_and_comes_in_both_passes() {
    let spring = shown("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T01:30:00Z");
    assert_eq!(spring, ["29 01:30 +01:00", "29 03:00 +02:00", "29 03:30 +02:00"]);
    let autumn = shown("*/30 2 * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T12:00:00Z");
    assert_eq!(autumn[..2], ["25 02:30 +02:00", "25 02:00 +01:00"]);
    let whole = shown("*/30 2 * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", "2026-10-25T12:00:00Z");
    assert_eq!(whole, ["25 02:00 +02:00", "25 02:30 +02:00", "25 02:00 +01:00", "25 02:30 +01:00"]);
    let interval_in_the_gap = shown("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z");
    assert!(interval_in_the_gap.is_empty(), "{interval_in_the_gap:?}");
}

/// The cron crate answers this with an instant 35 minutes earlier than asked.
#[test]
fn the_answer_in_the_second_pass_is_later() {
    let asked = instant("2026-10-25T01:05:00Z");
    assert_eq!(timetable("*/30 * * * *", "Europe/Berlin").next_after(asked), Some(instant("2026-10-25T01:30:00Z")));
}

#[test]
fn shifts_of_other_lengths_follow_the_same_rules() {
    // Half an hour, at 02:00.
    let found = shown("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-04T00:00:00Z");
    assert_eq!(found, ["04 02:30 +11:00"]);
    // From 01:00 to 03:00.
    let found = shown("30 1 * * *", "Antarctica/Troll", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z");
    assert_eq!(found, ["29 03:00 +02:00"]);
    // At 02:45.
    let found = shown("0 3 * * *", "Pacific/Chatham", "2026-09-25T18:00:00Z", "2026-09-26T18:00:00Z");
    assert_eq!(found, ["27 03:45 +13:45"]);
    // A gap that begins at midnight.
    let found = shown("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-05T12:00:00Z");
    assert_eq!(found, ["04 01:00 -02:00", "05 00:00 -02:00"]);
}

#[test]
fn work_of_a_day_that_was_skipped_comes_when_the_next_begins() {
    let noons = shown("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", "2012-01-01T12:00:00Z");
    assert_eq!(noons, ["29 12:00 -10:00", "31 00:00 +14:00", "31 12:00 +14:00", "01 12:00 +14:00"]);
    let hours = shown("0 */6 * * *", "Pacific/Apia", "2011-12-30T00:00:00Z", "2011-12-30T22:00:00Z");
    assert_eq!(hours, ["29 18:00 -10:00", "31 00:00 +14:00", "31 06:00 +14:00", "31 12:00 +14:00"]);
}

#[test]
fn two_restricted_fields_of_days_are_joined_by_or() {
    let found = shown("0 0 13 * FRI", "UTC", "2026-02-28T12:00:00Z", "2026-03-31T12:00:00Z");
    let days: Vec<_> = found.iter().map(|shown| &shown[..2]).collect();
    assert_eq!(days, ["06", "13", "20", "27"], "13 March 2026 is a Friday");
    let found = shown("0 0 1 * MON", "UTC", "2026-04-30T12:00:00Z", "2026-05-31T12:00:00Z");
    let days: Vec<_> = found.iter().map(|shown| &shown[..2]).collect();
    assert_eq!(days, ["01", "04", "11", "18", "25"]);
}

#[test]
fn a_field_of_days_that_begins_with_a_star_is_joined_by_and() {
    let found = shown("0 0 */2 * MON", "UTC", "2026-04-30T12:00:00Z", "2026-05-31T12:00:00Z");
    let days: Vec<_> = found.iter().map(|shown| &shown[..2]).collect();
    assert_eq!(days, ["11", "25"], "the Mondays among the odd days");
}

#[test]
fn ranges_go_over_the_end_of_the_week() {
    for (expression, days) in [
        ("FRI-SUN", "fri,sat,sun"),
        ("5-7", "5,6,0"),
        ("Fri-MON", "5,6,0,1"),
        ("6-2/2", "6,1"),
        ("0-7", "*"),
        ("1-7", "0-6"),
        ("7-7", "SUN"),
        ("7-2", "0-2"),
    ] {
        let between = |days: &str| {
            let timetable = timetable(&format!("0 0 * * {days}"), "UTC");
            timetable
                .occurrences_between(instant("2026-01-01T12:00:00Z"), instant("2026-02-01T00:00:00Z"))
                .collect::<Vec<_>>()
        };
        assert_eq!(between(expression), between(days), "{expression}");
    }
}

#[test]
fn seldom_days_are_found_at_once() {
    let next = |expression: &str, after| {
        timetable(expression, "Europe/Berlin").next_after(instant(after)).map(|at| at.to_string())
    };
    assert_eq!(
        next("0 0 29 2 *", "2096-03-01T00:00:00Z").as_deref(),
        Some("2104-02-28T23:00:00.000Z"),
        "2100 has no such day"
    );
    assert_eq!(
        next("0 0 29 2 MON", "2027-01-20T00:00:00Z").as_deref(),
        Some("2027-01-31T23:00:00.000Z"),
        "or a Monday"
    );
    assert_eq!(
        next("0 0 29 2 */7", "2088-03-01T00:00:00Z").as_deref(),
        Some("2128-02-28T23:00:00.000Z"),
        "and a Sunday"
    );
    assert_eq!(next("* * 29 2 */7", "2088-03-01T00:00:00Z").as_deref(), Some("2128-02-28T23:00:00.000Z"));
    let latest = timetable("0 0 29 2 */7", "UTC").latest_at_or_before(instant("2127-12-31T00:00:00Z"));
    assert_eq!(latest, Some(instant("2088-02-29T00:00:00Z")));
}

#[test]
fn the_latest_after_a_week_of_outage_needs_no_walk() {
    let minutely = timetable("* * * * *", "America/New_York");
    let (stopped, back) = (instant("2026-03-05T12:00:30Z"), instant("2026-03-12T12:00:30Z"));
    assert_eq!(minutely.latest_at_or_before(back), Some(instant("2026-03-12T12:00:00Z")));
    let three = ["2026-03-12T11:58:00Z", "2026-03-12T11:59:00Z", "2026-03-12T12:00:00Z"].map(instant);
    assert_eq!(minutely.latest_between(stopped, back, 3), three);
    assert_eq!(minutely.occurrences_between(stopped, back).count(), 7 * 24 * 60);
}

/// Names of the machine's own choice would mean something else on the next machine.
#[test]
fn the_zone_of_the_machine_is_no_zone() {
    for name in ["localtime", "LocalTime", "posixrules", "Factory", "Local", ""] {
        let zone = Zone::named(name);
        assert!(zone.is_err(), "{name:?} is {zone:?}");
    }
}

#[test]
fn periods_count_from_their_anchor() {
    let next =
        |text: &str, after| text.parse::<Timetable>().unwrap().next_after(instant(after)).map(|at| at.to_string());
    assert_eq!(next("every 5m", "2026-03-29T00:04:59.999Z").as_deref(), Some("2026-03-29T00:05:00.000Z"));
    assert_eq!(next("@every 1.5h", "1970-01-01T00:00:00Z").as_deref(), Some("1970-01-01T01:30:00.000Z"));
    let anchored = "every 6h from 2026-03-29T04:00 in Europe/Berlin";
    assert_eq!(
        next(anchored, "2026-03-01T00:00:00Z").as_deref(),
        Some("2026-03-29T02:00:00.000Z"),
        "none before the anchor"
    );
    assert_eq!(next(anchored, "2026-03-29T02:00:00Z").as_deref(), Some("2026-03-29T08:00:00.000Z"));
    let before = anchored.parse::<Timetable>().unwrap().latest_at_or_before(instant("2026-03-29T01:59:59Z"));
    assert_eq!(before, None);
}

#[test]
fn a_single_instant_comes_once_and_may_lie_in_a_gap() {
    let only: Timetable = "at 2026-03-29 02:30 in Europe/Berlin".parse().unwrap();
    let at = instant("2026-03-29T01:00:00Z");
    assert_eq!(only.next_after(Timestamp::default()), Some(at));
    assert_eq!(only.next_after(at), None);
    assert_eq!(only.latest_at_or_before(at), Some(at));
}

#[test]
fn it_is_written_as_it_was_given_with_its_zone_behind() {
    let timetable = Timetable::new("  30  2 * * mon-FRI ", Zone::named("europe/berlin").unwrap()).unwrap();
    assert_eq!(timetable.to_string(), "30 2 * * mon-FRI in Europe/Berlin");
    assert_eq!(timetable.expression(), "30 2 * * mon-FRI");
    assert_eq!(timetable.zone().name(), "Europe/Berlin");
    assert_eq!(Timetable::new("@daily", Zone::UTC).unwrap().to_string(), "@daily");
    let every = Timetable::every(Duration::from_secs(90), instant("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(every.to_string(), "every 90s from 2026-01-01T00:00:00Z");
    assert_eq!(Timetable::at(instant("2026-01-01T00:00:00.250Z")).unwrap().to_string(), "at 2026-01-01T00:00:00.25Z");
}

#[test]
fn a_zone_beside_the_text_must_be_the_one_in_it() {
    let berlin = || Zone::named("Europe/Berlin").unwrap();
    assert!(Timetable::new("@daily in Europe/Berlin", berlin()).is_ok());
    let refused = Timetable::new("@daily in UTC", berlin()).unwrap_err();
    assert!(matches!(refused, TimetableError::ZoneTwice { .. }), "{refused}");
}

#[test]
fn nothing_comes_after_the_year_9999() {
    assert_eq!(timetable("* * * * *", "UTC").next_after(Timestamp::MAX), None);
    let last = timetable("* * * * *", "UTC").latest_at_or_before(Timestamp::MAX).unwrap();
    assert!(last.to_string().starts_with("9999-12-30"), "{last}");
    assert_eq!(timetable("0 0 1 1 *", "UTC").next_after(instant("9999-06-01T00:00:00Z")), None);
}

/// A small container image has no database of time zones.
#[test]
fn the_zones_are_compiled_in_for_machines_without() {
    let compiled_in = jiff::tz::TimeZoneDatabase::bundled();
    let berlin = compiled_in.get("Europe/Berlin").unwrap();
    assert_eq!(berlin.to_offset("2026-07-01T00:00:00Z".parse().unwrap()), jiff::tz::offset(2));
}
