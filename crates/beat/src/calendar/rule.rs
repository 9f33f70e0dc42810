//! A rule: the instants of a timetable, asked for forwards and backwards.
//!
//! Searches go from one candidate to the next, never minute by minute, so that the latest occurrence in years of outage costs what the next costs.

use celeriac_core::Timestamp;
use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::pattern::Pattern;
use super::wall::Wall;
use super::zone::Zone;

/// The last instant of the calendar: the clock shows the year 10000 soon after, in the east.
pub(super) const HORIZON: Timestamp = Timestamp::from_fixed_millis(253_402_207_200_000);

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// When something is due.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// When the clock on the wall shows these times.
    Cron { pattern: Pattern, clock: Clock },
    /// At the anchor and whenever another period has passed since.
    Every { millis: u64, anchor: Timestamp },
    /// Once.
    At(Timestamp),
}

/// What a shift of the clock does to a cron rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Times of the day: each once, when the clock first reaches it or jumps over it.
    Fixed,
    /// A rhythm, because the minute or the hour begins with `*`: whenever the clock shows such a time, and never else.
    Interval,
}

impl Rule {
    /// The first instant after `after`.
    pub(super) fn next_after(&self, zone: &Zone, after: Timestamp) -> Option<Timestamp> {
        let next = match self {
            Self::At(instant) => *instant,
            Self::Every { anchor, .. } if after < *anchor => *anchor,
            Self::Every { millis, anchor } => {
                let passed = (after.as_millis() - anchor.as_millis()) / millis;
                anchor.after(std::time::Duration::from_millis((passed + 1).saturating_mul(*millis)))
            }
            Self::Cron { pattern, clock } => {
                let after = whole_second(after);
                from_jiff(match clock {
                    Clock::Fixed => next_fixed(pattern, zone.wall(), after),
                    Clock::Interval => next_shown(pattern, zone.wall(), after),
                }?)?
            }
        };
        Some(next).filter(|next| *next > after && *next <= HORIZON)
    }

    /// The last instant that is not after `instant`.
    pub(super) fn latest_at_or_before(&self, zone: &Zone, instant: Timestamp) -> Option<Timestamp> {
        match self {
            Self::At(only) => Some(*only).filter(|only| *only <= instant),
            Self::Every { millis, anchor } => {
                let passed = instant.min(HORIZON).as_millis().checked_sub(anchor.as_millis())? / millis;
                Some(anchor.after(std::time::Duration::from_millis(passed * millis)))
            }
            Self::Cron { pattern, clock } => {
                let instant = whole_second(instant);
                from_jiff(match clock {
                    Clock::Fixed => latest_fixed(pattern, zone.wall(), instant),
                    Clock::Interval => latest_shown(pattern, zone.wall(), instant),
                }?)
            }
        }
    }
}

/// Cron rules know whole seconds only; nothing of theirs lies between this second and `instant`.
fn whole_second(instant: Timestamp) -> jiff::Timestamp {
    let seconds = i64::try_from(instant.min(HORIZON).as_millis() / 1_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX)
}

/// None before 1970, where no occurrence lies.
fn from_jiff(instant: jiff::Timestamp) -> Option<Timestamp> {
    u64::try_from(instant.as_millisecond()).ok().map(Timestamp::from_millis)
}

/// A fixed time comes when the clock first reaches it, so what is due after `after` is what the clock has never shown until then.
fn next_fixed(pattern: &Pattern, wall: Wall<'_>, after: jiff::Timestamp) -> Option<jiff::Timestamp> {
    let mut shown = wall.latest_shown(after);
    loop {
        shown = pattern.first_at_or_after(one_second_later(shown)?)?;
        let due = wall.first_reached(shown)?;
        // So it is, unless two shifts lie so close together that jiff resolves this time otherwise; a beat must not go back even then.
        if due > after {
            return Some(due);
        }
    }
}

fn latest_fixed(pattern: &Pattern, wall: Wall<'_>, instant: jiff::Timestamp) -> Option<jiff::Timestamp> {
    let mut shown = wall.latest_shown(instant);
    loop {
        shown = pattern.last_at_or_before(shown)?;
        let due = wall.first_reached(shown)?;
        if due <= instant {
            return Some(due);
        }
        shown = shown.checked_sub(SECOND).ok()?;
    }
}

/// An interval comes whenever the clock shows it: each stretch between two shifts is searched on its own.
fn next_shown(pattern: &Pattern, wall: Wall<'_>, after: jiff::Timestamp) -> Option<jiff::Timestamp> {
    let mut from = after.checked_add(SECOND).ok()?;
    loop {
        let (offset, shift) = wall.offset_until(from);
        let time = pattern.first_at_or_after(offset.to_datetime(from))?;
        let due = offset.to_timestamp(time).ok();
        match shift {
            Some(shift) if due.is_none_or(|due| due >= shift) => from = shift,
            _ => return due,
        }
    }
}

fn latest_shown(pattern: &Pattern, wall: Wall<'_>, instant: jiff::Timestamp) -> Option<jiff::Timestamp> {
    let mut until = instant;
    loop {
        let (offset, shift) = wall.offset_since(until);
        let time = pattern.last_at_or_before(offset.to_datetime(until))?;
        let due = offset.to_timestamp(time).ok();
        match shift {
            Some(shift) if due.is_none_or(|due| due < shift) => until = shift.checked_sub(SECOND).ok()?,
            _ => return due,
        }
    }
}

fn one_second_later(time: DateTime) -> Option<DateTime> {
    time.checked_add(SECOND).ok()
}
