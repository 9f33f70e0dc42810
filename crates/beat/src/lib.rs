//! Periodic work: what is enqueued again and again, and when.
//!
//! [`Periodic`] is what an application writes down; [`Beat`] enqueues each occurrence once, however many beats there are. There is
//! no leader among them and no lock: each computes the same occurrences from the [`Timetable`], and the store moves a schedule on in the commit
//! that enqueues the job, so whoever comes second finds it moved.
//!
//! [`calendar`] is when something is due, `decide` what becomes of a schedule that is, `register` how an application's schedules come into a store.
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

mod beat;
pub mod calendar;
mod decide;
mod health;
mod periodic;
mod register;
mod stats;
mod upcoming;

pub use beat::{Beat, BeatBuilder, BeatError, BeatHandle};
pub use calendar::{CronField, FieldFault, Occurrences, Timetable, TimetableError, Zone};
pub use celeriac_core::{CatchUp, Overlap, Schedule, ScheduleName};
pub use health::BeatHealth;
pub use periodic::{MAX_CATCH_UP, MAX_JITTER, Periodic, PeriodicError, PeriodicProblem};
pub use register::{Registered, register};
pub use stats::BeatStats;
pub use upcoming::{Upcoming, upcoming};
