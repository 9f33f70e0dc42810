//! Why a timetable was refused: which field, which text, what is allowed, and what to write instead.

use std::fmt;

use celeriac_core::DurationError;

/// A timetable or a time zone that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimetableError {
    /// Nothing was written.
    #[error(
        "nothing is written; use five fields (minute hour day-of-month month day-of-week), a name such as @daily, a period as in every 5m, \
         or an instant as in at 2030-01-31T12:00:00Z"
    )]
    Empty,
    /// The text is longer than any timetable needs.
    #[error("{bytes} bytes; a timetable has at most {most}")]
    TooLong {
        /// The length that was refused.
        bytes: usize,
        /// The longest that is read.
        most: usize,
    },
    /// The number of fields is not five.
    #[error("{found} {}, cron has five: minute hour day-of-month month day-of-week{}", fields(*found), more_fields(*found))]
    FieldCount {
        /// How many there are.
        found: usize,
    },
    /// A field cannot be read.
    #[error("{field}: {fault} ({} are allowed; column {column})", field.range())]
    Field {
        /// The field.
        field: CronField,
        /// Where in the text the refused part begins, counted from 1 in characters.
        column: usize,
        /// What is wrong with it.
        fault: FieldFault,
    },
    /// The fields ask for a day that no month in question has.
    #[error("it never comes: there is no day {days} in month {months}")]
    NeverComes {
        /// The field day-of-month, as it was written.
        days: String,
        /// The field month, as it was written.
        months: String,
    },
    /// A name with `@` that does not exist.
    #[error("{name:?} is unknown; there are @hourly @daily @midnight @weekly @monthly @yearly @annually")]
    Nickname {
        /// The name.
        name: String,
    },
    /// `@reboot`, which says nothing about time.
    #[error("@reboot is no time; enqueue the job where your program starts, or from the machine's service manager")]
    Reboot,
    /// The zone stands in front, as some other systems have it.
    #[error("{text:?}: the zone comes last, as in 0 3 * * * in Europe/Berlin")]
    ZoneInFront {
        /// The word that was refused.
        text: String,
    },
    /// The text names a zone, and another one was given beside it.
    #[error("the zone is given twice, as {inside} in the text and as {beside} beside it")]
    ZoneTwice {
        /// The zone in the text.
        inside: String,
        /// The other one.
        beside: String,
    },
    /// No time zone has this name.
    #[error("{name:?} is no time zone{}", did_you_mean(nearest))]
    UnknownZone {
        /// The name.
        name: String,
        /// The names that look most like it, at most three.
        nearest: Vec<String>,
    },
    /// The period cannot be read.
    #[error("every: {0}")]
    Period(#[from] DurationError),
    /// The period is shorter than a beat can keep.
    #[error("every {period}: the shortest period is 1s")]
    PeriodTooShort {
        /// The period, as it was written.
        period: String,
    },
    /// Something follows a period that is no anchor.
    #[error("every: {text:?} is not understood; write every 5m, or every 5m from 2030-01-31T12:00:00Z")]
    PeriodForm {
        /// The words that were refused.
        text: String,
    },
    /// An instant cannot be read, or lies outside the years 1970 to 9999.
    #[error(
        "{text:?} is no instant from 1970 to 9999; write 2030-01-31T12:00:00Z, or 2030-01-31T12:00 for the clock of the zone"
    )]
    Instant {
        /// The text.
        text: String,
    },
    /// The expression passed every check here and was refused by the parser behind them.
    #[error("it cannot be read: {reason}")]
    Unreadable {
        /// What that parser says.
        reason: String,
    },
}

fn fields(found: usize) -> &'static str {
    if found == 1 { "field" } else { "fields" }
}

fn more_fields(found: usize) -> &'static str {
    match found {
        6 | 7 => "; leave out seconds and years, and write every 30s for less than a minute",
        _ => "",
    }
}

fn did_you_mean(nearest: &[String]) -> String {
    match nearest {
        [] => "; use a name of the IANA database, such as Europe/Berlin or America/Bogota".to_owned(),
        names => format!("; did you mean {}?", names.join(" or ")),
    }
}

/// One of the five fields of cron.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronField {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    DayOfMonth,
    /// 1 to 12, or JAN to DEC.
    Month,
    /// 0 to 7, where 0 and 7 are Sunday, or SUN to SAT.
    DayOfWeek,
}

impl CronField {
    /// What may stand in this field, for people.
    #[must_use]
    pub fn range(self) -> &'static str {
        match self {
            Self::Minute => "0 to 59",
            Self::Hour => "0 to 23",
            Self::DayOfMonth => "1 to 31",
            Self::Month => "1 to 12 and JAN to DEC",
            Self::DayOfWeek => "0 to 7 and SUN to SAT",
        }
    }
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day-of-month",
            Self::Month => "month",
            Self::DayOfWeek => "day-of-week",
        })
    }
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldFault {
    /// A number is too large.
    #[error("{text} is above {most}")]
    Above {
        /// The number, as it was written.
        text: String,
        /// The largest.
        most: u8,
    },
    /// A number is too small.
    #[error("{text} is below {least}")]
    Below {
        /// The number, as it was written.
        text: String,
        /// The smallest.
        least: u8,
    },
    /// A number or a name was expected.
    #[error("{text:?} is no number{}", or_name(names))]
    NotANumber {
        /// What stands there.
        text: String,
        /// The names of this field, if it has names.
        names: &'static [&'static str],
    },
    /// A name is written out.
    #[error("{text} is too long; write {short}")]
    LongName {
        /// The name, as it was written.
        text: String,
        /// Its three letters.
        short: &'static str,
    },
    /// A list, range or step has nothing at one of its places.
    #[error("{text:?} lacks a number")]
    Missing {
        /// The part of the list.
        text: String,
    },
    /// A range begins after its end.
    #[error("{text} begins after its end; write {instead}")]
    Backwards {
        /// The range.
        text: String,
        /// The same in two ranges.
        instead: String,
    },
    /// A step follows a single number, which systems read differently.
    #[error("{text}: a step needs a range; write {instead}")]
    StepWithoutRange {
        /// What was written.
        text: String,
        /// What it may have meant.
        instead: String,
    },
    /// A step is 0, or goes beyond the field at once.
    #[error("{text:?}: a step is 1 to {most}; for longer periods write every, as in every 90m")]
    Step {
        /// What was written.
        text: String,
        /// The largest step.
        most: u8,
    },
    /// A sign of Quartz that Unix cron does not have.
    #[error("{sign} in {text:?} is not of Unix cron; {advice}")]
    Foreign {
        /// What was written.
        text: String,
        /// The sign.
        sign: char,
        /// What to do instead.
        advice: &'static str,
    },
}

fn or_name(names: &[&str]) -> &'static str {
    if names.is_empty() { "" } else { " and no name" }
}
