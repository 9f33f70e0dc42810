//! Schedules under torture: some beats, whose every occurrence must become a job once, whatever happens to them.

use std::time::{Duration, Instant};

use celeriac_beat::{CatchUp, Periodic, ScheduleName, Timetable, register};
use celeriac_broker::{Owner, ScheduleView};
use celeriac_client::Signature;
use celeriac_core::Timestamp;

use super::events::{Event, Pen};
use super::jobs::{Act, QUEUES, Torture};
use crate::cli::exit::{Exit, Failure};
use crate::cli::process::monotonic_ns;
use crate::cli::store::Store;

/// When: a lot, a little, and as cron says.
const TIMETABLES: [(&str, &str); 3] = [("tick", "every 1s"), ("tock", "every 7s"), ("minute", "* * * * *")];

/// How late an occurrence may be when beats are at rest, in milliseconds.
const SLACK: u64 = 10_000;

/// How long all beats together may take for one occurrence of a schedule that comes every second, on a machine at rest.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// The schedules, and when they began.
pub(super) struct Beats {
    began: Vec<(ScheduleName, Timestamp)>,
}

impl Beats {
    /// Stores the schedules.
    pub(super) async fn begin(store: &Store) -> Result<Self, Failure> {
        let owner = Owner::App(name("torture")?);
        let mut entries = Vec::new();
        for (place, (schedule, timetable)) in TIMETABLES.iter().enumerate() {
            let job = Signature::of_task(&Torture { act: Act::Succeed, takes: 5 }).map_err(|error| broken(&error))?;
            let job = job.queue(QUEUES[place % QUEUES.len()]);
            let periodic = Periodic::new(*schedule, *timetable, job).catch_up(CatchUp::All(10_000)).keep_late();
            entries.push(periodic.into_entry(owner.clone()).map_err(|error| broken(&error))?);
        }
        store.ask(register(store.broker.as_ref(), &owner, &entries)).await?;
        let mut began = Vec::new();
        for entry in entries {
            let view = view(store, &entry.name).await?;
            began.push((entry.name, view.last));
        }
        Ok(Self { began })
    }

    /// Waits until a beat enqueues something; says what is wrong if none does.
    pub(super) async fn sign_of_life(&self, store: &Store) -> Result<Option<String>, Failure> {
        let Some((tick, _)) = self.began.first() else { return Ok(None) };
        let (before, asked) = (view(store, tick).await?.last, Instant::now());
        while asked.elapsed() < SIGN_OF_LIFE {
            if view(store, tick).await?.last > before {
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let seconds = SIGN_OF_LIFE.as_secs();
        Ok(Some(format!("no beat enqueued anything within {seconds} s after everything was healed")))
    }

    /// Schedules that stand behind what was due `SLACK` before an instant.
    pub(super) async fn behind(&self, store: &Store, now: Timestamp) -> Result<Vec<String>, Failure> {
        let mut behind = Vec::new();
        let due = Timestamp::from_millis(now.as_millis().saturating_sub(SLACK));
        for (name, began) in &self.began {
            let view = view(store, name).await?;
            let schedule = view.schedule.map_err(|error| broken(&error))?;
            let timetable: Timetable = schedule.timetable.parse().map_err(|error| broken(&error))?;
            let latest = timetable.latest_at_or_before(due).filter(|latest| latest > began);
            if let Some(latest) = latest.filter(|latest| *latest > view.last) {
                behind.push(format!("the schedule {name} was due at {latest} and stands at {}", view.last));
            }
        }
        Ok(behind)
    }

    /// Writes down every job that there must be by now: the occurrences from the beginning up to where each schedule stands.
    pub(super) async fn write_expected(&self, store: &Store, pen: &Pen) -> Result<(), Failure> {
        // The clock first: the answer comes later, and what is due must not seem later than it is.
        let (at, now) = (monotonic_ns(), store.ask(store.broker.now()).await?);
        for (name, began) in &self.began {
            let view = view(store, name).await?;
            let schedule = view.schedule.map_err(|error| broken(&error))?;
            let timetable: Timetable = schedule.timetable.parse().map_err(|error| broken(&error))?;
            for occurrence in timetable.occurrences_between(*began, view.last) {
                let (job, queue) = (schedule.job(name, occurrence).id, schedule.queue.to_string());
                let asked = Event::Asked { queue, delay: 0, expires: false, unique: None, act: Act::Succeed };
                // As if somebody had asked for it at that instant, so that it counts if it began earlier.
                let due = at.saturating_sub(u64::try_from(now.since(occurrence).as_nanos()).unwrap_or(u64::MAX));
                let written = pen.write_at(due, job.as_str(), asked);
                let written = written.and_then(|()| pen.write_at(due, job.as_str(), Event::Accepted));
                written.map_err(|error| broken(&error))?;
            }
        }
        Ok(())
    }

    /// Takes the schedules out, so that nothing of them is left.
    pub(super) async fn end(&self, store: &Store) -> Result<(), Failure> {
        let names: Vec<_> = self.began.iter().map(|(name, _)| name.clone()).collect();
        store.ask(store.broker.remove_schedules(&names, None)).await.map(|_| ())
    }
}

async fn view(store: &Store, name: &ScheduleName) -> Result<ScheduleView, Failure> {
    let view = store.ask(store.broker.schedule(name)).await?;
    view.ok_or_else(|| Failure::new(Exit::Failed, format!("the schedule {name} is gone")))
}

fn name(text: &str) -> Result<ScheduleName, Failure> {
    ScheduleName::new(text).map_err(|error| broken(&error))
}

fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("the schedules of the torture: {error}"))
}
