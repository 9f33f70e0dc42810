//! Judges schedules: whether a beat deals with them, what was missed, what never comes or cannot be read.

use celeriac_broker::Finding;

use crate::cli::consent::counted;
use crate::cli::output::age;
use crate::cli::schedule::sight::Sight;

/// How many schedules of one kind are named; the rest is counted.
const NAMED: usize = 3;

/// All findings; one line if there is no reason to speak.
pub(super) fn findings(sights: &[Sight]) -> Vec<Finding> {
    let found: Vec<_> = [overdue(sights), missed(sights), odd(sights)].into_iter().flatten().collect();
    if found.is_empty() { vec![all_is_well(sights)] } else { found }
}

fn all_is_well(sights: &[Sight]) -> Finding {
    let next = sights.iter().filter_map(|sight| Some(sight.next_at()?.since(sight.now))).min();
    let next = next.map(|next| format!(", the next in {}", age(next))).unwrap_or_default();
    match sights.len() {
        0 => Finding::good("schedules", "none"),
        count => Finding::good("schedules", format!("{}{next}", counted(count, "schedule"))),
    }
}

/// Their jobs are not enqueued.
fn overdue(sights: &[Sight]) -> Option<Finding> {
    let late: Vec<_> = sights.iter().filter(|sight| sight.is_overdue()).collect();
    let longest = late.iter().map(|sight| sight.upcoming.overdue).max()?;
    let names = named(late.iter().map(|sight| sight.view.name.as_str()));
    let detail = format!("{} overdue, up to {}: {names}; no beat runs", counted(late.len(), "schedule"), age(longest));
    Some(Finding::bad("schedules", detail).advise("celeriac beat, or celeriac worker --beat"))
}

fn missed(sights: &[Sight]) -> Option<Finding> {
    let with_gaps: Vec<_> = sights.iter().filter(|sight| sight.view.missed > 0).collect();
    let total: u64 = with_gaps.iter().map(|sight| sight.view.missed).sum();
    let names = with_gaps.iter().map(|sight| format!("{} ({})", sight.view.name, sight.view.missed));
    let detail = format!(
        "{total} occurrences of {} came while no beat ran and were not caught up: {}",
        counted(with_gaps.len(), "schedule"),
        named(names)
    );
    let advice = "keep two beats running; catch_up says what is done about such occurrences. The count begins anew for a schedule that is \
                  removed and added";
    (total > 0).then(|| Finding::doubtful("schedules", detail).advise(advice))
}

/// What was never enqueued and never will be, and what a newer version has written.
fn odd(sights: &[Sight]) -> Option<Finding> {
    let odd: Vec<_> = sights.iter().filter(|sight| !sight.is_overdue() && sight.warning().is_some()).collect();
    let first = odd.first()?;
    let detail = format!(
        "{} without a use: {}; {}: {}",
        counted(odd.len(), "schedule"),
        named(odd.iter().map(|sight| sight.view.name.as_str())),
        first.view.name,
        first.warning().unwrap_or_default()
    );
    Some(Finding::doubtful("schedules", detail).advise("celeriac schedule show NAME"))
}

fn named(names: impl ExactSizeIterator<Item = impl AsRef<str>>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let named: Vec<_> = names.take(NAMED).map(|name| name.as_ref().to_owned()).collect();
    match more {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_broker::{Grade, Owner, ScheduleEntry, ScheduleView};
    use celeriac_core::{QueueName, Schedule, ScheduleName, TaskName, Timestamp};
    use serde_json::value::RawValue;

    const HOUR: u64 = 3_600_000;

    /// A schedule that was dealt with up to one o'clock, seen at half past one.
    fn sight(name: &str, timetable: &str, missed: u64) -> Sight {
        let args = RawValue::from_string("{}".to_owned()).unwrap();
        let schedule = Schedule::new(timetable, TaskName::new("t").unwrap(), QueueName::default(), args);
        let entry = ScheduleEntry { name: ScheduleName::new(name).unwrap(), owner: Owner::Hand, schedule };
        let mut view = ScheduleView::new(entry, Timestamp::from_millis(HOUR));
        view.missed = missed;
        Sight::new(view, Timestamp::from_millis(3 * HOUR / 2))
    }

    fn said(sights: &[Sight]) -> Vec<(Grade, String)> {
        findings(sights).into_iter().map(|finding| (finding.grade, finding.detail)).collect()
    }

    #[test]
    fn schedules_that_come_are_summed_up() {
        assert_eq!(said(&[]), [(Grade::Good, "none".to_owned())]);
        let well = [sight("a", "every 1h", 0), sight("b", "every 2h", 0)];
        assert_eq!(said(&well), [(Grade::Good, "2 schedules, the next in 30m".to_owned())]);
    }

    #[test]
    fn overdue_ones_fail_and_the_others_are_remarked() {
        let names = ["a", "b", "c", "d"];
        let late: Vec<_> = names.iter().map(|name| sight(name, "every 10m", 0)).collect();
        let expected = "4 schedules overdue, up to 20m: a, b, c and 1 more; no beat runs";
        assert_eq!(said(&late), [(Grade::Bad, expected.to_owned())]);
        let found = said(&[sight("a", "every 1h", 3), sight("b", "at 1970-01-01T00:00:00Z", 0)]);
        assert_eq!((found[0].0, found[1].0, found.len()), (Grade::Doubtful, Grade::Doubtful, 2));
        assert!(found[0].1.starts_with("3 occurrences of 1 schedule") && found[0].1.ends_with("a (3)"), "{found:?}");
        assert!(found[1].1.contains("b: it never comes again"), "{found:?}");
    }
}
