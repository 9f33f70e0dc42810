//! Periodic work: when it is due.
//!
//! So far this is the calendar alone: a [`Timetable`] says at which instants something happens, in which time zone, and answers which of them
//! comes next, which was the latest, and which lie between two others. It reads no clock and no store.
//!
//! ```
//! use celeriac_beat::Timetable;
//! use celeriac_core::Timestamp;
//!
//! let nightly: Timetable = "30 2 * * MON-FRI in Europe/Berlin".parse()?;
//! let friday_noon = Timestamp::from_millis(1_774_612_800_000);
//! let next = nightly.next_after(friday_noon).map(|due| due.to_string());
//! assert_eq!(next.as_deref(), Some("2026-03-30T00:30:00.000Z"));
//! # Ok::<(), celeriac_beat::TimetableError>(())
//! ```

pub mod calendar;

pub use calendar::{CronField, FieldFault, Occurrences, Timetable, TimetableError, Zone};
