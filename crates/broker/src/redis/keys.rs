//! Every key of a namespace, built here and nowhere else; docs/redis-layout.md has the table.
//!
//! All keys of a namespace share one hash tag, so that in a Cluster they live in one slot and one script may touch them all.
//! No two keys can collide: fixed words stand before or behind each name, and a name cannot hold a brace.

use celeriac_core::{Incarnation, Namespace, QueueName, TaskName};

/// Builds the keys of one namespace.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(namespace: &Namespace) -> Self {
        Self { prefix: format!("{{{namespace}}}:") }
    }

    fn key(&self, parts: &[&str]) -> String {
        let mut key = self.prefix.clone();
        parts.iter().for_each(|part| key.push_str(part));
        key
    }

    /// Hash: id to record.
    pub(super) fn jobs(&self) -> String {
        self.key(&["jobs"])
    }

    /// Hash: queue to `1` (paused) or `0`; the registry of queues.
    pub(super) fn queues(&self) -> String {
        self.key(&["queues"])
    }

    /// List: ids that the next fetch may take.
    pub(super) fn ready(&self, queue: &QueueName) -> String {
        self.key(&["q:", queue.as_str(), ":ready"])
    }

    /// List: ids of jobs that may only run alone.
    pub(super) fn suspects(&self, queue: &QueueName) -> String {
        self.key(&["q:", queue.as_str(), ":suspects"])
    }

    /// List of at most one token that wakes an idle worker.
    pub(super) fn wake(&self, queue: &QueueName) -> String {
        self.key(&["wake:", queue.as_str()])
    }

    /// The three lists of a queue, in the order in which scripts expect them.
    pub(super) fn lists(&self, queue: &QueueName) -> [String; 3] {
        [self.ready(queue), self.suspects(queue), self.wake(queue)]
    }

    /// Hash: `state:queue` to the number of such jobs, for scheduled, dead and parked ones.
    pub(super) fn counts(&self) -> String {
        self.key(&["counts"])
    }

    /// Sorted set: id by due time.
    pub(super) fn scheduled(&self) -> String {
        self.key(&["scheduled"])
    }

    /// Sorted set: id by the time of death.
    pub(super) fn dead(&self) -> String {
        self.key(&["dead"])
    }

    /// Set: tasks that have parked jobs.
    pub(super) fn parked(&self) -> String {
        self.key(&["parked"])
    }

    /// Sorted set: id by the time of parking.
    pub(super) fn parked_of(&self, task: &TaskName) -> String {
        self.key(&["parked:", task.as_str()])
    }

    /// Sorted set: ids whose bytes cannot be decoded, by the time that was found.
    pub(super) fn unreadable(&self) -> String {
        self.key(&["unreadable"])
    }

    /// Hash: id to token of what an incarnation holds.
    pub(super) fn running(&self, incarnation: &Incarnation) -> String {
        self.key(&["running:", incarnation.as_str()])
    }

    /// Hash: a registration.
    pub(super) fn worker(&self, incarnation: &Incarnation) -> String {
        self.key(&["worker:", incarnation.as_str()])
    }

    /// Sorted set: incarnation by the end of its registration.
    pub(super) fn workers(&self) -> String {
        self.key(&["workers"])
    }

    /// Sorted set: incarnation by the end of its lease.
    pub(super) fn leases(&self) -> String {
        self.key(&["leases"])
    }

    /// Sorted set: condemned incarnations, by the time of that.
    pub(super) fn lost(&self) -> String {
        self.key(&["lost"])
    }

    /// List of at most one token that wakes one process.
    pub(super) fn control(&self, incarnation: &Incarnation) -> String {
        self.key(&["ctl:", incarnation.as_str()])
    }

    /// Hash: id to the kept end of a job.
    pub(super) fn ends(&self) -> String {
        self.key(&["ends"])
    }

    /// Set: the times, in ms, for which ends are kept.
    pub(super) fn keeps(&self) -> String {
        self.key(&["keeps"])
    }

    /// List: the jobs whose ends are kept for so many ms, in the order in which they ended.
    pub(super) fn ended(&self, keep: u64) -> String {
        self.key(&["ended:", &keep.to_string()])
    }

    /// Hash: lane to its last number.
    pub(super) fn producer(&self, producer: &str) -> String {
        self.key(&["producer:", producer])
    }

    /// Hash: newest token and format.
    pub(super) fn meta(&self) -> String {
        self.key(&["meta"])
    }

    /// A key that one script writes and deletes, to see whether it may.
    pub(super) fn probe(&self) -> String {
        self.key(&["probe"])
    }

    /// Channel: ids whose end can be read from now on.
    pub(super) fn finished(&self) -> String {
        self.key(&["finished"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_namespace_share_one_hash_tag() {
        let keys = Keys::new(&Namespace::new("shop").unwrap());
        let queue = QueueName::new("a:ready").unwrap();
        assert_eq!(keys.lists(&queue), ["{shop}:q:a:ready:ready", "{shop}:q:a:ready:suspects", "{shop}:wake:a:ready"]);
        assert_eq!(keys.jobs(), "{shop}:jobs");
    }
}
