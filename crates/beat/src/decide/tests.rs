//! What is done about a schedule: on time, late, again and again, with jitter, and at its ends.

use celeriac_broker::{Owner, ScheduleEntry};
use celeriac_core::{QueueName, TaskName};
use serde_json::value::RawValue;

use super::*;

const HOUR: u64 = 3_600_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// An hourly schedule whose occurrence at `last` was dealt with.
fn hourly(last: u64, change: impl FnOnce(&mut Schedule)) -> ScheduleView {
    let args = RawValue::from_string("{}".to_owned()).unwrap();
    let mut schedule = Schedule::new("every 1h", TaskName::new("t").unwrap(), QueueName::default(), args);
    change(&mut schedule);
    let entry = ScheduleEntry { name: ScheduleName::new("s").unwrap(), owner: Owner::Hand, schedule };
    ScheduleView::new(entry, at(last))
}

/// The instants of the jobs, up to when it is dealt with, when it is due next, and how many were dropped.
fn outcome(view: &ScheduleView, now: u64) -> (Vec<String>, u64, Option<u64>, u64) {
    let firing = decide(view, at(now)).unwrap();
    let ids = firing.jobs.iter().map(|job| job.id.to_string()).collect();
    (ids, firing.until.as_millis(), firing.next.map(Timestamp::as_millis), firing.missed)
}

fn ids(hours: &[u64]) -> Vec<String> {
    hours.iter().map(|hour| format!("s:19700101T{hour:02}0000Z")).collect()
}

#[test]
fn before_it_is_due_only_the_next_instant_is_noted() {
    let view = hourly(HOUR, |_| {});
    assert_eq!(outcome(&view, HOUR), (vec![], HOUR, Some(2 * HOUR), 0));
    assert_eq!(outcome(&view, 2 * HOUR - 1), (vec![], HOUR, Some(2 * HOUR), 0));
}

#[test]
fn on_time_it_is_enqueued_once_and_expires_when_the_next_comes() {
    let view = hourly(HOUR, |_| {});
    assert_eq!(outcome(&view, 2 * HOUR + 5), (ids(&[2]), 2 * HOUR, Some(3 * HOUR), 0));
    let firing = decide(&view, at(2 * HOUR + 5)).unwrap();
    assert_eq!((firing.due, firing.jobs[0].options.expires_ms), (at(2 * HOUR), Some(HOUR - 5)));
    let own = hourly(HOUR, |schedule| schedule.options.expires_ms = Some(7));
    assert_eq!(decide(&own, at(2 * HOUR)).unwrap().jobs[0].options.expires_ms, Some(7));
    let several = hourly(HOUR, |schedule| schedule.catch_up = CatchUp::All(5));
    let expiries: Vec<_> =
        decide(&several, at(3 * HOUR)).unwrap().jobs.iter().map(|job| job.options.expires_ms).collect();
    assert_eq!(expiries, [None, Some(HOUR)], "those that are caught up come at once, and wait for each other");
    let late = hourly(HOUR, |schedule| schedule.keeps_late = true);
    assert_eq!(decide(&late, at(2 * HOUR)).unwrap().jobs[0].options.expires_ms, None);
}

#[test]
fn after_an_outage_the_policy_decides() {
    let after = |catch_up| outcome(&hourly(HOUR, |schedule| schedule.catch_up = catch_up), 4 * HOUR + HOUR / 2);
    assert_eq!(after(CatchUp::Skip), (vec![], 4 * HOUR, Some(5 * HOUR), 3));
    assert_eq!(after(CatchUp::Latest), (ids(&[4]), 4 * HOUR, Some(5 * HOUR), 2));
    assert_eq!(after(CatchUp::All(2)), (ids(&[3, 4]), 4 * HOUR, Some(5 * HOUR), 1));
    assert_eq!(after(CatchUp::All(10)), (ids(&[2, 3, 4]), 4 * HOUR, Some(5 * HOUR), 0));
}

#[test]
fn what_is_a_little_late_is_not_missed() {
    let skips = hourly(HOUR, |schedule| schedule.catch_up = CatchUp::Skip);
    assert_eq!(outcome(&skips, 2 * HOUR + 60_000).0, ids(&[2]));
    assert_eq!(outcome(&skips, 2 * HOUR + 60_001).0, ids(&[]));
}

#[test]
fn where_runs_may_not_overlap_only_the_newest_is_caught_up() {
    let view = hourly(HOUR, |schedule| (schedule.catch_up, schedule.overlap) = (CatchUp::All(10), Overlap::Skip));
    assert_eq!(outcome(&view, 4 * HOUR), (ids(&[4]), 4 * HOUR, Some(5 * HOUR), 2));
    assert!(decide(&view, at(4 * HOUR)).unwrap().unless_unfinished);
}

