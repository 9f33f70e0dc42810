//! `schedule next`: when a timetable comes. It needs no store, and this machine's clock says what now is.

use std::time::SystemTime;

use celeriac_beat::{Timetable, TimetableError, Zone};
use celeriac_core::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::args::NextArgs;
use crate::cli::exit::Failure;
use crate::cli::output::{note, print, print_json, when_in};

pub(super) fn run(args: &NextArgs, json: bool) -> Result<(), Failure> {
    let timetable = read(args).map_err(|error| Failure::usage(error.to_string()))?;
    let now = timestamp(SystemTime::now());
    let mut after = args.after.map_or(now, timestamp);
    let mut next = Vec::new();
    while next.len() < args.count.get()
        && let Some(occurrence) = timetable.next_after(after)
    {
        next.push(occurrence);
        after = occurrence;
    }
    if json {
        return print_json(&next.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    if next.len() < args.count.get() {
        note(&format!("it comes {} times after that and never again", next.len()));
    }
    let zone = TimeZone::get(timetable.zone().name()).unwrap_or(TimeZone::UTC);
    print(&next.iter().map(|at| format!("{}\n", when_in(*at, now, zone.clone()))).collect::<String>())
}

fn read(args: &NextArgs) -> Result<Timetable, TimetableError> {
    match &args.tz {
        Some(name) => Timetable::new(&args.expression, Zone::named(name)?),
        None => args.expression.parse(),
    }
}

/// An instant before 1970 is 1970: nothing is due before.
fn timestamp(instant: SystemTime) -> Timestamp {
    let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
