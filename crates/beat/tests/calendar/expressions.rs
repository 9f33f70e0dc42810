//! Random cron expressions, and which numbers their fields name, read from the rules in words and not from the code.
//!
//! The strategies are boxed: nested by value they overflow the stack of a test.

use std::fmt;

use proptest::prelude::*;

/// Five fields.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    pub(crate) minute: String,
    pub(crate) hour: String,
    pub(crate) month_day: String,
    pub(crate) month: String,
    pub(crate) week_day: String,
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { minute, hour, month_day, month, week_day } = self;
        write!(f, "{minute} {hour} {month_day} {month} {week_day}")
    }
}

const WEEK: [&str; 7] = ["SUN", "Mon", "tue", "WED", "Thu", "fri", "SAT"];
const YEAR: [&str; 12] = ["jan", "Feb", "MAR", "apr", "May", "JUN", "jul", "Aug", "SEP", "oct", "Nov", "DEC"];

fn name_of(names: &[&str], number: u32) -> String {
    names.get(number as usize).map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

/// A part of a list that is no star.
fn part(least: u32, most: u32) -> BoxedStrategy<String> {
    let range = move || (least..=most).prop_flat_map(move |first| (Just(first), first..=most));
    prop_oneof![
        4 => (least..=most).prop_map(|number| number.to_string()),
        2 => range().prop_map(|(first, last)| format!("{first}-{last}")),
        1 => (range(), 1..=most).prop_map(|((first, last), step)| format!("{first}-{last}/{step}")),
    ]
    .boxed()
}

/// A list with one to three parts. Seldom a star stands in it, first or later.
fn list(least: u32, most: u32) -> BoxedStrategy<String> {
    let plain = || prop::collection::vec(part(least, most), 1..=3).prop_map(|parts| parts.join(","));
    prop_oneof![
        12 => part(least, most),
        6 => plain(),
        1 => (plain(), 2..=most).prop_map(|(list, step)| format!("{list},*/{step}")),
        1 => (plain(), 2..=most).prop_map(|(list, step)| format!("*/{step},{list}")),
    ]
    .boxed()
}

fn star(most: u32) -> BoxedStrategy<String> {
    prop_oneof![2 => Just("*".to_owned()), 1 => (1..=most).prop_map(|step| format!("*/{step}"))].boxed()
}

fn week_days() -> BoxedStrategy<String> {
    let circle = (0u32..7, 1u32..7).prop_map(|(first, more)| (first, (first + more) % 7));
    prop_oneof![
        2 => list(0, 6),
        1 => Just("7".to_owned()),
        1 => (0usize..7).prop_map(|day| WEEK[day].to_owned()),
        1 => circle.clone().prop_map(|(first, last)| format!("{}-{}", name_of(&WEEK, first), name_of(&WEEK, last))),
        1 => (circle, 1u32..=7).prop_map(|((first, last), step)| format!("{first}-{last}/{step}")),
        1 => (1u32..7).prop_map(|first| format!("{first}-7")),
    ]
    .boxed()
}

fn months() -> BoxedStrategy<String> {
    prop_oneof![
        2 => list(1, 12),
        1 => (0usize..12).prop_map(|month| YEAR[month].to_owned()),
        1 => (0usize..11).prop_map(|first| format!("{}-{}", YEAR[first], YEAR[11])),
    ]
    .boxed()
}

/// Expressions that are due on most days, so that something happens around a given shift.
pub(crate) fn frequent() -> BoxedStrategy<Fields> {
    let minute = prop_oneof![star(59), list(0, 59)];
    // Shifts happen at night; hours at random would mostly miss them.
    let hour = prop_oneof![2 => star(23), 2 => list(0, 23), 3 => list(0, 4)];
    let days = prop_oneof![
        4 => Just(("*".to_owned(), "*".to_owned())),
        2 => week_days().prop_map(|week| ("*".to_owned(), week)),
        2 => (list(1, 31), week_days()),
        1 => (star(4), week_days()),
        1 => (list(1, 31), star(3)),
        1 => (star(3), star(3)),
    ];
    let month = prop_oneof![6 => Just("*".to_owned()), 1 => star(12), 1 => Just("1-12".to_owned())];
    (minute, hour, days, month)
        .prop_map(|(minute, hour, (month_day, week_day), month)| Fields { minute, hour, month_day, month, week_day })
        .boxed()
}

/// Expressions of every kind, some due once in decades.
pub(crate) fn any_fields() -> BoxedStrategy<Fields> {
    let minute = prop_oneof![star(59), list(0, 59)];
    let hour = prop_oneof![star(23), list(0, 23)];
    let month_day = prop_oneof![star(31), list(1, 31), list(28, 31)];
    let month = prop_oneof![star(12), months(), Just("2".to_owned())];
    let week_day = prop_oneof![star(7), week_days()];
    (minute, hour, month_day, month, week_day)
        .prop_map(|(minute, hour, month_day, month, week_day)| Fields { minute, hour, month_day, month, week_day })
        .boxed()
}

/// Which times an expression names.
#[derive(Debug)]
pub(crate) struct Named {
    minutes: Vec<bool>,
    hours: Vec<bool>,
    month_days: Vec<bool>,
    months: Vec<bool>,
    pub(crate) week_days: Vec<bool>,
    both: bool,
    /// Whether it is a rhythm and not a time of the day.
    pub(crate) interval: bool,
}

impl Named {
    pub(crate) fn by(fields: &Fields) -> Self {
        let star = |field: &str| field.starts_with('*');
        Self {
            minutes: numbers(&fields.minute, 0, 59, &[]),
            hours: numbers(&fields.hour, 0, 23, &[]),
            month_days: numbers(&fields.month_day, 1, 31, &[]),
            months: numbers(&fields.month, 1, 12, &YEAR),
            week_days: numbers(&fields.week_day, 0, 6, &WEEK),
            both: star(&fields.month_day) || star(&fields.week_day),
            interval: star(&fields.minute) || star(&fields.hour),
        }
    }

    pub(crate) fn has_day(&self, date: jiff::civil::Date) -> bool {
        let by_month = self.month_days[date.day() as usize];
        let by_week = self.week_days[date.weekday().to_sunday_zero_offset() as usize];
        let day = if self.both { by_month && by_week } else { by_month || by_week };
        self.months[date.month() as usize] && day
    }

    pub(crate) fn has(&self, time: jiff::civil::DateTime) -> bool {
        self.minutes[time.minute() as usize] && self.hours[time.hour() as usize] && self.has_day(time.date())
    }
}

/// The numbers of a field. A range is walked one number at a time, and in the week it goes on after the last day with the first.
fn numbers(field: &str, least: u32, most: u32, names: &[&str]) -> Vec<bool> {
    let week = most == 6;
    let number = |text: &str| {
        let name = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = name.map_or_else(|| text.parse().unwrap(), |position| position as u32 + least);
        if week { number % 7 } else { number }
    };
    let mut named = vec![false; most as usize + 1];
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, 1), |(range, step)| (range, step.parse().unwrap()));
        let (mut at, last) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((first, last)) => (number(first), number(last)),
            None => (number(range), number(range)),
        };
        let mut walked = 0;
        loop {
            if walked % step == 0 {
                named[at as usize] = true;
            }
            if at == last {
                break;
            }
            walked += 1;
            at = if at == most { least } else { at + 1 };
        }
    }
    named
}

#[test]
fn the_reading_of_the_tests_is_right() {
    let named = |field, least, most| {
        let named = numbers(field, least, most, &WEEK);
        (0..named.len()).filter(|number| named[*number]).collect::<Vec<_>>()
    };
    assert_eq!(named("*/20", 0, 59), [0, 20, 40]);
    assert_eq!(named("1,5-9/3,7", 0, 23), [1, 5, 7, 8]);
    assert_eq!(named("fri-MON", 0, 6), [0, 1, 5, 6]);
    assert_eq!(named("5-7", 0, 6), [0, 5, 6]);
    assert_eq!(named("6-2/2", 0, 6), [1, 6]);
    assert_eq!(named("*/31", 1, 31), [1]);
}
