//! Counts and times the runs of each task, for whoever watches workers by their figures.
//!
//! A short job costs a few microseconds in all, so a runner adds up in a stopwatch of its own and hands the sums in now and then: once
//! for many short jobs, at once for a long one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use celeriac_core::{State, TaskName, Transition};

use crate::tasks::Tasks;

/// The upper bounds of the classes of run times; longer ones have a class of their own.
pub(crate) const BOUNDS: [Duration; 9] = [
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(3_600),
    Duration::from_secs(86_400),
];
const CLASSES: usize = BOUNDS.len() + 1;

/// A stopwatch hands in after so many runs, or after one this long.
const MOST_RUNS: u64 = 32;
const LONG_RUN: Duration = Duration::from_millis(1);

/// What is known of the runs of one task.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    by_class: [AtomicU64; CLASSES],
    nanos: AtomicU64,
    /// How its attempts ended, in the order of [`State::ALL`].
    by_state: [AtomicU64; State::ALL.len()],
}

impl Meter {
    /// How many runs took no longer than each bound and longer than the one before; the rest comes last.
    pub(crate) fn by_class(&self) -> [u64; CLASSES] {
        std::array::from_fn(|class| self.by_class[class].load(Ordering::Relaxed))
    }

    /// How long all runs took together.
    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// The states that attempts ended in, each with how many did.
    pub(crate) fn by_state(&self) -> impl Iterator<Item = (State, u64)> {
        State::ALL.into_iter().zip(self.by_state.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// The meters of all tasks.
#[derive(Debug)]
pub(crate) struct Meters {
    by_task: HashMap<TaskName, Arc<Meter>>,
    /// For tasks that this worker does not know: their names are as many as somebody likes to send.
    unknown: Arc<Meter>,
}

impl Meters {
    /// One for each task.
    pub(crate) fn new(tasks: &Tasks) -> Self {
        let names = tasks.names().filter_map(|name| TaskName::new(name).ok());
        Self { by_task: names.map(|name| (name, Arc::default())).collect(), unknown: Arc::default() }
    }

    fn of(&self, task: &TaskName) -> &Arc<Meter> {
        self.by_task.get(task).unwrap_or(&self.unknown)
    }

    /// A stopwatch for one runner.
    pub(crate) fn stopwatch(&self) -> Stopwatch<'_> {
        Stopwatch { meters: self, task: None, by_class: [0; CLASSES], nanos: 0, began: Instant::now() }
    }

    /// A tally for settlements that were answered together.
    pub(crate) fn tally(&self) -> Tally<'_> {
        Tally { meters: self, task: None }
    }

    /// Every task by name with its meter; `None` stands for those that this worker does not know.
    pub(crate) fn all(&self) -> Vec<(Option<&TaskName>, &Meter)> {
        let mut all: Vec<_> = self.by_task.iter().map(|(task, meter)| (Some(task), meter.as_ref())).collect();
        all.sort_by_key(|(task, _)| *task);
        all.push((None, &self.unknown));
        all
    }
}

/// Counts how attempts ended. Neighbours are mostly of one task, so its meter is looked up once.
#[derive(Debug)]
pub(crate) struct Tally<'m> {
    meters: &'m Meters,
    task: Option<(TaskName, Arc<Meter>)>,
}

impl Tally<'_> {
    /// Counts one.
    pub(crate) fn count(&mut self, transition: &Transition) {
        let Some(task) = task_of(transition) else { return };
        if self.task.as_ref().is_none_or(|(known, _)| known != task) {
            self.task = Some((task.clone(), Arc::clone(self.meters.of(task))));
        }
        let place = State::ALL.iter().position(|state| *state == transition.state());
        if let (Some((_, meter)), Some(place)) = (&self.task, place) {
            meter.by_state[place].fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn task_of(transition: &Transition) -> Option<&TaskName> {
    Some(match transition {
        Transition::Finish { outcome, .. } => &outcome.task,
        Transition::Retry { record, .. }
        | Transition::DeadLetter { record, .. }
        | Transition::Requeue { record }
        | Transition::Park { record } => &record.task,
        _ => return None,
    })
}

/// Times the runs of one runner, one after the other. What it has not handed in yet it hands in when it is dropped.
#[derive(Debug)]
pub(crate) struct Stopwatch<'m> {
    meters: &'m Meters,
    task: Option<(TaskName, Arc<Meter>)>,
    by_class: [u64; CLASSES],
    nanos: u64,
    began: Instant,
}

impl Stopwatch<'_> {
    /// Begins a run of this task, at the end of the one before: a runner does nothing in between.
    pub(crate) fn start(&mut self, task: &TaskName) {
        if self.task.as_ref().is_none_or(|(known, _)| known != task) {
            self.hand_in();
            self.task = Some((task.clone(), Arc::clone(self.meters.of(task))));
        }
    }

    /// The runner did something else, or nothing, until now.
    pub(crate) fn restart(&mut self) {
        self.began = Instant::now();
    }

    /// Ends the run.
    pub(crate) fn stop(&mut self) {
        let now = Instant::now();
        let time = now.duration_since(self.began);
        self.began = now;
        let class = BOUNDS.iter().position(|bound| time <= *bound).unwrap_or(CLASSES - 1);
        self.by_class[class] += 1;
        self.nanos = self.nanos.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        if time >= LONG_RUN || self.by_class[class] >= MOST_RUNS {
            self.hand_in();
        }
    }

    fn hand_in(&mut self) {
        let Some((_, meter)) = &self.task else { return };
        for (sum, count) in meter.by_class.iter().zip(&mut self.by_class) {
            if *count > 0 {
                sum.fetch_add(std::mem::take(count), Ordering::Relaxed);
            }
        }
        meter.nanos.fetch_add(std::mem::take(&mut self.nanos), Ordering::Relaxed);
    }
}

impl Drop for Stopwatch<'_> {
    fn drop(&mut self) {
        self.hand_in();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meters() -> (Meters, TaskName) {
        let known = TaskName::new("known").unwrap();
        let by_task = HashMap::from([(known.clone(), Arc::default())]);
        (Meters { by_task, unknown: Arc::default() }, known)
    }

    fn runs(meters: &Meters, task: &TaskName) -> u64 {
        meters.of(task).by_class().iter().sum()
    }

    #[test]
    fn every_run_is_counted_once_whenever_it_is_handed_in() {
        let (meters, known) = meters();
        let other = TaskName::new("other").unwrap();
        let mut watch = meters.stopwatch();
        for _ in 0..40 {
            watch.start(&known);
            watch.stop();
        }
        watch.start(&other);
        watch.stop();
        assert_eq!((runs(&meters, &known), runs(&meters, &other)), (40, 0), "a new task hands the old one in");
        drop(watch);
        assert_eq!(runs(&meters, &other), 1);
    }

    #[test]
    fn a_long_run_is_handed_in_at_once_in_its_class() {
        let (meters, known) = meters();
        let mut watch = meters.stopwatch();
        watch.start(&known);
        watch.began = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        watch.stop();
        let meter = meters.of(&known);
        assert_eq!(meter.by_class()[4], 1, "more than 1 s and at most 10 s");
        assert!(meter.total() >= Duration::from_secs(5));
    }
}
