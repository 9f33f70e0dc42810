//! Periodic work as an application writes it down: a name, when, and the job.

use std::time::{Duration, SystemTime};

use celeriac_broker::{IdOrigin, Owner, ScheduleEntry, Start};
use celeriac_client::{EnqueueError, Invalid, Signature};
use celeriac_core::{CatchUp, NameError, Overlap, Schedule, ScheduleName, Task, Timestamp};

use crate::calendar::{Timetable, TimetableError, Zone};

/// The most occurrences that a schedule may catch up.
pub const MAX_CATCH_UP: u32 = 10_000;

/// The longest jitter: a week.
pub const MAX_JITTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// From where, and at how many occurrences, it is looked how close they come: the first day of 2026, and more than a week of an hourly one.
const GAPS_FROM: Timestamp = Timestamp::from_fixed_millis(1_767_225_600_000);
const GAPS_LOOKED_AT: usize = 200;

/// Periodic work that was described wrongly.
#[derive(Debug, thiserror::Error)]
#[error("schedule {name:?}: {problem}")]
pub struct PeriodicError {
    /// The name of the schedule, as it was given.
    pub name: String,
    /// What is wrong.
    #[source]
    pub problem: PeriodicProblem,
}

/// What is wrong with periodic work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeriodicProblem {
    /// The name breaks the rule of names.
    #[error(transparent)]
    Name(#[from] NameError),
    /// When it is due cannot be read.
    #[error(transparent)]
    Timetable(#[from] TimetableError),
    /// Its job cannot be made.
    #[error(transparent)]
    Job(#[from] EnqueueError),
    /// An option has a value that cannot work.
    #[error("{option} must be {rule}")]
    Option {
        /// The option.
        option: &'static str,
        /// What its value must be.
        rule: &'static str,
    },
}

/// When it is due, as it was given.
#[derive(Debug, Clone)]
enum When {
    Text(String),
    Every(Duration),
    At(SystemTime),
}

/// Periodic work: when it is due, and which job is enqueued then.
///
/// ```
/// # use celeriac_beat::Periodic;
/// # use celeriac_client::Signature;
/// # use serde_json::value::RawValue;
/// # let args = RawValue::from_string("{}".to_owned())?;
/// // What one writes with a typed task: Periodic::cron("nightly", "0 3 * * MON-FRI", Summarise { … })
/// let nightly = Periodic::new("nightly", "0 3 * * MON-FRI", Signature::new("summarise", args)).zone("Europe/Berlin");
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// Its name is what a store knows it by: change it, and it is another schedule.
#[derive(Debug)]
#[must_use = "periodic work does nothing until a beat has it"]
pub struct Periodic {
    name: String,
    when: When,
    zone: Option<String>,
    anchor: Option<SystemTime>,
    signature: Result<Signature, Invalid>,
    catch_up: CatchUp,
    overlap: Overlap,
    jitter: Duration,
    starts_at: Option<SystemTime>,
    ends_at: Option<SystemTime>,
    keeps_late: bool,
    rests: bool,
}

impl Periodic {
    /// A job whenever a cron expression of five fields says so: `0 3 * * MON-FRI`, `@hourly`. In UTC, unless a zone is named.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a task is made where the schedule is written down, as for an enqueue"
    )]
    pub fn cron<T: Task>(name: impl Into<String>, expression: impl Into<String>, task: T) -> Self {
        Self::make(name, When::Text(expression.into()), Signature::of_task(&task))
    }

    /// A job whenever so much time has passed, a second at least. All beats agree on the instants: they count from 1970, or from
    /// [`Periodic::anchor`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a task is made where the schedule is written down, as for an enqueue"
    )]
    pub fn every<T: Task>(name: impl Into<String>, period: Duration, task: T) -> Self {
        Self::make(name, When::Every(period), Signature::of_task(&task))
    }

    /// A job once, at an instant.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a task is made where the schedule is written down, as for an enqueue"
    )]
    pub fn at<T: Task>(name: impl Into<String>, instant: SystemTime, task: T) -> Self {
        Self::make(name, When::At(instant), Signature::of_task(&task))
    }

    /// A job without types, by a timetable as text: `0 3 * * MON-FRI in Europe/Berlin`, `every 5m`, `at 2030-01-31T12:00:00Z`.
    pub fn new(name: impl Into<String>, timetable: impl Into<String>, job: Signature) -> Self {
        Self::make(name, When::Text(timetable.into()), Ok(job))
    }

    fn make(name: impl Into<String>, when: When, signature: Result<Signature, Invalid>) -> Self {
        Self {
            name: name.into(),
            when,
            zone: None,
            anchor: None,
            signature,
            catch_up: CatchUp::default(),
            overlap: Overlap::default(),
            jitter: Duration::ZERO,
            starts_at: None,
            ends_at: None,
            keeps_late: false,
            rests: false,
        }
    }

    /// Names the time zone on whose clock it is due, as in `Europe/Berlin`.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Sets an instant at which [`Periodic::every`] is due, and so all others.
    pub fn anchor(mut self, instant: SystemTime) -> Self {
        self.anchor = Some(instant);
        self
    }

    /// Says what is done about occurrences that nobody enqueued in time: the latest of them is enqueued, unless something else is said.
    pub fn catch_up(mut self, catch_up: CatchUp) -> Self {
        self.catch_up = catch_up;
        self
    }

    /// Says what is done while the job before has not ended: another one is enqueued, unless something else is said.
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// Spreads the occurrences: each is enqueued up to so much later, by a part that is fixed for it. At most a week.
    pub fn jitter(mut self, most: Duration) -> Self {
        self.jitter = most;
        self
    }

    /// Lets it not occur before this instant.
    pub fn starts_at(mut self, instant: SystemTime) -> Self {
        self.starts_at = Some(instant);
        self
    }

    /// Lets it not occur at this instant or after.
    pub fn ends_at(mut self, instant: SystemTime) -> Self {
        self.ends_at = Some(instant);
        self
    }

    /// Lets its jobs run however late. Otherwise a job that nobody has begun when the next one is due expires.
    pub fn keep_late(mut self) -> Self {
        self.keeps_late = true;
        self
    }

    /// Keeps the schedule without letting it occur.
    pub fn paused(mut self, paused: bool) -> Self {
        self.rests = paused;
        self
    }

    /// Sends its jobs to this queue instead of the task's own.
    pub fn queue(self, queue: impl Into<String>) -> Self {
        self.with(|job| job.queue(queue))
    }

    /// Sets how many failures of a job lead to another attempt.
    pub fn retries(self, retries: u32) -> Self {
        self.with(|job| job.retries(retries))
    }

    /// Limits how long one attempt may run.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|job| job.timeout(timeout))
    }

    /// Sets how urgent its jobs are: 0 to 9, 9 first.
    pub fn priority(self, priority: u8) -> Self {
        self.with(|job| job.priority(priority))
    }

    /// Lets no attempt of a job begin later than this after it was enqueued.
    pub fn expires(self, expires: Duration) -> Self {
        self.with(|job| job.expires(expires))
    }

    /// Gives its jobs a unique key: while an unfinished job has it, an occurrence is skipped.
    pub fn unique(self, key: impl Into<String>) -> Self {
        self.with(|job| job.unique(key))
    }

    /// Adds a header to its jobs.
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|job| job.header(name, value))
    }

    /// Sets how long the end of a job can be read.
    pub fn result_ttl(self, ttl: Duration) -> Self {
        self.with(|job| job.result_ttl(ttl))
    }

    fn with(self, change: impl FnOnce(Signature) -> Signature) -> Self {
        Self { signature: self.signature.map(change), ..self }
    }

    /// The name, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks everything, for a store to keep.
    ///
    /// # Errors
    /// [`PeriodicError`] names the schedule and what is wrong with it.
    pub fn into_entry(self, owner: Owner) -> Result<ScheduleEntry, PeriodicError> {
        let name = self.name.clone();
        self.check(owner).map_err(|problem| PeriodicError { name, problem })
    }

    fn check(self, owner: Owner) -> Result<ScheduleEntry, PeriodicProblem> {
        let name = ScheduleName::new(&self.name)?;
        let timetable = self.timetable()?;
        let rule = |option, rule| PeriodicProblem::Option { option, rule };
        if let CatchUp::All(most) = self.catch_up
            && !(1..=MAX_CATCH_UP).contains(&most)
        {
            return Err(rule("catch_up", "1 to 10000 occurrences"));
        }
        if self.jitter > MAX_JITTER {
            return Err(rule("jitter", "a week at most"));
        }
        if shortest_gap(&timetable).is_some_and(|gap| self.jitter > gap) {
            return Err(rule("jitter", "no longer than the shortest time between two occurrences"));
        }
        let (starts_at, ends_at) = (self.starts_at.map(instant), self.ends_at.map(instant));
        if let (Some(start), Some(end)) = (starts_at, ends_at)
            && start >= end
        {
            return Err(rule("ends_at", "later than starts_at"));
        }
        let job = self.signature.map_err(EnqueueError::from)?.into_new_job()?;
        if job.id_origin == IdOrigin::Given {
            return Err(rule("id", "left out: the id of a job is made of the schedule's name and the instant"));
        }
        if job.start != Start::Now {
            return Err(rule("delay", "left out: the timetable says when"));
        }
        let args = String::from_utf8(job.record.payload)
            .ok()
            .and_then(|text| serde_json::value::RawValue::from_string(text).ok());
        let args = args.ok_or_else(|| rule("args", "JSON"))?;
        let mut schedule = Schedule::new(timetable.to_string(), job.record.task, job.record.queue, args);
        (schedule.priority, schedule.options) = (job.record.priority, job.record.options);
        (schedule.catch_up, schedule.overlap) = (self.catch_up, self.overlap);
        schedule.jitter_ms = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        (schedule.starts_at, schedule.ends_at) = (starts_at, ends_at);
        (schedule.keeps_late, schedule.rests) = (self.keeps_late, self.rests);
        Ok(ScheduleEntry { name, owner, schedule })
    }

    fn timetable(&self) -> Result<Timetable, PeriodicProblem> {
        let zone = self.zone.as_deref().map(Zone::named).transpose()?;
        let anchor = self.anchor.map(instant);
        match &self.when {
            When::Every(_) | When::At(_) if zone.is_some() => Err(PeriodicProblem::Option {
                option: "zone",
                rule: "left out: a period or an instant is the same everywhere",
            }),
            When::Every(period) => Ok(Timetable::every(*period, anchor.unwrap_or_default())?),
            _ if anchor.is_some() => {
                Err(PeriodicProblem::Option { option: "anchor", rule: "left out but for a period" })
            }
            When::At(instant_) => Ok(Timetable::at(instant(*instant_))?),
            When::Text(text) => match zone {
                Some(zone) => Ok(Timetable::new(text, zone)?),
                None => Ok(text.parse::<Timetable>()?),
            },
        }
    }
}

