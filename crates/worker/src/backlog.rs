//! The slots of a worker, and the jobs in this process that wait for one.
//!
//! A slot is a *runner*: a task that takes one waiting job after the other and runs it. There are never more runners than
//! jobs may run at once, and no more are started than there are threads to run them, until one has to wait for something:
//! then it lets another begin. So a thousand short jobs cost one task, and a thousand long ones get a thousand.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use celeriac_broker::Delivery;
use tokio::sync::Notify;

use crate::context::Attempt;

/// A job on its way to a runner.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) delivery: Delivery,
    pub(crate) attempt: Arc<Attempt>,
    since: Instant,
}

/// Waiting jobs and slots.
#[derive(Debug)]
pub(crate) struct Backlog {
    limit: usize,
    /// Runners that can make progress at once.
    threads: usize,
    state: Mutex<State>,
    /// Jobs taken in whose handler has not ended.
    unfinished: AtomicUsize,
    /// Jobs whose handler has ended, since the start.
    ended: AtomicU64,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// No more jobs are run; what waits is handed back.
    closed: bool,
    runners: usize,
    /// Runners whose job waits for something.
    pending: usize,
}

impl Backlog {
    /// No job yet, and `limit` slots on a runtime of so many threads.
    pub(crate) fn new(limit: usize, threads: usize) -> Self {
        let (unfinished, ended) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { limit, threads: threads.max(1), state: Mutex::default(), unfinished, ended, changed: Notify::new() }
    }

    /// Takes jobs in; says how many runners must be started.
    #[must_use]
    pub(crate) fn add(&self, deliveries: Vec<Delivery>, attempts: Vec<Arc<Attempt>>) -> usize {
        let since = Instant::now();
        self.unfinished.fetch_add(deliveries.len(), Ordering::SeqCst);
        let mut state = self.lock();
        let jobs = deliveries.into_iter().zip(attempts);
        state.waiting.extend(jobs.map(|(delivery, attempt)| Waiting { delivery, attempt, since }));
        let mut start = 0;
        while start < state.waiting.len() && self.has_room(&state) {
            state.runners += 1;
            start += 1;
        }
        start
    }

    /// Whether another runner may start: a slot is free, and a thread has nothing to do.
    fn has_room(&self, state: &State) -> bool {
        !state.closed && state.runners < self.limit && state.runners - state.pending < self.threads
    }

    /// The next job for a runner; without one the runner ends.
    pub(crate) fn next(&self) -> Option<Waiting> {
        let mut state = self.lock();
        let next = if state.closed { None } else { state.waiting.pop_front() };
        if next.is_none() {
            state.runners -= 1;
        }
        next
    }

    /// Notes that a runner's job waits for something; says whether to start another runner.
    #[must_use]
    pub(crate) fn pend(&self) -> bool {
        let mut state = self.lock();
        state.pending += 1;
        let another = !state.waiting.is_empty() && self.has_room(&state);
        state.runners += usize::from(another);
        another
    }

    /// Notes that a job's handler has ended, one that waited for something or not.
    pub(crate) fn end(&self, pended: bool) {
        if pended {
            self.lock().pending -= 1;
        }
        self.unfinished.fetch_sub(1, Ordering::SeqCst);
        self.ended.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    /// Notes that a runner broke down.
    pub(crate) fn lose_runner(&self) {
        self.lock().runners -= 1;
    }

    /// Starts no more jobs.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    /// Takes out all jobs that wait.
    pub(crate) fn drain(&self) -> Vec<Waiting> {
        let drained: Vec<_> = self.lock().waiting.drain(..).collect();
        self.unfinished.fetch_sub(drained.len(), Ordering::SeqCst);
        drained
    }

    /// How long the first of the waiting jobs has waited.
    pub(crate) fn longest_wait(&self) -> Option<Duration> {
        self.lock().waiting.front().map(|first| first.since.elapsed())
    }

    /// Whether nothing of it is run any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Jobs taken in whose handler has not ended.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished.load(Ordering::SeqCst)
    }

    /// Jobs whose handler has ended, since the start.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::SeqCst)
    }

    /// Resolves when a job has ended since it last did.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a slot back when its runner breaks down, so that no slot is ever lost.
pub(crate) struct RunnerGuard<'b> {
    backlog: Option<&'b Backlog>,
}

impl<'b> RunnerGuard<'b> {
    pub(crate) fn new(backlog: &'b Backlog) -> Self {
        Self { backlog: Some(backlog) }
    }

    /// The runner ended as it should.
    pub(crate) fn disarm(mut self) {
        self.backlog = None;
    }
}

impl Drop for RunnerGuard<'_> {
    fn drop(&mut self) {
        if let Some(backlog) = self.backlog {
            backlog.lose_runner();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_core::{Fence, Incarnation, JobId, Lease, QueueName, Record, TaskName};

    fn add(backlog: &Backlog, jobs: usize) -> usize {
        let holder = Incarnation::from_stored("w~1");
        let delivery = |_| {
            let record = Record::new(JobId::generate(), TaskName::new("t").unwrap(), QueueName::default(), Vec::new());
            Delivery { record, lease: Lease { holder: holder.clone(), fence: Fence::new(1) } }
        };
        let deliveries: Vec<_> = (0..jobs).map(delivery).collect();
        let attempts = deliveries.iter().map(Attempt::of).collect();
        backlog.add(deliveries, attempts)
    }

    #[test]
    fn runners_start_for_threads_and_another_for_each_that_waits() {
        let backlog = Backlog::new(3, 2);
        assert_eq!(add(&backlog, 10), 2);
        assert_eq!(add(&backlog, 10), 0);
        for _ in 0..2 {
            assert!(backlog.next().is_some());
        }
        assert!(backlog.pend(), "a third slot is free");
        assert!(!backlog.pend(), "no fourth one is");
    }

    #[test]
    fn a_runner_without_a_job_gives_its_slot_back() {
        let backlog = Backlog::new(1, 1);
        assert_eq!(add(&backlog, 1), 1);
        assert!(backlog.next().is_some());
        backlog.end(false);
        assert!(backlog.next().is_none());
        assert_eq!(add(&backlog, 1), 1);
        assert_eq!((backlog.unfinished(), backlog.ended()), (1, 1));
    }
}
