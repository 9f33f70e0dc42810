//! Ends of attempts on their way to the store: who ran a job leaves its end here, and whoever calls the store next takes it along.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use celeriac_broker::{MAX_BATCH_BYTES, MAX_BATCH_JOBS, Settlement};
use celeriac_core::Transition;
use tokio::sync::Notify;

/// Settlements for one call, and whether an earlier copy of them may have been carried out.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) settlements: Vec<Settlement>,
    pub(crate) in_doubt: bool,
}

/// Ends that nobody has reported yet.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    state: Mutex<State>,
    /// The fetcher takes ends along; otherwise the settler goes on its own.
    carried: AtomicBool,
    /// How many jobs the settler may take in, while the fetcher only waits.
    spare: AtomicUsize,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    fresh: VecDeque<Settlement>,
    /// Batches that were sent, and not answered.
    again: VecDeque<Batch>,
    closed: bool,
}

impl Ends {
    /// Leaves an end. There is no bound: the fetcher fetches nothing while too many held jobs wait here.
    pub(crate) fn leave(&self, settlement: Settlement) {
        self.lock().fresh.push_back(settlement);
        if !self.carried.load(Ordering::SeqCst) {
            self.arrived.notify_one();
        }
    }

    /// Leaves a batch whose call failed, for the settler.
    pub(crate) fn leave_again(&self, settlements: Vec<Settlement>, in_doubt: bool) {
        if !settlements.is_empty() {
            self.lock().again.push_back(Batch { settlements, in_doubt });
            self.arrived.notify_one();
        }
    }

    /// How many ends wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().fresh.len()
    }

    /// Says whether the fetcher will soon take along what is here.
    pub(crate) fn carry(&self, carried: bool) {
        if self.carried.swap(carried, Ordering::SeqCst) && !carried {
            self.arrived.notify_one();
        }
    }

    /// Says how many jobs the settler may take in with the ends it reports.
    pub(crate) fn spare(&self, jobs: usize) {
        self.spare.store(jobs, Ordering::SeqCst);
    }

    /// How many jobs the settler may take in.
    pub(crate) fn spared(&self) -> usize {
        self.spare.load(Ordering::SeqCst)
    }

    /// Takes what fits one call.
    pub(crate) fn take(&self) -> Vec<Settlement> {
        let mut state = self.lock();
        let mut batch = Vec::with_capacity(state.fresh.len().min(MAX_BATCH_JOBS));
        let mut bytes = 0;
        while batch.len() < MAX_BATCH_JOBS {
            let Some(next) = state.fresh.front() else { break };
            bytes += weight(next);
            // A bigger end than a call may have goes alone.
            if bytes > MAX_BATCH_BYTES && !batch.is_empty() {
                break;
            }
            batch.extend(state.fresh.pop_front());
        }
        batch
    }

    /// Waits for a batch for the settler; `None` once no more will come.
    pub(crate) async fn next(&self) -> Option<Batch> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut state = self.lock();
                if let Some(batch) = state.again.pop_front() {
                    return Some(batch);
                }
                let carried = self.carried.load(Ordering::SeqCst);
                if state.fresh.is_empty() && state.closed {
                    return None;
                }
                if !state.fresh.is_empty() && !carried {
                    drop(state);
                    return Some(Batch { settlements: self.take(), in_doubt: false });
                }
            }
            arrived.await;
        }
    }

    /// No more ends will come.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes that a settlement brings into a call.
fn weight(settlement: &Settlement) -> usize {
    use Transition::*;
    match &settlement.transition {
        Finish { outcome, .. } => outcome.result.as_ref().map_or(0, |result| result.get().len()),
        Retry { record, .. } | DeadLetter { record, .. } | Requeue { record } | Park { record } => {
            record.payload.len() + record.history.iter().map(|incident| incident.error.len()).sum::<usize>()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use celeriac_core::{Ending, Fence, JobId, QueueName, Record, Rules, TaskName, decide};

    use super::*;

    fn end() -> Settlement {
        let record = Record::new(JobId::generate(), TaskName::new("t").unwrap(), QueueName::default(), Vec::new());
        let transition = decide(record.clone(), Ending::HandedBack, &Rules::new("w", record.since));
        Settlement { id: record.id, fence: Fence::new(1), transition }
    }

    #[tokio::test]
    async fn the_settler_gets_what_nobody_carries() {
        let ends = Ends::default();
        ends.carry(true);
        ends.leave(end());
        tokio::select! {
            biased;
            batch = ends.next() => panic!("{batch:?} was carried"),
            () = tokio::task::yield_now() => {}
        }
        ends.carry(false);
        assert_eq!(ends.next().await.map(|batch| batch.settlements.len()), Some(1));
    }

    #[tokio::test]
    async fn what_was_in_doubt_comes_first_and_the_end_comes_last() {
        let ends = Ends::default();
        ends.leave(end());
        ends.leave_again(vec![end(), end()], true);
        ends.close();
        let first = ends.next().await.unwrap();
        assert_eq!((first.settlements.len(), first.in_doubt), (2, true));
        let second = ends.next().await.unwrap();
        assert_eq!((second.settlements.len(), second.in_doubt), (1, false));
        assert!(ends.next().await.is_none());
    }
}
