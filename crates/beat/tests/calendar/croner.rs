//! The same questions to the crate `croner`, which follows the same rules but for the differences that are named here.

use croner::Cron;
use croner::errors::CronError;
use croner::parser::CronParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

use crate::expressions::{Fields, Named, any_fields, frequent};
use crate::support::{Chance, ZONES, cases, from_jiff, shifts, time_zone, to_jiff};

/// The expression as croner understands it: without ranges over the end of the week, which it refuses, and told when the two fields of
/// days must both match, which it concludes only from a bare star and not from `*/2`.
fn in_croner(fields: &Fields) -> Cron {
    let mut fields = fields.clone();
    let both = fields.month_day.starts_with('*') || fields.week_day.starts_with('*');
    if !fields.week_day.starts_with('*') {
        let named = Named::by(&fields).week_days;
        let days = (0..7).filter(|day| named[*day]).map(|day| day.to_string());
        fields.week_day = days.collect::<Vec<_>>().join(",");
    }
    CronParser::builder().dom_and_dow(both).build().parse(&fields.to_string()).unwrap()
}

/// Whether croner counts as an interval what is a fixed time on Unix: neither minute nor hour begins with a star, and one of them is more
/// than one number. It differs only where a clock is shifted.
fn is_fixed_here_only(fields: &Fields) -> bool {
    let single = |field: &str| field.bytes().all(|byte| byte.is_ascii_digit());
    let named_singly = single(&fields.minute) && single(&fields.hour);
    !named_singly && !Named::by(fields).interval
}

/// The longest gap that croner looks across.
const CRONERS_LONGEST_GAP: SignedDuration = SignedDuration::from_hours(2);

/// One question to both.
struct Question<'q> {
    fields: &'q Fields,
    zone: &'q TimeZone,
    after: Timestamp,
}

impl Question<'_> {
    /// Whether a clock is shifted between the question and the later answer, or a few hours before, so that the question lies in what
    /// is shown twice.
    fn is_about_a_shift(&self, until: Timestamp) -> bool {
        self.zone.following(self.after - 3.hours()).next().is_some_and(|shift| shift.timestamp() <= until)
    }

    fn is_about_a_long_gap(&self, until: Timestamp) -> bool {
        let shifts = self.zone.following(self.after).take_while(|shift| shift.timestamp() <= until);
        let jump = |shift: Timestamp| {
            let shown = |instant| TimeZone::UTC.to_timestamp(self.zone.to_datetime(instant)).unwrap();
            shown(shift).duration_since(shown(shift - 1.second()))
        };
        shifts.map(|shift| jump(shift.timestamp())).any(|jump| jump > CRONERS_LONGEST_GAP)
    }

    /// Whether this difference is one of those that are known.
    fn may_differ(&self, ours: Option<Timestamp>, theirs: &Result<Timestamp, CronError>) -> bool {
        let interval = Named::by(self.fields).interval;
        match (ours, theirs) {
            (Some(ours), Ok(theirs)) => {
                let later = ours.max(*theirs);
                (is_fixed_here_only(self.fields) && self.is_about_a_shift(later))
                    || (!interval && self.is_about_a_long_gap(later))
            }
            // It gives up in a long gap.
            (Some(ours), Err(CronError::TimeSearchLimitExceeded)) => !interval && self.is_about_a_long_gap(ours),
            _ => false,
        }
    }
}

#[derive(Default)]
struct Tally {
    equal: usize,
    known: usize,
}

fn compare(tally: &mut Tally, fields: &Fields, zone: &str, after: Timestamp) {
    let Ok(timetable) = celeriac_beat::Timetable::new(&fields.to_string(), zone.parse().unwrap()) else { return };
    let clock = time_zone(zone);
    let ours = timetable.next_after(from_jiff(after)).map(to_jiff);
    let theirs = in_croner(fields).find_next_occurrence(&Zoned::new(after, clock.clone()), false);
    let theirs = theirs.map(|next| next.timestamp());
    if theirs.as_ref().ok() == ours.as_ref() {
        tally.equal += 1;
        return;
    }
    let question = Question { fields, zone: &clock, after };
    assert!(question.may_differ(ours, &theirs), "{timetable} after {after}: {ours:?}, by croner {theirs:?}");
    tally.known += 1;
}

#[test]
fn croner_gives_the_same_answers() {
    let mut chance = Chance::new();
    let mut tally = Tally::default();
    for nth in 0..cases(220) {
        let fields = if nth % 2 == 0 { chance.draw(frequent()) } else { chance.draw(any_fields()) };
        for zone in ZONES {
            let days = chance.draw(0..30 * 365i64);
            let start: Timestamp = "2011-01-01T00:00:00Z".parse().unwrap();
            let at_random = start + (days * 24).hours() + chance.draw(0..86_400_000i64).milliseconds();
            compare(&mut tally, &fields, zone, at_random);
            let shifts = shifts(&time_zone(zone), 2011, 2040);
            if nth % 2 == 0 && !shifts.is_empty() {
                let shift = shifts[chance.draw(0..shifts.len())];
                compare(&mut tally, &fields, zone, shift + chance.draw(-10_000_000..10_000_000i64).milliseconds());
            }
        }
    }
    println!("{} equal, {} known differences", tally.equal, tally.known);
    assert!(tally.known * 20 < tally.equal, "{} known differences beside {} equal answers", tally.known, tally.equal);
}