/// How close its occurrences come to each other, as far as some hundred of them tell; none for what comes once.
fn shortest_gap(timetable: &Timetable) -> Option<Duration> {
    let some: Vec<_> = timetable.occurrences_between(GAPS_FROM, Timestamp::MAX).take(GAPS_LOOKED_AT).collect();
    some.windows(2).map(|pair| pair[1].since(pair[0])).min()
}

/// An instant by the wall clock; one before 1970 is 1970.
fn instant(instant: SystemTime) -> Timestamp {
    let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    fn job() -> Signature {
        Signature::new("report", RawValue::from_string("[1]".to_owned()).unwrap())
    }

    fn entry(periodic: Periodic) -> ScheduleEntry {
        periodic.into_entry(Owner::Hand).unwrap()
    }

    fn complaint(periodic: Periodic) -> String {
        periodic.into_entry(Owner::Hand).unwrap_err().to_string()
    }

    #[test]
    fn everything_that_was_said_is_in_the_entry() {
        let second = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let periodic = Periodic::new("nightly", "0 3 * * *", job()).zone("Europe/Berlin").queue("q").priority(9);
        let periodic =
            periodic.retries(2).catch_up(CatchUp::All(3)).overlap(Overlap::Skip).jitter(Duration::from_secs(1));
        let schedule = entry(periodic.starts_at(second(5)).ends_at(second(9)).keep_late().paused(true)).schedule;
        assert_eq!(schedule.timetable, "0 3 * * * in Europe/Berlin");
        assert_eq!((schedule.queue.as_str(), schedule.priority.get(), schedule.options.retries), ("q", 9, Some(2)));
        assert_eq!((schedule.catch_up, schedule.overlap, schedule.jitter_ms), (CatchUp::All(3), Overlap::Skip, 1000));
        assert_eq!(
            schedule.starts_at.zip(schedule.ends_at),
            Some((Timestamp::from_millis(5000), Timestamp::from_millis(9000)))
        );
        assert!(schedule.keeps_late && schedule.rests);
        assert_eq!(schedule.args.get(), "[1]");
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let new = |timetable: &str| Periodic::new("s", timetable, job());
        assert_eq!(
            complaint(new("61 * * * *")),
            "schedule \"s\": minute: 61 is above 59 (0 to 59 are allowed; column 1)"
        );
        assert!(complaint(new("* * *")).contains("3 fields, cron has five"));
        assert!(complaint(new("@daily").zone("Europe/Berln")).contains("did you mean Europe/Berlin"));
        assert!(complaint(Periodic::new("two words", "@daily", job())).contains("schedule name"));
        assert!(complaint(new("@daily").catch_up(CatchUp::All(0))).contains("catch_up must be 1 to 10000"));
        assert!(
            complaint(new("@daily").jitter(Duration::from_secs(8 * 86_400))).contains("jitter must be a week at most")
        );
        assert!(complaint(new("@daily").priority(10)).contains("priority 10"));
        let often = new("*/10 * * * *");
        assert!(complaint(often.jitter(Duration::from_secs(601))).contains("no longer than the shortest time between"));
        entry(new("*/10 * * * *").jitter(Duration::from_secs(600)));
        let every = |name| Periodic::make(name, When::Every(Duration::from_secs(60)), Ok(job()));
        assert!(complaint(every("s").zone("Europe/Berlin")).contains("zone must be left out"));
        let start = SystemTime::now();
        assert!(complaint(new("@daily").starts_at(start).ends_at(start)).contains("later than starts_at"));
        assert!(complaint(new("@daily").anchor(start)).contains("anchor"));
        assert!(complaint(Periodic::new("s", "@daily", job().id("mine"))).contains("id must be left out"));
        assert!(
            complaint(Periodic::new("s", "@daily", job().delay(Duration::from_secs(1))))
                .contains("delay must be left out")
        );
    }
}
