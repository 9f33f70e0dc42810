//! What is to be said of a schedule now: what comes next, how late it is, what became of its last job.

use std::time::Duration;

use celeriac_beat::{Timetable, Upcoming, upcoming};
use celeriac_broker::{JobView, MAX_SCHEDULES, Owner, ScheduleView};
use celeriac_core::{JobId, Timestamp};
use tokio::task::JoinSet;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::age;
use crate::cli::store::Store;

/// What has been due for longer is late because nobody deals with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How many of the next occurrences are shown.
const SHOWN: usize = 5;

/// How many last jobs are asked for at once.
const LOOKS_AT_ONCE: usize = 32;

/// A schedule at an instant of its store.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) view: ScheduleView,
    pub(crate) upcoming: Upcoming,
    pub(crate) last_job: Option<LastJob>,
    pub(crate) now: Timestamp,
    is_readable: bool,
}

/// The job of the last occurrence.
#[derive(Debug)]
pub(crate) struct LastJob {
    pub(crate) id: JobId,
    /// `None` if its end is kept no longer.
    pub(crate) view: Option<JobView>,
}

impl Sight {
    /// Without its last job.
    pub(crate) fn new(view: ScheduleView, now: Timestamp) -> Self {
        let upcoming = upcoming(&view, now, SHOWN);
        let is_readable = view.schedule.as_ref().is_ok_and(|schedule| schedule.timetable.parse::<Timetable>().is_ok());
        Self { view, upcoming, last_job: None, now, is_readable }
    }

    /// Whether it comes, in a word.
    pub(crate) fn state(&self) -> &'static str {
        match &self.view.schedule {
            _ if self.view.paused => "paused",
            Ok(schedule) if schedule.rests && self.view.owner == Owner::Hand => "paused",
            Ok(schedule) if schedule.rests => "rests",
            _ if !self.is_readable => "unreadable",
            _ if self.upcoming.next.is_empty() && self.upcoming.overdue.is_zero() => "ended",
            _ => "active",
        }
    }

    pub(crate) fn is_overdue(&self) -> bool {
        self.upcoming.overdue > PATIENCE
    }

    /// When it comes next, unless it is paused.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        let next = self.upcoming.next.first().copied();
        next.filter(|_| self.state() == "active")
    }

    /// What is wrong with it. That one which has come is over is not.
    pub(crate) fn warning(&self) -> Option<String> {
        if self.is_overdue() {
            return Some(format!("it has been due for {}: no beat runs", age(self.upcoming.overdue)));
        }
        let is_over = self.state() == "ended" && self.view.fired > 0;
        self.upcoming.warning.clone().filter(|_| !is_over && self.state() != "paused")
    }

    /// Who keeps it, if no people do.
    pub(crate) fn owner(&self) -> Option<&str> {
        match &self.view.owner {
            Owner::Hand => None,
            owner => Some(owner.as_str()),
        }
    }
}

/// All schedules of a store, by name, however many.
pub(crate) async fn all(store: &Store) -> Result<Vec<Sight>, Failure> {
    let (mut sights, mut after) = (Vec::new(), None);
    loop {
        let page = store.ask(store.broker.schedules(after.as_ref(), MAX_SCHEDULES)).await?;
        let Some(last) = page.last() else { return Ok(sights) };
        after = Some(last.name.clone());
        // Each page has a clock of its own: what lies between two pages is no delay.
        let now = store.ask(store.broker.now()).await?;
        sights.extend(page.into_iter().map(|view| Sight::new(view, now)));
    }
}

/// A schedule with its last job.
pub(crate) async fn one(store: &Store, view: ScheduleView) -> Result<Sight, Failure> {
    let now = store.ask(store.broker.now()).await?;
    let mut sights = [Sight::new(view, now)];
    with_last_jobs(store, &mut sights).await?;
    let [sight] = sights;
    Ok(sight)
}

