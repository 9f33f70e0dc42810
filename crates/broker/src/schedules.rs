//! Schedules, as the seam speaks of them: what is stored, what is due, and how an occurrence becomes a job exactly once.

use std::time::Duration;

use async_trait::async_trait;
use celeriac_core::{JobId, Record, Schedule, ScheduleName, Timestamp};

use crate::error::BrokerError;

/// The most schedules in one call, and the most jobs of one call of [`Schedules::fire`].
pub const MAX_SCHEDULES: usize = 500;

/// The side of a store that beats use, and people who look after schedules.
///
/// There is no leader among beats and no lock: each computes the same occurrences, and the first whose [`Schedules::fire`] arrives
/// moves the schedule on, in the commit that enqueues the jobs. The store's clock says what is due.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// Adds schedules or changes them, at most [`MAX_SCHEDULES`]: one answer for each.
    ///
    /// One that belongs to another owner is left as it is. A new one, and one whose [`Schedule::pace`] has changed, has no past: it
    /// begins now. A crash after it leaves them stored.
    async fn put_schedules(&self, entries: &[ScheduleEntry]) -> Result<Vec<Put>, BrokerError>;

    /// Removes schedules of this owner, at most [`MAX_SCHEDULES`]; of any if there is none. Answers for each whether it was there and removed.
    /// Jobs that were enqueued stay.
    async fn remove_schedules(&self, names: &[ScheduleName], owner: Option<&Owner>) -> Result<Vec<bool>, BrokerError>;

    /// Pauses a schedule or resumes it; answers whether there is one. What would have occurred meanwhile is not caught up.
    async fn pause_schedule(&self, name: &ScheduleName, paused: bool) -> Result<bool, BrokerError>;

    /// Schedules by name, at most `max` of those behind `after`, and [`MAX_SCHEDULES`]. A name that no [`ScheduleName`] can be, which
    /// somebody wrote into the store by hand, is left out with a warning in the log, and is never due.
    async fn schedules(&self, after: Option<&ScheduleName>, max: usize) -> Result<Vec<ScheduleView>, BrokerError>;

    /// One schedule.
    async fn schedule(&self, name: &ScheduleName) -> Result<Option<ScheduleView>, BrokerError>;

    /// At most `max` of the schedules that are due, the earliest first, and when the next one is. What cannot be read counts too, and stays
    /// due, because nobody but a newer version can move it on.
    async fn due_schedules(&self, max: usize) -> Result<DueSchedules, BrokerError>;

    /// Enqueues occurrences and moves their schedules on, each if it has not moved since it was read; at most [`MAX_SCHEDULES`] jobs.
    ///
    /// A job whose id is in use is not enqueued again. A crash after it leaves them enqueued; a repeat answers [`Fired::Moved`], because
    /// occurrences lie behind the last one: a firing with some that does not move its schedule on is [`BrokerError::Invalid`].
    async fn fire(&self, firings: &[Firing]) -> Result<Vec<Fired>, BrokerError>;

    /// Waits until a schedule has been put, removed, paused or resumed since `mark`, at most `timeout`. Dropping it is safe.
    async fn wait_for_schedules(&self, mark: &ScheduleMark, timeout: Duration) -> Result<(), BrokerError>;
}

/// Who keeps a schedule up to date: the application in whose code or file it stands, or people by hand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Owner {
    /// It was added at run time.
    #[default]
    Hand,
    /// It stands in the code or the file of the application of this name.
    App(ScheduleName),
}

impl Owner {
    /// The text that is stored: nothing for [`Owner::Hand`].
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Hand => "",
            Self::App(name) => name.as_str(),
        }
    }

    /// Reads the stored text.
    pub(crate) fn from_stored(text: &str) -> Self {
        ScheduleName::new(text).map_or(Self::Hand, Self::App)
    }
}

/// A schedule to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleEntry {
    /// Its name.
    pub name: ScheduleName,
    /// Who keeps it.
    pub owner: Owner,
    /// What it says.
    pub schedule: Schedule,
}

/// What became of a schedule that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Put {
    /// It is new.
    Added,
    /// It was there and says something else now.
    Changed,
    /// It was there, and is as it was.
    Unchanged,
    /// Somebody else keeps it; nothing was changed.
    Owned {
        /// Who.
        by: Owner,
    },
}

