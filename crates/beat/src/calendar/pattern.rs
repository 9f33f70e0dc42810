//! What the clock on the wall shows when a cron expression is due: sets of minutes, hours, days and months, without a zone.
//!
//! A month's days are one word of bits, so that a search looks at a month in a few nanoseconds and even 29 February on one weekday, forty
//! years away at worst, is found at once.

use jiff::civil::{Date, DateTime, Time};

/// How the two day fields go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Days {
    /// A day must be in both, because at least one of the fields begins with `*`.
    Both,
    /// A day must be in one of them.
    Either,
}

/// The sets behind five fields. Bit n stands for the number n; Sunday is bit 0 of the week.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pattern {
    pub(super) minutes: u64,
    pub(super) hours: u32,
    pub(super) month_days: u32,
    pub(super) months: u16,
    pub(super) week_days: u8,
    pub(super) days: Days,
}

/// Nothing is due before this year; local time of the first instant of 1970 may still be 1969.
const FIRST_YEAR: i16 = 1969;

impl Pattern {
    /// Whether there is such a day at all: no month has a 31 February.
    pub(super) fn ever_comes(&self) -> bool {
        // The calendar repeats itself after 400 years, and 2000 begins such a cycle.
        self.first_at_or_after(DateTime::constant(2000, 1, 1, 0, 0, 0, 0)).is_some()
    }

    /// The first time at or after `from` that matches; none if there is none before the year 10000.
    pub(super) fn first_at_or_after(&self, from: DateTime) -> Option<DateTime> {
        let from = match from.second() {
            0 => from,
            _ => from.with().second(0).build().ok()?.checked_add(jiff::SignedDuration::from_mins(1)).ok()?,
        };
        let date = from.date();
        if let Some(time) = self.has_day(date).then(|| self.first_time(from.time())).flatten() {
            return Some(date.to_datetime(time));
        }
        let date = self.first_day(date.tomorrow().ok()?)?;
        Some(date.to_datetime(self.first_time(Time::midnight())?))
    }

    /// The last time at or before `to` that matches; none if there is none since 1969.
    pub(super) fn last_at_or_before(&self, to: DateTime) -> Option<DateTime> {
        let date = to.date();
        if let Some(time) = self.has_day(date).then(|| self.last_time(to.time())).flatten() {
            return Some(date.to_datetime(time));
        }
        let date = self.last_day(date.yesterday().ok()?)?;
        Some(date.to_datetime(self.last_time(Time::MAX)?))
    }

    fn first_time(&self, from: Time) -> Option<Time> {
        let (hour, minute) = (from.hour(), from.minute());
        let in_hour = lowest(self.minutes & at_or_above(minute)).filter(|_| self.hours & (1 << hour) != 0);
        if let Some(minute) = in_hour {
            return Time::new(hour, minute, 0, 0).ok();
        }
        let hour = lowest(u64::from(self.hours) & at_or_above(hour + 1))?;
        Time::new(hour, lowest(self.minutes)?, 0, 0).ok()
    }

    fn last_time(&self, to: Time) -> Option<Time> {
        let (hour, minute) = (to.hour(), to.minute());
        let in_hour = highest(self.minutes & !at_or_above(minute + 1)).filter(|_| self.hours & (1 << hour) != 0);
        if let Some(minute) = in_hour {
            return Time::new(hour, minute, 0, 0).ok();
        }
        let hour = highest(u64::from(self.hours) & !at_or_above(hour))?;
        Time::new(hour, highest(self.minutes)?, 0, 0).ok()
    }

    fn has_day(&self, date: Date) -> bool {
        self.days_of(date.first_of_month()) & (1 << date.day()) != 0
    }

    fn first_day(&self, from: Date) -> Option<Date> {
        let mut wanted = at_or_above(from.day());
        let mut month = from.first_of_month();
        loop {
            if let Some(day) = lowest(self.days_of(month) & wanted) {
                return Date::new(month.year(), month.month(), day).ok();
            }
            wanted = u64::MAX;
            month = next_month(month)?;
        }
    }

    fn last_day(&self, to: Date) -> Option<Date> {
        let mut wanted = !at_or_above(to.day() + 1);
        let mut month = to.first_of_month();
        loop {
            if let Some(day) = highest(self.days_of(month) & wanted) {
                return Date::new(month.year(), month.month(), day).ok();
            }
            wanted = u64::MAX;
            month = previous_month(month)?;
        }
    }

    /// The days of the month beginning with `first` that match: bit n for day n.
    fn days_of(&self, first: Date) -> u64 {
        if self.months & (1 << first.month()) == 0 {
            return 0;
        }
        let existing = at_or_above(1) & !at_or_above(first.days_in_month() + 1);
        let begins_with = first.weekday().to_sunday_zero_offset();
        let week = u64::from(self.week_days);
        // The week as this month sees it, beginning with its first day, five times in a row.
        let turned = ((week >> begins_with) | (week << (7 - begins_with))) & 0x7f;
        let by_week = (0..5).fold(0, |days, nth| days | (turned << (7 * nth))) << 1;
        let by_month = u64::from(self.month_days);
        existing
            & match self.days {
                Days::Both => by_month & by_week,
                Days::Either => by_month | by_week,
            }
    }
}

/// All bits from this one upwards; none if there is no such bit.
fn at_or_above(bit: i8) -> u64 {
    u32::try_from(bit).ok().and_then(|bit| u64::MAX.checked_shl(bit)).unwrap_or(0)
}

fn lowest(bits: u64) -> Option<i8> {
    (bits != 0).then(|| bits.trailing_zeros() as i8)
}

fn highest(bits: u64) -> Option<i8> {
    (bits != 0).then(|| 63 - bits.leading_zeros() as i8)
}

fn next_month(first: Date) -> Option<Date> {
    match first.month() {
        12 => Date::new(first.year().checked_add(1)?, 1, 1).ok(),
        month => Date::new(first.year(), month + 1, 1).ok(),
    }
}

fn previous_month(first: Date) -> Option<Date> {
    match first.month() {
        1 if first.year() <= FIRST_YEAR => None,
        1 => Date::new(first.year() - 1, 12, 1).ok(),
        month => Date::new(first.year(), month - 1, 1).ok(),
    }
}