/// Looks the last jobs of schedules up, some at once.
pub(crate) async fn with_last_jobs(store: &Store, sights: &mut [Sight]) -> Result<(), Failure> {
    let mut looks = JoinSet::new();
    let mut open: Vec<_> =
        sights.iter().enumerate().filter_map(|(place, sight)| Some((place, sight.view.job.clone()?))).rev().collect();
    loop {
        while looks.len() < LOOKS_AT_ONCE {
            let Some((place, id)) = open.pop() else { break };
            let store = store.clone();
            looks.spawn(async move {
                let view = store.ask(store.broker.job(&id)).await;
                (place, view.map(|view| LastJob { id, view }))
            });
        }
        match looks.join_next().await {
            Some(Ok((place, job))) => sights[place].last_job = Some(job?),
            Some(Err(error)) => return Err(Failure::new(Exit::Failed, format!("a look broke off: {error}"))),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_broker::ScheduleEntry;
    use celeriac_core::{QueueName, Schedule, ScheduleName, TaskName};
    use serde_json::value::RawValue;

    const HOUR: u64 = 3_600_000;

    /// A schedule that began at one o'clock, seen at three and a half.
    fn sight(timetable: &str, change: impl FnOnce(&mut ScheduleView, &mut Schedule)) -> Sight {
        let args = RawValue::from_string("{}".to_owned()).unwrap();
        let mut schedule = Schedule::new(timetable, TaskName::new("t").unwrap(), QueueName::default(), args);
        let entry =
            ScheduleEntry { name: ScheduleName::new("s").unwrap(), owner: Owner::Hand, schedule: schedule.clone() };
        let mut view = ScheduleView::new(entry, Timestamp::from_millis(HOUR));
        change(&mut view, &mut schedule);
        view.schedule = view.schedule.map(|_| schedule);
        Sight::new(view, Timestamp::from_millis(7 * HOUR / 2))
    }

    fn said(sight: &Sight) -> (&'static str, Option<String>) {
        (sight.state(), sight.warning())
    }

    #[test]
    fn one_that_nobody_deals_with_is_overdue() {
        let late = sight("every 1h", |_, _| {});
        assert_eq!(said(&late), ("active", Some("it has been due for 1h: no beat runs".to_owned())));
        assert_eq!(late.next_at(), Some(Timestamp::from_millis(4 * HOUR)));
        let just_due = sight("every 1h", |view, _| view.last = Timestamp::from_millis(7 * HOUR / 2 - 30_000));
        assert_eq!(said(&just_due), ("active", None));
    }

    #[test]
    fn one_that_rests_has_no_next_and_no_fault() {
        let paused = sight("every 1h", |view, _| view.paused = true);
        assert_eq!((said(&paused), paused.next_at(), paused.upcoming.next.len()), (("paused", None), None, 5));
        assert_eq!(said(&sight("every 1h", |_, schedule| schedule.rests = true)), ("paused", None));
        let of_an_application = sight("every 1h", |view, schedule| {
            (view.owner, schedule.rests) = (Owner::App(ScheduleName::new("shop").unwrap()), true);
        });
        assert_eq!((said(&of_an_application), of_an_application.next_at()), (("rests", None), None));
    }

    #[test]
    fn one_that_never_came_is_suspicious_and_one_that_is_over_is_not() {
        let past = |fired| sight("at 1970-01-01T00:30:00Z", move |view, _| view.fired = fired);
        assert_eq!(said(&past(0)), ("ended", Some("it never comes again".to_owned())));
        assert_eq!(said(&past(1)), ("ended", None));
    }

    #[test]
    fn one_that_cannot_be_read_says_why() {
        let odd = sight("when the moon is full", |_, _| {});
        assert!(odd.warning().is_some_and(|warning| warning.contains("minute: \"when\"")), "{:?}", odd.warning());
        assert_eq!((odd.state(), odd.next_at()), ("unreadable", None));
        let newer = sight("every 1h", |view, _| view.schedule = Err("unknown variant".to_owned()));
        assert_eq!(said(&newer), ("unreadable", Some("it cannot be read: unknown variant".to_owned())));
    }
}
