//! The calendar: what was written, on which clock, and the instants that follow.
//!
//! A text becomes a rule in `text` (with `fields` for the five fields of cron). A cron rule is a `pattern` of what the clock on the wall shows,
//! without a zone; `wall` knows which instants belong to that, and `rule` asks both. Only `pattern` and `wall` know the Gregorian calendar and
//! the shifts of clocks, and neither knows the other.
//!
//! The rules in words, with examples, are in docs/guides/schedules-calendar.md.

mod error;
mod fields;
mod occurrences;
mod pattern;
mod rule;
mod text;
mod timetable;
mod wall;
mod zone;

pub use error::{CronField, FieldFault, TimetableError};
pub use occurrences::Occurrences;
pub use timetable::Timetable;
pub use zone::Zone;