/// A schedule and what became of it so far.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ScheduleView {
    /// Its name.
    pub name: ScheduleName,
    /// Who keeps it.
    pub owner: Owner,
    /// What it says, or why that cannot be read: a newer version wrote it, or somebody by hand. It stays as it is, and due.
    pub schedule: Result<Schedule, String>,
    /// Grows with each change.
    pub revision: u64,
    /// Whether it is paused.
    pub paused: bool,
    /// Up to when its occurrences were dealt with.
    pub last: Timestamp,
    /// When it is due next, as the beat knows that dealt with it last; `None` if it is paused or never comes again.
    pub next: Option<Timestamp>,
    /// Occurrences that were enqueued.
    pub fired: u64,
    /// Occurrences that nobody enqueued in time and that were not caught up.
    pub missed: u64,
    /// Occurrences that were skipped because the job before had not ended.
    pub skipped: u64,
    /// When the last one was enqueued.
    pub fired_at: Option<Timestamp>,
    /// How much later than due that was.
    pub lag: Duration,
    /// Its job.
    pub job: Option<JobId>,
}

impl ScheduleView {
    /// A schedule that begins now.
    #[must_use]
    pub fn new(entry: ScheduleEntry, now: Timestamp) -> Self {
        Self {
            name: entry.name,
            owner: entry.owner,
            schedule: Ok(entry.schedule),
            revision: 1,
            paused: false,
            last: now,
            next: Some(now),
            fired: 0,
            missed: 0,
            skipped: 0,
            fired_at: None,
            lag: Duration::ZERO,
            job: None,
        }
    }
}

/// What is due.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DueSchedules {
    /// The schedules.
    pub due: Vec<ScheduleView>,
    /// When the next one is due, those among `due` left out.
    pub next: Option<Timestamp>,
    /// Now, by the store's clock.
    pub now: Timestamp,
    /// For [`Schedules::wait_for_schedules`].
    pub mark: ScheduleMark,
}

impl DueSchedules {
    /// An answer of a store.
    #[must_use]
    pub fn new(due: Vec<ScheduleView>, next: Option<Timestamp>, now: Timestamp, mark: ScheduleMark) -> Self {
        Self { due, next, now, mark }
    }
}

/// Which changes somebody has seen. Each store has marks of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScheduleMark(pub(crate) String);

impl ScheduleMark {
    /// A mark of a store of its own.
    #[must_use]
    pub fn new(mark: impl Into<String>) -> Self {
        Self(mark.into())
    }

    /// The mark as its store wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Occurrences of one schedule to be enqueued.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// The schedule.
    pub name: ScheduleName,
    /// Its revision, as it was read.
    pub revision: u64,
    /// Its last occurrence, as it was read.
    pub last: Timestamp,
    /// Up to when its occurrences are dealt with hereby; later than `last` if there are any.
    pub until: Timestamp,
    /// When it is due next; `None` if it never is again.
    pub next: Option<Timestamp>,
    /// The jobs, oldest first; none if nothing is to be done but to move on.
    pub jobs: Vec<Record>,
    /// When the newest of them was due.
    pub due: Timestamp,
    /// Occurrences that are dropped hereby.
    pub missed: u64,
    /// Whether to enqueue nothing while the job of the last occurrence has not ended.
    pub unless_unfinished: bool,
}

impl Firing {
    /// What every store checks before it fires.
    ///
    /// # Errors
    /// [`BrokerError::Invalid`] for more than [`MAX_SCHEDULES`] jobs, and for occurrences that would not move their schedule on.
    pub fn check(firings: &[Self]) -> Result<(), BrokerError> {
        check_count(firings.len().max(firings.iter().map(|firing| firing.jobs.len()).sum()))?;
        let stays = |firing: &&Self| firing.until <= firing.last && (firing.missed > 0 || !firing.jobs.is_empty());
        match firings.iter().find(stays) {
            Some(Self { name, .. }) => {
                Err(BrokerError::Invalid(format!("occurrences of {name} that are not behind its last one")))
            }
            None => Ok(()),
        }
    }
}

/// Refuses more schedules or jobs than one call may touch.
pub(crate) fn check_count(count: usize) -> Result<(), BrokerError> {
    if count > MAX_SCHEDULES {
        return Err(BrokerError::Invalid(format!(
            "{count} schedules or jobs in one call; at most {MAX_SCHEDULES} are allowed"
        )));
    }
    Ok(())
}

/// What a stored schedule says, or why that cannot be read.
pub(crate) fn read_definition(definition: &[u8]) -> Result<Schedule, String> {
    let json = std::str::from_utf8(definition).map_err(|error| error.to_string())?;
    Schedule::decode(json).map_err(|error| error.to_string())
}

/// What became of a firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fired {
    /// Its jobs are enqueued, and the schedule has moved on.
    Done,
    /// The job before had not ended: nothing was enqueued, and the schedule has moved on.
    Skipped,
    /// The schedule has changed since it was read: another beat was first, or somebody changed it. Nothing was done.
    Moved,
}
