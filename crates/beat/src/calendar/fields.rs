//! The five fields of cron, with the meaning they have on Unix.
//!
//! The `cron` crate expands lists, ranges and steps. Its dialect is not Unix's: it wants seconds, counts the week from Sunday as 1, and knows no
//! range over the end of the week. So each part is read and checked here, where an error can say what is wrong and where, and handed to the
//! crate in a form that means the same in both: `first-last/step`, and numbers of days one higher. Of its answer only the sets are taken; it is
//! never asked about a date.

use std::str::FromStr;

use cron::{Schedule, TimeUnitSpec};

use super::error::{CronField, FieldFault, TimetableError};
use super::pattern::{Days, Pattern};
use super::rule::{Clock, Rule};
use super::text::Word;

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEK_DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl CronField {
    fn least(self) -> u8 {
        match self {
            Self::Minute | Self::Hour | Self::DayOfWeek => 0,
            Self::DayOfMonth | Self::Month => 1,
        }
    }

    fn most(self) -> u8 {
        match self {
            Self::Minute => 59,
            Self::Hour => 23,
            Self::DayOfMonth => 31,
            Self::Month => 12,
            Self::DayOfWeek => 7,
        }
    }

    /// The names of its numbers, from the least on.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Minute | Self::Hour | Self::DayOfMonth => &[],
            Self::Month => &MONTHS,
            Self::DayOfWeek => &WEEK_DAYS,
        }
    }
}

/// One part of a list: every `step`th number from `first` to `last`. In the week `last` may lie in the next one.
#[derive(Debug, Clone, Copy)]
struct Part {
    first: u8,
    last: u8,
    step: u8,
}

/// Reads five fields.
pub(super) fn read(words: &[Word<'_>]) -> Result<Rule, TimetableError> {
    let [minute, hour, month_day, month, week_day] = words else {
        return Err(TimetableError::FieldCount { found: words.len() });
    };
    let translated = format!(
        "0 {} {} {} {} {}",
        numbers(&parts(CronField::Minute, *minute)?),
        numbers(&parts(CronField::Hour, *hour)?),
        numbers(&parts(CronField::DayOfMonth, *month_day)?),
        numbers(&parts(CronField::Month, *month)?),
        week_numbers(&parts(CronField::DayOfWeek, *week_day)?),
    );
    let schedule =
        Schedule::from_str(&translated).map_err(|error| TimetableError::Unreadable { reason: error.to_string() })?;
    let begins_with_star = |word: &Word<'_>| word.text.starts_with('*');
    let both = begins_with_star(month_day) || begins_with_star(week_day);
    let pattern = pattern(&schedule, if both { Days::Both } else { Days::Either });
    if !pattern.ever_comes() {
        return Err(TimetableError::NeverComes { days: month_day.text.to_owned(), months: month.text.to_owned() });
    }
    let interval = begins_with_star(minute) || begins_with_star(hour);
    Ok(Rule::Cron { pattern, clock: if interval { Clock::Interval } else { Clock::Fixed } })
}

fn pattern(schedule: &Schedule, days: Days) -> Pattern {
    Pattern {
        minutes: bits(schedule.minutes()),
        hours: bits(schedule.hours()) as u32,
        month_days: bits(schedule.days_of_month()) as u32,
        months: bits(schedule.months()) as u16,
        // Sunday is 1 there and bit 0 here.
        week_days: (bits(schedule.days_of_week()) >> 1) as u8,
        days,
    }
}

fn bits(set: &impl TimeUnitSpec) -> u64 {
    set.iter().fold(0, |bits, number| bits | 1 << number)
}

/// Parts in the form that means the same to the `cron` crate.
fn numbers(parts: &[Part]) -> String {
    let written = parts.iter().map(|Part { first, last, step }| format!("{first}-{last}/{step}"));
    written.collect::<Vec<_>>().join(",")
}

/// Days of the week one by one, counted from Sunday as 1.
fn week_numbers(parts: &[Part]) -> String {
    let days = parts.iter().flat_map(|part| (part.first..=part.last).step_by(usize::from(part.step)));
    days.map(|day| (day % 7 + 1).to_string()).collect::<Vec<_>>().join(",")
}

/// The parts of the list in a field.
fn parts(field: CronField, word: Word<'_>) -> Result<Vec<Part>, TimetableError> {
    let mut column = word.column;
    let mut parts = Vec::new();
    for text in word.text.split(',') {
        parts.push(part(field, text).map_err(|fault| TimetableError::Field { field, column, fault })?);
        column += text.chars().count() + 1;
    }
    Ok(parts)
}

fn part(field: CronField, text: &str) -> Result<Part, FieldFault> {
    refuse_foreign_signs(field, text)?;
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => (range, Some(read_step(field, text, step)?)),
        None => (text, None),
    };
    let (first, last) = match range.split_once('-') {
        _ if range == "*" => (field.least(), if field == CronField::DayOfWeek { 6 } else { field.most() }),
        Some((first, last)) => read_range(field, text, first, last)?,
        None => {
            let only = number(field, text, range)?;
            if step.is_some() {
                let instead = text.replacen('/', &format!("-{}/", field.most()), 1);
                return Err(FieldFault::StepWithoutRange { text: text.to_owned(), instead });
            }
            (only, only)
        }
    };
    Ok(Part { first, last, step: step.unwrap_or(1) })
}

