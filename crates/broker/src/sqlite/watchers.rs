//! Who waits in this process, and for what.
//!
//! A watch is noted before its owner looks at the store, and what wakes it is kept until the owner waits. So a commit
//! between the look and the wait is not missed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use celeriac_core::{JobId, QueueName};
use tokio::sync::Notify;

use super::scope::News;

/// Everybody who waits.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    lists: Mutex<Lists>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Lists {
    last_key: u64,
    workers: BTreeMap<u64, (Vec<QueueName>, Arc<Notify>)>,
    results: HashMap<JobId, BTreeMap<u64, Arc<Notify>>>,
}

/// One who waits; dropping it ends the waiting.
#[derive(Debug)]
pub(super) struct Watch {
    watchers: Arc<Watchers>,
    key: u64,
    /// The job whose end is waited for; `None` for a worker.
    job: Option<JobId>,
    notify: Arc<Notify>,
}

impl Watch {
    /// Waits until there may be something; at once if there was since the last time.
    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut lists = self.watchers.lock();
        let Some(job) = &self.job else {
            lists.workers.remove(&self.key);
            return;
        };
        let empty = lists.results.get_mut(job).is_some_and(|waiting| {
            waiting.remove(&self.key);
            waiting.is_empty()
        });
        if empty {
            lists.results.remove(job);
        }
    }
}

impl Watchers {
    /// Notes a worker that waits for work in these queues.
    pub(super) fn watch_queues(self: &Arc<Self>, queues: &[QueueName]) -> Watch {
        let notify = Arc::new(Notify::new());
        let mut lists = self.lock();
        let key = lists.next_key();
        lists.workers.insert(key, (queues.to_vec(), Arc::clone(&notify)));
        Watch { watchers: Arc::clone(self), key, job: None, notify }
    }

    /// Notes somebody who waits for the end of a job.
    pub(super) fn watch_result(self: &Arc<Self>, job: &JobId) -> Watch {
        let notify = Arc::new(Notify::new());
        let mut lists = self.lock();
        let key = lists.next_key();
        lists.results.entry(job.clone()).or_default().insert(key, Arc::clone(&notify));
        Watch { watchers: Arc::clone(self), key, job: Some(job.clone()), notify }
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        let lists = self.lock();
        lists.workers.is_empty() && lists.results.is_empty()
    }

    /// The jobs whose ends are waited for.
    pub(super) fn waited_results(&self) -> Vec<JobId> {
        self.lock().results.keys().cloned().collect()
    }

    /// Wakes those whom a commit of this process concerns.
    pub(super) fn announce(&self, news: &News) {
        self.wake_results(&news.ended);
        for (queues, notify) in self.lock().workers.values() {
            if news.scheduled || news.schedules || queues.iter().any(|queue| news.queues.contains(queue)) {
                notify.notify_one();
            }
        }
    }

    /// Resolves when the waits under way are told to end.
    pub(super) async fn end(&self) {
        self.ended.notified().await;
    }

    /// Tells the waits of workers under way to end.
    pub(super) fn end_waits(&self) {
        self.ended.notify_waiters();
    }

    /// Wakes all workers, to look for themselves.
    pub(super) fn wake_workers(&self) {
        for (_, notify) in self.lock().workers.values() {
            notify.notify_one();
        }
    }

    /// Wakes those who wait for the ends of these jobs.
    pub(super) fn wake_results(&self, ended: &[JobId]) {
        let lists = self.lock();
        for notify in ended.iter().filter_map(|job| lists.results.get(job)).flat_map(BTreeMap::values) {
            notify.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        // Each change under the lock is one step, so a panic elsewhere leaves nothing half done.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lists {
    fn next_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_before_the_wait_is_not_lost() {
        let watchers = Arc::new(Watchers::default());
        let job = JobId::generate();
        let watch = watchers.watch_result(&job);
        watchers.announce(&News { ended: vec![job], ..News::default() });
        watch.woken().await;
    }

    #[test]
    fn a_watch_that_is_dropped_leaves_nothing_behind() {
        let watchers = Arc::new(Watchers::default());
        let job = JobId::generate();
        let watches = (watchers.watch_result(&job), watchers.watch_result(&job), watchers.watch_queues(&[]));
        assert!(!watchers.is_empty());
        drop(watches);
        assert!(watchers.is_empty());
        assert!(watchers.waited_results().is_empty());
    }
}
