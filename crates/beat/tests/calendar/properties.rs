//! What holds for every timetable, zone and instant of the years 1970 to 9999.

use std::time::Duration;

use celeriac_beat::{Timetable, Zone};
use celeriac_core::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::expressions::{any_fields, frequent};
use crate::support::{ZONES, cases, seed, time_zone};

/// 9999-12-31T23:59:59.999Z, a day more than there are occurrences.
const LAST: u64 = 253_402_300_799_999;

fn zones() -> impl Strategy<Value = &'static str> {
    prop::sample::select(ZONES.to_vec())
}

fn timetables() -> BoxedStrategy<Timetable> {
    let cron = prop_oneof![frequent(), any_fields()];
    let expression = prop_oneof![
        8 => cron.prop_map(|fields| fields.to_string()),
        1 => (1_000u64..1_000_000_000_000).prop_map(|millis| format!("every {millis}ms")),
        1 => (1u64..10_000, 1_970..9_999).prop_map(|(seconds, year)| format!("every {seconds}s from {year}-03-29T02:30")),
        1 => (1_970..9_999, 1..12).prop_map(|(year, month)| format!("at {year}-{month:02}-02 02:30")),
    ];
    (expression, zones())
        .prop_filter_map("it never comes", |(expression, zone)| {
            Timetable::new(&expression, Zone::named(zone).unwrap()).ok()
        })
        .boxed()
}

/// Any instant, one of this century, or one around a shift of a clock.
fn instants() -> BoxedStrategy<Timestamp> {
    let shifts = || {
        zones().prop_map(time_zone).prop_flat_map(|zone| {
            let shifts = crate::support::shifts(&zone, 1970, 2100);
            let shifts: Vec<_> = shifts.iter().map(|shift| shift.as_millisecond().unsigned_abs()).collect();
            prop::sample::select(if shifts.is_empty() { vec![LAST / 2] } else { shifts })
        })
    };
    prop_oneof![
        1 => 0..=LAST,
        2 => 946_684_800_000u64..4_102_444_800_000,
        3 => (shifts(), 0u64..200_000_000).prop_map(|(shift, around)| (shift + around).saturating_sub(100_000_000)),
        1 => Just(u64::MAX),
    ]
    .prop_map(Timestamp::from_millis)
    .boxed()
}

fn config(usual: u32) -> ProptestConfig {
    let cases = u32::try_from(cases(usual as usize)).unwrap();
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(seed()), failure_persistence: None, ..ProptestConfig::default() }
}

fn one_millisecond_before(instant: Timestamp) -> Timestamp {
    Timestamp::from_millis(instant.as_millis() - 1)
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn the_next_occurrence_is_later_and_nothing_lies_between(timetable in timetables(), after in instants()) {
        let Some(next) = timetable.next_after(after) else { return Ok(()) };
        prop_assert!(next > after, "{} after {}", next, after);
        prop_assert_eq!(timetable.latest_at_or_before(next), Some(next));
        prop_assert!(timetable.latest_at_or_before(one_millisecond_before(next)).is_none_or(|latest| latest <= after));
        prop_assert_eq!(timetable.next_after(one_millisecond_before(next)), Some(next));
    }

    #[test]
    fn the_latest_occurrence_is_not_later_and_nothing_lies_between(timetable in timetables(), at in instants()) {
        let Some(latest) = timetable.latest_at_or_before(at) else { return Ok(()) };
        prop_assert!(latest <= at, "{} at {}", latest, at);
        prop_assert_eq!(timetable.latest_at_or_before(latest), Some(latest));
        prop_assert!(timetable.next_after(latest).is_none_or(|next| next > at));
    }

    #[test]
    fn a_later_question_has_no_earlier_answer(timetable in timetables(), one in instants(), more in 0u64..1_000_000_000) {
        let other = one.after(Duration::from_millis(more));
        let (first, second) = (timetable.next_after(one), timetable.next_after(other));
        prop_assert!(second.is_none() || (first.is_some() && first <= second), "{first:?} {second:?}");
        prop_assert!(timetable.latest_at_or_before(one) <= timetable.latest_at_or_before(other));
    }

    #[test]
    fn occurrences_between_are_the_next_ones_from_either_end(timetable in timetables(), after in instants(), most in 0usize..30) {
        let steps: Vec<_> = std::iter::successors(timetable.next_after(after), |at| timetable.next_after(*at)).take(most + 1).collect();
        let until = steps.last().copied().unwrap_or(Timestamp::MAX);
        prop_assert_eq!(timetable.occurrences_between(after, until).collect::<Vec<_>>(), steps.clone());
        let latest = &steps[steps.len().saturating_sub(most)..];
        prop_assert_eq!(timetable.latest_between(after, until, most), latest);
        // From both ends in turn, each comes once.
        let mut between = timetable.occurrences_between(after, until);
        let mut taken = Vec::new();
        while let Some(first) = between.next() {
            taken.push(first);
            taken.extend(between.next_back());
        }
        taken.sort_unstable();
        prop_assert_eq!(taken, steps);
    }

    #[test]
    fn what_is_written_is_read_back(timetable in timetables(), after in instants()) {
        let again: Timetable = timetable.to_string().parse().unwrap();
        prop_assert_eq!(&again, &timetable);
        prop_assert_eq!(again.next_after(after), timetable.next_after(after));
        let json = serde_json::to_string(&timetable).unwrap();
        prop_assert_eq!(serde_json::from_str::<Timetable>(&json).unwrap(), timetable);
    }

    #[test]
    fn periods_and_instants_are_written_so_that_they_are_read_back(
        period in 1_000u64..10_000_000_000, instant in instants(), after in instants()
    ) {
        let made = [Timetable::every(Duration::from_millis(period), instant), Timetable::at(instant)];
        for timetable in made.into_iter().flatten() {
            let again: Timetable = timetable.to_string().parse().unwrap();
            prop_assert_eq!(&again, &timetable);
            prop_assert_eq!(again.next_after(after), timetable.next_after(after));
        }
    }

    #[test]
    fn no_text_panics(text in ".*") {
        let _ = text.parse::<Timetable>();
        let _ = text.parse::<Zone>();
    }

    #[test]
    fn no_text_that_looks_like_a_timetable_panics(text in "[-0-9*/,@#?LWainevrytmofMONSUFRIJ:TZ. ]{0,60}", after in instants()) {
        if let Ok(timetable) = text.parse::<Timetable>() {
            prop_assert!(timetable.next_after(after).is_none_or(|next| next > after));
        }
    }

    #[test]
    fn no_words_of_timetables_in_a_wrong_order_panic(
        words in prop::collection::vec(prop::sample::select(vec![
            "*", "*/5", "5-7", "FRI-MON", "31", "2", "0", "every", "at", "from", "in", "UTC", "Europe/Berlin", "5m", "1.5h", "@daily",
            "2026-03-29T02:30", "2026-03-29", "02:30", "L", "5#2", "1,2,", "-", "/", "0000000000000000007", "ä", "\u{1F600}\u{301}",
        ]), 0..9),
        after in instants(),
    ) {
        if let Ok(timetable) = words.join(" ").parse::<Timetable>() {
            prop_assert!(timetable.next_after(after).is_none_or(|next| next > after));
            prop_assert!(timetable.latest_at_or_before(after).is_none_or(|latest| latest <= after));
        }
    }
}