fn read_range(field: CronField, text: &str, first: &str, last: &str) -> Result<(u8, u8), FieldFault> {
    let (first, last) = (number(field, text, first)?, number(field, text, last)?);
    if field == CronField::DayOfWeek {
        return Ok(days_of_range(first, last));
    }
    if first > last {
        let (least, most) = (field.least(), field.most());
        let instead = format!("{first}-{most},{least}-{last}");
        return Err(FieldFault::Backwards { text: text.to_owned(), instead });
    }
    Ok((first, last))
}

/// The week is a circle: FRI-MON is four days, and a range that ends on Sunday ends on the Sunday after it began.
fn days_of_range(first: u8, last: u8) -> (u8, u8) {
    match (first, last) {
        (7, 7) => (7, 7),
        (7, last) => (0, last),
        (first, last) if last < first => (first, last + 7),
        range => range,
    }
}

fn number(field: CronField, part: &str, text: &str) -> Result<u8, FieldFault> {
    if text.is_empty() {
        return Err(FieldFault::Missing { text: part.to_owned() });
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return named(field, text);
    }
    let (least, most) = (field.least(), field.most());
    match text.parse::<u8>() {
        Ok(number) if number < least => Err(FieldFault::Below { text: text.to_owned(), least }),
        Ok(number) if number <= most => Ok(number),
        _ => Err(FieldFault::Above { text: text.to_owned(), most }),
    }
}

fn named(field: CronField, text: &str) -> Result<u8, FieldFault> {
    let names = field.names();
    let begins_like = |name: &&str| text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(name));
    match names.iter().zip(field.least()..).find(|(name, _)| begins_like(name)) {
        Some((_, number)) if text.len() == 3 => Ok(number),
        Some((short, _)) if text.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            Err(FieldFault::LongName { text: text.to_owned(), short })
        }
        _ => Err(FieldFault::NotANumber { text: text.to_owned(), names }),
    }
}

fn read_step(field: CronField, part: &str, step: &str) -> Result<u8, FieldFault> {
    if step.is_empty() {
        return Err(FieldFault::Missing { text: part.to_owned() });
    }
    let most = field.most();
    let number = step.parse::<u8>().ok().filter(|_| step.bytes().all(|byte| byte.is_ascii_digit()));
    number.filter(|number| (1..=most).contains(number)).ok_or_else(|| FieldFault::Step { text: part.to_owned(), most })
}

/// Signs that Quartz has and Unix has not. Passed over or misread they would run work on other days than meant.
fn refuse_foreign_signs(field: CronField, text: &str) -> Result<(), FieldFault> {
    const NTH: &str = "run it on all these days and let the task look at the date";
    const LAST: &str = "write 28-31 and let the task look at the date";
    const NEAREST: &str = "write MON-FRI in day-of-week and let the task look at the date";
    let is_day = matches!(field, CronField::DayOfMonth | CronField::DayOfWeek);
    let letters_of_quartz = |letter: char| {
        let found = text.contains([letter, letter.to_ascii_lowercase()]);
        // No name of a day holds an L or ends in a W, but WED begins with one.
        is_day && found && (field == CronField::DayOfMonth || letter == 'L')
    };
    let (sign, advice) = match text {
        _ if text.contains('?') => ('?', "write *"),
        _ if text.contains('#') => ('#', NTH),
        _ if letters_of_quartz('W') => ('W', NEAREST),
        _ if letters_of_quartz('L') && field == CronField::DayOfMonth => ('L', LAST),
        _ if letters_of_quartz('L') => ('L', NTH),
        _ => return Ok(()),
    };
    Err(FieldFault::Foreign { text: text.to_owned(), sign, advice })
}
