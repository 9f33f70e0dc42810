//! The jobs this process holds, from their hand-out until their settlement is answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use celeriac_broker::{Delivery, Settlement};
use celeriac_core::{Fence, JobId};
use tokio::sync::Notify;

use crate::context::{Attempt, order};

/// The table of held jobs. What the store lists and this table does not know is handed back; what this table has and the
/// store does not list was lost.
#[derive(Debug, Default)]
pub(crate) struct Held {
    table: Mutex<Table>,
    removed: Notify,
    added: Notify,
}

#[derive(Debug, Default)]
struct Table {
    jobs: HashMap<JobId, Arc<Attempt>>,
    suspects: usize,
}

impl Held {
    /// Adds jobs that were handed out.
    pub(crate) fn insert(&self, deliveries: &[Delivery]) -> Vec<Arc<Attempt>> {
        let mut table = self.lock();
        let add = |delivery: &Delivery| {
            let attempt = Attempt::of(delivery);
            table.suspects += usize::from(attempt.suspect);
            if let Some(before) = table.jobs.insert(attempt.job_id.clone(), Arc::clone(&attempt)) {
                table.suspects -= usize::from(before.suspect);
                // The store has taken the job back meanwhile and handed it out anew; what was settled before is settled.
                before.tell(order::STOP | order::LOST);
            }
            attempt
        };
        let attempts = deliveries.iter().map(add).collect();
        drop(table);
        self.added.notify_waiters();
        attempts
    }

    /// Removes the jobs that are held under these tokens.
    pub(crate) fn remove<'s>(&self, settled: impl IntoIterator<Item = &'s Settlement>) {
        let mut table = self.lock();
        for settlement in settled {
            let Some((id, attempt)) = table.jobs.remove_entry(&settlement.id) else { continue };
            if attempt.fence == settlement.fence {
                table.suspects -= usize::from(attempt.suspect);
            } else {
                table.jobs.insert(id, attempt);
            }
        }
        drop(table);
        self.removed.notify_waiters();
    }

    /// Whether a job is held under this token.
    pub(crate) fn has(&self, id: &JobId, fence: Fence) -> bool {
        self.lock().holds(id, fence)
    }

    /// Forgets every job that is not in `listed` and ends its attempt; says how many there were.
    pub(crate) fn keep_only(&self, listed: &[(JobId, Fence)]) -> usize {
        let listed: HashMap<&JobId, Fence> = listed.iter().map(|(id, fence)| (id, *fence)).collect();
        let mut table = self.lock();
        let before = table.jobs.len();
        let Table { jobs, suspects } = &mut *table;
        jobs.retain(|id, attempt| {
            let kept = listed.get(id) == Some(&attempt.fence);
            if !kept {
                *suspects -= usize::from(attempt.suspect);
                attempt.tell(order::STOP | order::LOST);
            }
            kept
        });
        let gone = before - table.jobs.len();
        drop(table);
        self.removed.notify_waiters();
        gone
    }

    /// The attempts that `choose` takes.
    pub(crate) fn select(&self, choose: impl Fn(&Attempt) -> bool) -> Vec<Arc<Attempt>> {
        self.lock().jobs.values().filter(|attempt| choose(attempt)).cloned().collect()
    }

    /// Tells the attempts of these jobs something.
    pub(crate) fn tell(&self, ids: &[JobId], orders: u8) {
        let table = self.lock();
        ids.iter().filter_map(|id| table.jobs.get(id)).for_each(|attempt| attempt.tell(orders));
    }

    /// Tells every attempt something.
    pub(crate) fn tell_all(&self, orders: u8) {
        self.lock().jobs.values().for_each(|attempt| attempt.tell(orders));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Whether a suspect is held: then nothing else may be fetched.
    pub(crate) fn has_suspect(&self) -> bool {
        self.lock().suspects > 0
    }

    /// Waits until something is held.
    pub(crate) async fn any(&self) {
        loop {
            let added = self.added.notified();
            tokio::pin!(added);
            // Registered before the look, so that a job that comes between look and wait is not missed.
            added.as_mut().enable();
            if !self.is_empty() {
                return;
            }
            added.await;
        }
    }

    /// Waits until nothing is held.
    pub(crate) async fn empty(&self) {
        self.at_most(0).await;
    }

    /// Waits until no more than `count` jobs are held.
    pub(crate) async fn at_most(&self, count: usize) {
        loop {
            let removed = self.removed.notified();
            tokio::pin!(removed);
            // Registered before the look, so that a removal between look and wait is not missed.
            removed.as_mut().enable();
            if self.len() <= count {
                return;
            }
            removed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn holds(&self, id: &JobId, fence: Fence) -> bool {
        self.jobs.get(id).is_some_and(|attempt| attempt.fence == fence)
    }
}
