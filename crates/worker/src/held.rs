//! The jobs this process holds, from their hand-out until their settlement is answered.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use celeriac_broker::Delivery;
use celeriac_core::{Fence, JobId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The table of held jobs. What the store lists and this table does not know is handed back; what this table has and the
/// store does not list was lost.
#[derive(Debug, Default)]
pub(crate) struct Held {
    jobs: Mutex<HashMap<JobId, HeldJob>>,
    removed: Notify,
}

/// One held job.
#[derive(Debug, Clone)]
pub(crate) struct HeldJob {
    pub(crate) fence: Fence,
    /// Tells the handler that it should stop; it may go on.
    pub(crate) cancel: CancellationToken,
    /// Ends the attempt: the job is not ours any more and must not be settled.
    pub(crate) lost: CancellationToken,
    suspect: bool,
}

impl Held {
    /// Adds a job that was handed out.
    pub(crate) fn insert(&self, delivery: &Delivery) -> HeldJob {
        let job = HeldJob {
            fence: delivery.lease.fence,
            cancel: CancellationToken::new(),
            lost: CancellationToken::new(),
            suspect: delivery.record.suspect,
        };
        self.lock().insert(delivery.record.id.clone(), job.clone());
        job
    }

    /// Removes a job if it is held under this token.
    pub(crate) fn remove(&self, id: &JobId, fence: Fence) {
        let mut jobs = self.lock();
        if jobs.get(id).is_some_and(|job| job.fence == fence) {
            jobs.remove(id);
        }
        self.removed.notify_waiters();
    }

    /// Whether a job is held under this token.
    pub(crate) fn has(&self, id: &JobId, fence: Fence) -> bool {
        self.lock().get(id).is_some_and(|job| job.fence == fence)
    }

    /// Forgets every job that is not in `listed` and ends its attempt; says how many there were.
    pub(crate) fn keep_only(&self, listed: &[(JobId, Fence)]) -> usize {
        let listed: HashMap<&JobId, Fence> = listed.iter().map(|(id, fence)| (id, *fence)).collect();
        let mut jobs = self.lock();
        let before = jobs.len();
        jobs.retain(|id, job| {
            let kept = listed.get(id) == Some(&job.fence);
            if !kept {
                job.cancel.cancel();
                job.lost.cancel();
            }
            kept
        });
        self.removed.notify_waiters();
        before - jobs.len()
    }

    /// Tells every handler that it should stop.
    pub(crate) fn cancel_all(&self) {
        self.lock().values().for_each(|job| job.cancel.cancel());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether a suspect is held: then nothing else may be fetched.
    pub(crate) fn has_suspect(&self) -> bool {
        self.lock().values().any(|job| job.suspect)
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

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, HeldJob>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
