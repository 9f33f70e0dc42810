//! The beat: waits until a schedule is due, decides what becomes of it, and has the store enqueue it, if no other beat was first.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use celeriac_broker::{
    Broker, BrokerError, Fired, Firing, MAX_BATCH_BYTES, MAX_SCHEDULES, Owner, ScheduleEntry, ScheduleMark,
};
use celeriac_core::{ScheduleName, Timestamp};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::decide::{decide, postponed};
use crate::health::{BeatHealth, Pulse};
use crate::periodic::{Periodic, PeriodicError};
use crate::register::register;
use crate::stats::{BeatStats, Counters};

/// How many schedules are looked at in one call.
const PORTION: usize = 100;

/// How long a beat waits for a change before it looks for itself: one wait and one look, two commands a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How much later than that it looks if nothing is due.
const MARGIN: Duration = Duration::from_secs(2);

/// The pauses after a failed call.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The pauses when every schedule was moved by others meanwhile: they are at it, or the store keeps something that nobody can move.
const COURTESY: Duration = Duration::from_millis(20);
const LONGEST_COURTESY: Duration = Duration::from_secs(5);

/// What keeps a beat from running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeatError {
    /// A schedule was described wrongly.
    #[error(transparent)]
    Periodic(#[from] PeriodicError),
    /// Two schedules have one name.
    #[error("two schedules are named {0:?}")]
    Twice(String),
    /// There are schedules and nobody to whom they belong.
    #[error("schedules need an owner: a name that tells them from those of other applications in the same store")]
    NoOwner,
    /// The owner's name breaks the rule of names.
    #[error("owner: {0}")]
    Owner(#[source] celeriac_core::NameError),
    /// The store refused in a way that waiting does not mend.
    #[error(transparent)]
    Store(#[from] BrokerError),
}

/// Options of a beat; [`BeatBuilder::build`] checks them.
#[derive(Debug)]
pub struct BeatBuilder {
    broker: Arc<dyn Broker>,
    owner: Option<String>,
    periodic: Vec<Periodic>,
    entries: Vec<ScheduleEntry>,
}

impl BeatBuilder {
    /// Says to whom the schedules given here belong. At its start the beat makes the store's schedules of this owner those given here.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Adds a schedule.
    #[must_use]
    pub fn schedule(mut self, periodic: Periodic) -> Self {
        self.periodic.push(periodic);
        self
    }

    /// Adds schedules.
    #[must_use]
    pub fn schedules(mut self, periodic: impl IntoIterator<Item = Periodic>) -> Self {
        self.periodic.extend(periodic);
        self
    }

    /// Adds schedules that were checked before, by [`Periodic::into_entry`]. Like the others they become the owner's.
    #[must_use]
    pub fn entries(mut self, entries: impl IntoIterator<Item = ScheduleEntry>) -> Self {
        self.entries.extend(entries);
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// [`BeatError`] names what is wrong. The store is not asked.
    pub fn build(self) -> Result<Beat, BeatError> {
        let owner = match self.owner {
            Some(name) => Some(Owner::App(ScheduleName::new(name).map_err(BeatError::Owner)?)),
            None if self.periodic.is_empty() && self.entries.is_empty() => None,
            None => return Err(BeatError::NoOwner),
        };
        let belongs_to = owner.clone().unwrap_or_default();
        let mut entries = self.entries;
        entries.iter_mut().for_each(|entry| entry.owner = belongs_to.clone());
        for periodic in self.periodic {
            entries.push(periodic.into_entry(belongs_to.clone())?);
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = entries.iter().find(|entry| !names.insert(&entry.name)) {
            return Err(BeatError::Twice(twice.name.to_string()));
        }
        let (stop, counters, pulse) = (CancellationToken::new(), Arc::default(), Arc::default());
        Ok(Beat { broker: self.broker, owner, entries, handle: BeatHandle { stop, counters, pulse } })
    }
}

/// A beat that is set up and checked. Any number of them may run on one store, in processes of their own or beside workers: each
/// occurrence is enqueued once.
#[derive(Debug)]
pub struct Beat {
    broker: Arc<dyn Broker>,
    owner: Option<Owner>,
    entries: Vec<ScheduleEntry>,
    handle: BeatHandle,
}

/// Stops a running beat from outside, and tells what it did.
#[derive(Debug, Clone)]
pub struct BeatHandle {
    stop: CancellationToken,
    counters: Arc<Counters>,
    pulse: Arc<Pulse>,
}

impl BeatHandle {
    /// Ends the beat. A call under way is not waited for: what it does it does, and another beat goes on from there.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// What the beat has done so far.
    #[must_use]
    pub fn stats(&self) -> BeatStats {
        self.counters.stats()
    }

    /// How the beat is now. Ask from another thread or runtime than the beat's own if something may block that.
    #[must_use]
    pub fn health(&self) -> BeatHealth {
        let stopping = self.stop.is_cancelled().then(|| "the beat is stopping".to_owned());
        BeatHealth { unready: stopping.or_else(|| self.pulse.unready()), stuck: self.pulse.stuck() }
    }
}

/// What a look has found.
struct Look {
    /// When it was answered, by this machine's clock.
    at: Instant,
    now: Timestamp,
    next: Option<Timestamp>,
    mark: ScheduleMark,
}

impl Beat {
    /// Begins to set a beat up. `store` is a client, or the store itself.
    pub fn builder(store: impl Into<Arc<dyn Broker>>) -> BeatBuilder {
        BeatBuilder { broker: store.into(), owner: None, periodic: Vec::new(), entries: Vec::new() }
    }

    /// A handle that stops the beat.
    #[must_use]
    pub fn handle(&self) -> BeatHandle {
        self.handle.clone()
    }

    /// Runs until `shutdown` is ready.
    ///
    /// # Errors
    /// As [`Beat::run`].
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<BeatStats, BeatError> {
        let handle = self.handle();
        let mut run = pin!(self.run());
        tokio::select! {
            ended = &mut run => return ended,
            () = shutdown => handle.stop(),
        }
        run.await
    }

    /// Runs until it is stopped. A store that is away is waited for.
    ///
    /// # Errors
    /// [`BeatError::Store`] if the store refuses in a way that waiting does not mend.
    pub async fn run(self) -> Result<BeatStats, BeatError> {
        let stop = self.handle.stop.clone();
        tokio::select! {
            ended = self.go() => ended.map(|never| match never {})?,
            () = stop.cancelled() => {}
        }
        Ok(self.handle.stats())
    }

    async fn go(&self) -> Result<std::convert::Infallible, BeatError> {
        self.persist(|| self.register()).await?;
        tracing::info!(store = %self.broker.describe(), own = self.entries.len(), "beat starts");
        let mut look = self.persist(|| self.tick()).await?;
        loop {
            let seen = look.mark.clone();
            let (mut change, began) = (pin!(self.change(&seen)), Instant::now());
            loop {
                // Later than the wait for changes ends, so that one of the two is enough in a minute without any.
                let longest = LONGEST_WAIT + MARGIN;
                let wait = look.next.map_or(longest, |next| next.since(look.now)).min(longest);
                let asked = look.at;
                // The wait for changes goes on while occurrences are dealt with: it costs a command.
                let changed = tokio::select! {
                    () = &mut change => true,
                    () = sleep_until(asked + wait) => false,
                };
                look = self.persist(|| self.tick()).await?;
                if changed && look.mark == seen && began.elapsed() < LONGEST_WAIT / 2 {
                    // The wait ends early again and again, and nothing has changed: it and the look may have reached different servers.
                    sleep(COURTESY).await;
                }
                if changed || look.mark != seen {
                    break;
                }
            }
        }
    }

    /// Waits for a change of any schedule, a minute at most.
    async fn change(&self, mark: &ScheduleMark) {
        if let Err(error) = self.broker.wait_for_schedules(mark, LONGEST_WAIT).await {
            self.note_error(&error, "could not wait for changes of schedules");
            sleep(LONGEST_PAUSE).await;
        }
    }

    /// Repeats a call until it is answered, or refused for good.
    async fn persist<T, F: Future<Output = Result<T, BrokerError>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T, BeatError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match call().await {
                Ok(answer) => {
                    self.handle.pulse.answered();
                    return Ok(answer);
                }
                Err(error) if error.is_transient() => {
                    self.handle.pulse.away(&error);
                    self.note_error(&error, "the store does not answer the beat");
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn note_error(&self, error: &BrokerError, what: &str) {
        Counters::add(&self.handle.counters.errors, 1);
        tracing::warn!(%error, "{what}");
    }

    async fn register(&self) -> Result<(), BrokerError> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let registered = register(self.broker.as_ref(), owner, &self.entries).await?;
        for (schedule, by) in &registered.owned {
            let by = if *by == Owner::Hand { "people, who added it by hand" } else { by.as_str() };
            tracing::error!(%schedule, "this schedule is kept by {by} and was left as it is; give one of the two another name");
        }
        if registered.added + registered.changed + registered.removed > 0 {
            let (added, changed, removed) = (registered.added, registered.changed, registered.removed);
            tracing::info!(owner = owner.as_str(), added, changed, removed, "schedules were brought up to date");
        }
        Ok(())
    }

    /// Deals with everything that is due.
    async fn tick(&self) -> Result<Look, BrokerError> {
        let mut courtesy = COURTESY;
        loop {
            let found = self.broker.due_schedules(PORTION).await?;
            // With much to catch up a look takes many calls.
            self.handle.pulse.answered();
            if found.due.is_empty() {
                return Ok(Look { at: Instant::now(), now: found.now, next: found.next, mark: found.mark });
            }
            let firings: Vec<Firing> = found
                .due
                .iter()
                .map(|view| {
                    decide(view, found.now).unwrap_or_else(|(postponed, reason)| {
                        tracing::error!(schedule = %view.name, %reason, "a schedule cannot be read; it is looked at again in a minute");
                        postponed
                    })
                })
                .collect();
            let mut moved = 0;
            for part in portions(&firings) {
                let fired = self.fire(part, found.now).await?;
                moved += fired.iter().filter(|fired| **fired == Fired::Moved).count();
                part.iter().zip(fired).for_each(|(firing, fired)| self.count(firing, fired, found.now));
            }
            if moved == firings.len() {
                sleep(courtesy).await;
                courtesy = (courtesy * 2).min(LONGEST_COURTESY);
            } else {
                courtesy = COURTESY;
            }
        }
    }

    /// Fires some schedules at once. If the store refuses that for good, each alone, and one that is refused alone is postponed: one queue that
    /// is not what it should be must not keep all other schedules from occurring.
    async fn fire(&self, part: &[Firing], now: Timestamp) -> Result<Vec<Fired>, BrokerError> {
        match self.broker.fire(part).await {
            Err(error) if error.is_transient() => return Err(error),
            Err(error) if part.len() == 1 => return self.postpone(&part[0], &error, now).await,
            Err(error) => {
                tracing::warn!(%error, "the store refuses to enqueue what is due; each schedule is tried alone");
            }
            answer => return answer,
        }
        let mut fired = Vec::new();
        for firing in part {
            fired.extend(match self.broker.fire(std::slice::from_ref(firing)).await {
                Err(error) if !error.is_transient() => self.postpone(firing, &error, now).await?,
                answer => answer?,
            });
        }
        Ok(fired)
    }

    async fn postpone(&self, firing: &Firing, error: &BrokerError, now: Timestamp) -> Result<Vec<Fired>, BrokerError> {
        let schedule = &firing.name;
        tracing::error!(%schedule, %error, "the store refuses to enqueue it; it is tried again in a minute");
        self.broker.fire(&[postponed(firing, now)]).await?;
        Ok(vec![Fired::Moved])
    }

    fn count(&self, firing: &Firing, fired: Fired, now: Timestamp) {
        let counters = &self.handle.counters;
        if fired == Fired::Moved {
            return;
        }
        Counters::add(&counters.missed, firing.missed);
        let jobs = firing.jobs.len() as u64;
        let schedule = &firing.name;
        if fired == Fired::Skipped {
            Counters::add(&counters.skipped, jobs);
            tracing::info!(%schedule, "skipped: the job before has not ended");
        } else if let Some(job) = firing.jobs.last() {
            let lag = u64::try_from(now.since(firing.due).as_millis()).unwrap_or(u64::MAX);
            Counters::add(&counters.fired, jobs);
            counters.lag_ms.store(lag, Ordering::Relaxed);
            tracing::info!(%schedule, job = %job.id, jobs, lag_ms = lag, "enqueued");
        }
        if firing.missed > 0 {
            tracing::warn!(%schedule, missed = firing.missed, "occurrences were missed, and are not caught up");
        }
    }
}

/// Parts whose jobs fit into one call each.
fn portions(firings: &[Firing]) -> Vec<&[Firing]> {
    let mut parts = Vec::new();
    let mut rest = firings;
    while !rest.is_empty() {
        let (mut jobs, mut bytes) = (0, 0);
        let fitting = rest.iter().take_while(|firing| {
            jobs += firing.jobs.len();
            bytes += firing.jobs.iter().map(|job| job.payload.len()).sum::<usize>();
            jobs <= MAX_SCHEDULES && bytes <= MAX_BATCH_BYTES
        });
        let (part, left) = rest.split_at(fitting.count().max(1));
        parts.push(part);
        rest = left;
    }
    parts
}
