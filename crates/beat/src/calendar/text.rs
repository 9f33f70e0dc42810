//! From what people write to a rule: the zone at the end, names with `@`, periods and instants. The five fields are next door.

use std::time::Duration;

use celeriac_core::{Timestamp, format_duration, parse_duration};

use super::error::TimetableError;
use super::fields;
use super::rule::{HORIZON, Rule};
use super::zone::Zone;

/// The longest text that is read. A list of all minutes has 169 bytes.
const MAX_BYTES: usize = 1_000;

/// A shorter period is a loop, not a timetable.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);

/// The names with `@` and what they stand for.
const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// A word of the text, and where it begins, counted from 1 in characters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'t> {
    pub(super) text: &'t str,
    pub(super) column: usize,
}

/// Reads a text: the expression with single blanks and without its zone, the zone, and the rule.
pub(super) fn read(text: &str, beside: Option<Zone>) -> Result<(String, Zone, Rule), TimetableError> {
    if text.len() > MAX_BYTES {
        return Err(TimetableError::TooLong { bytes: text.len(), most: MAX_BYTES });
    }
    let words = words(text);
    let (words, zone) = match words.as_slice() {
        [rest @ .., keyword, name] if keyword.text.eq_ignore_ascii_case("in") => (rest, one_zone(name.text, beside)?),
        all => (all, beside.unwrap_or_default()),
    };
    let Some(first) = words.first() else {
        return Err(TimetableError::Empty);
    };
    if ["TZ=", "CRON_TZ="].iter().any(|prefix| first.text.starts_with(prefix)) {
        return Err(TimetableError::ZoneInFront { text: first.text.to_owned() });
    }
    let rule = match first.text.to_ascii_lowercase().as_str() {
        "every" | "@every" => read_period(&words[1..], &zone)?,
        "at" => Rule::At(read_instant(&join(&words[1..]), &zone)?),
        "@reboot" => return Err(TimetableError::Reboot),
        name if name.starts_with('@') => read_nickname(name, words)?,
        _ => fields::read(words)?,
    };
    Ok((join(words), zone, rule))
}

/// A rule for a period, and how it is written.
pub(super) fn every(period: Duration, anchor: Timestamp) -> Result<(String, Rule), TimetableError> {
    let written = format_duration(period);
    if period < SHORTEST_PERIOD {
        return Err(TimetableError::PeriodTooShort { period: written });
    }
    let millis = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
    let rule = Rule::Every { millis, anchor };
    let expression = match anchor.as_millis() {
        0 => format!("every {written}"),
        _ => format!("every {written} from {}", write_instant(anchor)?),
    };
    Ok((expression, rule))
}

/// A rule for one instant, and how it is written.
pub(super) fn at(instant: Timestamp) -> Result<(String, Rule), TimetableError> {
    Ok((format!("at {}", write_instant(instant)?), Rule::At(instant)))
}

fn words(text: &str) -> Vec<Word<'_>> {
    let start_of = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    let column_of = |word: &str| text[..start_of(word)].chars().count() + 1;
    text.split_whitespace().map(|word| Word { text: word, column: column_of(word) }).collect()
}

fn join(words: &[Word<'_>]) -> String {
    words.iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
}

/// The zone in the text, which must be the one beside it if there is one.
fn one_zone(name: &str, beside: Option<Zone>) -> Result<Zone, TimetableError> {
    let inside = Zone::named(name)?;
    match beside {
        Some(beside) if beside != inside => {
            Err(TimetableError::ZoneTwice { inside: inside.name().to_owned(), beside: beside.name().to_owned() })
        }
        _ => Ok(inside),
    }
}

fn read_nickname(name: &str, words: &[Word<'_>]) -> Result<Rule, TimetableError> {
    let known = NICKNAMES.iter().find(|(nickname, _)| *nickname == name).filter(|_| words.len() == 1);
    let (_, expression) = known.ok_or_else(|| TimetableError::Nickname { name: join(words) })?;
    fields::read(&self::words(expression))
}

/// What follows `every`: a period, and perhaps an anchor.
fn read_period(words: &[Word<'_>], zone: &Zone) -> Result<Rule, TimetableError> {
    let (period, anchor) = match words {
        [period] => (period, Timestamp::default()),
        [period, from, instant @ ..] if from.text.eq_ignore_ascii_case("from") => {
            (period, read_instant(&join(instant), zone)?)
        }
        others => return Err(TimetableError::PeriodForm { text: join(others) }),
    };
    every(parse_duration(period.text)?, anchor).map(|(_, rule)| rule)
}

/// An instant with its distance from UTC, or a time of the zone's clock: then it is when the clock first reaches it, as for cron.
fn read_instant(text: &str, zone: &Zone) -> Result<Timestamp, TimetableError> {
    let refused = || TimetableError::Instant { text: text.to_owned() };
    // A zone in brackets would be one more place for zones, and jiff passes over it.
    if text.contains('[') {
        return Err(refused());
    }
    let on_the_clock = || zone.wall().first_reached(text.parse().ok()?);
    let instant = text.parse::<jiff::Timestamp>().ok().or_else(on_the_clock).ok_or_else(refused)?;
    u64::try_from(instant.as_millisecond()).map(Timestamp::from_millis).map_err(|_| refused())
}

fn write_instant(instant: Timestamp) -> Result<String, TimetableError> {
    let beyond = || TimetableError::Instant { text: instant.to_string() };
    let millis = i64::try_from(instant.as_millis()).ok().filter(|_| instant <= HORIZON).ok_or_else(beyond)?;
    jiff::Timestamp::from_millisecond(millis).map(|instant| instant.to_string()).map_err(|_| beyond())
}
