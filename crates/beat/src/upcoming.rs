//! What comes next of a schedule, and how late it is: for people who look at it.

use std::time::Duration;

use celeriac_broker::ScheduleView;
use celeriac_core::Timestamp;

use crate::calendar::Timetable;
use crate::decide::Agenda;

/// How far a schedule may be ahead of the store's clock before somebody should know.
const AHEAD: Duration = Duration::from_secs(60);

/// What is to be said of a schedule at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Upcoming {
    /// The next occurrences; those of a schedule that is paused too, because they come when it is resumed.
    pub next: Vec<Timestamp>,
    /// How long the earliest occurrence that nobody has dealt with has been due.
    pub overdue: Duration,
    /// Why it does not occur, or not as it should, in a sentence.
    pub warning: Option<String>,
}

/// Looks at a schedule at an instant of the store's clock: its next `count` occurrences after that.
#[must_use]
pub fn upcoming(view: &ScheduleView, now: Timestamp, count: usize) -> Upcoming {
    let unreadable =
        |reason: &str| Upcoming { warning: Some(format!("it cannot be read: {reason}")), ..Upcoming::default() };
    let schedule = match &view.schedule {
        Ok(schedule) => schedule,
        Err(reason) => return unreadable(reason),
    };
    let timetable = match schedule.timetable.parse::<Timetable>() {
        Ok(timetable) => timetable,
        Err(error) => return unreadable(&error.to_string()),
    };
    let agenda = Agenda { name: &view.name, schedule, timetable };
    let mut next = Vec::new();
    let mut after = now.max(view.last);
    while next.len() < count
        && let Some(occurrence) = agenda.next_after(after)
    {
        next.push(occurrence);
        after = occurrence;
    }
    let rests = view.paused || schedule.rests;
    let open = agenda.next_after(view.last).map(|occurrence| agenda.due_at(occurrence));
    let overdue = open.filter(|_| !rests).map_or(Duration::ZERO, |due| now.since(due));
    let warning = if view.last.since(now) > AHEAD && !rests {
        // A clock that was far ahead for a time; a store's clock that went back.
        Some(format!(
            "it was dealt with up to {}, and the store's clock is behind that; pause and resume it",
            view.last
        ))
    } else {
        (next.is_empty() && overdue.is_zero()).then(|| "it never comes again".to_owned())
    };
    Upcoming { next, overdue, warning }
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_broker::{Owner, ScheduleEntry};
    use celeriac_core::{QueueName, Schedule, ScheduleName, TaskName};
    use serde_json::value::RawValue;

    const HOUR: u64 = 3_600_000;

    fn view(timetable: &str) -> ScheduleView {
        let args = RawValue::from_string("{}".to_owned()).unwrap();
        let schedule = Schedule::new(timetable, TaskName::new("t").unwrap(), QueueName::default(), args);
        let entry = ScheduleEntry { name: ScheduleName::new("s").unwrap(), owner: Owner::Hand, schedule };
        ScheduleView::new(entry, Timestamp::from_millis(HOUR))
    }

    #[test]
    fn the_next_occurrences_and_the_lag_are_told() {
        let now = Timestamp::from_millis(3 * HOUR + 5);
        let hourly = upcoming(&view("every 1h"), now, 2);
        let hours = [4, 5].map(|hour| Timestamp::from_millis(hour * HOUR)).to_vec();
        assert_eq!((hourly.next, hourly.overdue, hourly.warning), (hours, Duration::from_millis(HOUR + 5), None));
        let mut paused = view("every 1h");
        paused.paused = true;
        assert_eq!(upcoming(&paused, now, 2).overdue, Duration::ZERO);
    }

    #[test]
    fn a_schedule_that_is_ahead_of_the_clock_is_told() {
        let now = Timestamp::from_millis(HOUR / 2);
        assert!(
            upcoming(&view("every 1h"), now, 2).warning.is_some_and(|warning| warning.contains("pause and resume it"))
        );
    }

    #[test]
    fn what_never_comes_or_cannot_be_read_is_said() {
        let past = upcoming(&view("at 1970-01-01T00:30:00Z"), Timestamp::from_millis(2 * HOUR), 5);
        assert_eq!((past.next.len(), past.warning.as_deref()), (0, Some("it never comes again")));
        let odd = upcoming(&view("at dawn"), Timestamp::from_millis(HOUR), 5);
        assert!(odd.warning.unwrap().contains("dawn"));
    }
}