#[test]
fn more_than_one_call_takes_comes_in_portions_and_none_is_left_out() {
    let mut view = hourly(HOUR, |schedule| schedule.catch_up = CatchUp::All(700));
    let now = 2000 * HOUR;
    let (mut jobs, mut missed, mut calls) = (Vec::new(), 0, 0);
    loop {
        let (some, until, next, dropped) = outcome(&view, now);
        jobs.extend(some);
        (missed, calls) = (missed + dropped, calls + 1);
        view.last = at(until);
        if next != Some(now) {
            assert_eq!((until, next), (now, Some(now + HOUR)));
            break;
        }
    }
    let expected: Vec<_> = (1301..=2000)
        .map(|hour| hourly(0, |_| {}).schedule.unwrap().job(&view.name, at(hour * HOUR)).id.to_string())
        .collect();
    assert_eq!((jobs, missed, calls), (expected, 1299, 2));
}

#[test]
fn big_arguments_make_small_portions() {
    let big = format!("\"{}\"", "x".repeat(MAX_BATCH_BYTES / 2));
    let view = hourly(HOUR, |schedule| {
        schedule.args = RawValue::from_string(big).unwrap();
        schedule.catch_up = CatchUp::All(10);
    });
    assert_eq!(outcome(&view, 4 * HOUR), (ids(&[2]), 2 * HOUR, Some(4 * HOUR), 0));
}

#[test]
fn it_occurs_between_its_start_and_its_end() {
    let bounded = |last| {
        hourly(last, |schedule| (schedule.starts_at, schedule.ends_at) = (Some(at(3 * HOUR)), Some(at(5 * HOUR))))
    };
    assert_eq!(outcome(&bounded(HOUR), HOUR), (vec![], HOUR, Some(3 * HOUR), 0));
    assert_eq!(outcome(&bounded(HOUR), 3 * HOUR), (ids(&[3]), 3 * HOUR, Some(4 * HOUR), 0));
    assert_eq!(outcome(&bounded(3 * HOUR), 4 * HOUR), (ids(&[4]), 4 * HOUR, None, 0));
    assert_eq!(outcome(&bounded(HOUR), 9 * HOUR), (ids(&[4]), 4 * HOUR, None, 1));
}

#[test]
fn jitter_delays_each_occurrence_by_a_part_that_is_fixed() {
    let view = hourly(HOUR, |schedule| schedule.jitter_ms = 600_000);
    let due = outcome(&view, HOUR).2.unwrap();
    assert!((2 * HOUR..=2 * HOUR + 600_000).contains(&due), "{due}");
    assert_eq!(outcome(&view, due - 1), (vec![], HOUR, Some(due), 0));
    let firing = decide(&view, at(due)).unwrap();
    assert_eq!((firing.jobs[0].id.as_str(), firing.due), ("s:19700101T020000Z", at(due)));
    let delays: Vec<_> = (2..50)
        .map(|hour| {
            outcome(&hourly((hour - 1) * HOUR, |schedule| schedule.jitter_ms = 600_000), (hour - 1) * HOUR).2.unwrap()
                % HOUR
        })
        .collect();
    assert!(delays.iter().any(|delay| *delay < 150_000) && delays.iter().any(|delay| *delay > 450_000), "{delays:?}");
}

#[test]
fn jitter_longer_than_the_period_keeps_the_order_and_loses_none() {
    let mut view = hourly(HOUR, |schedule| (schedule.jitter_ms, schedule.catch_up) = (5 * HOUR, CatchUp::All(100)));
    let mut seen = Vec::new();
    for now in (HOUR..30 * HOUR).step_by(HOUR as usize / 4) {
        let (jobs, until, next, missed) = outcome(&view, now);
        assert!(missed == 0 && next.is_some_and(|next| next > now), "{next:?} {missed}");
        view.last = at(until);
        seen.extend(jobs);
    }
    assert_eq!(seen[..20], [&ids(&(2..22).collect::<Vec<_>>())[..]].concat());
}

#[test]
fn one_that_rests_is_never_due() {
    assert_eq!(outcome(&hourly(HOUR, |schedule| schedule.rests = true), 9 * HOUR), (vec![], HOUR, None, 0));
}

#[test]
fn what_cannot_be_read_is_looked_at_again() {
    let mut newer = hourly(HOUR, |schedule| schedule.timetable = "when the moon is full".to_owned());
    let (firing, reason) = decide(&newer, at(2 * HOUR)).unwrap_err();
    assert_eq!((firing.until, firing.next, firing.jobs.len()), (at(HOUR), Some(at(2 * HOUR + 60_000)), 0));
    assert!(reason.contains("moon"), "{reason}");
    newer.schedule = Err("unknown variant".to_owned());
    assert!(decide(&newer, at(2 * HOUR)).is_err());
}
