//! Every key of a namespace, built here and nowhere else; docs/redis-layout.md has the table.
//!
//! All keys of a namespace share one hash tag, so that in a Cluster they live in one slot and one script may touch them all.
//! No two keys can collide: fixed words stand before or behind each name, and a name cannot hold a brace.

use celeriac_core::{Incarnation, JobId, Namespace, Priority, QueueName, TaskName, WorkflowId};

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

    /// Hash: queue to `1` (paused) or `0`, and the priorities it has used; the registry of queues.
    pub(super) fn queues(&self) -> String {
        self.key(&["queues"])
    }

    /// List: ids of one priority that the next fetch may take. Priority 5 has the short name: most jobs have it.
    pub(super) fn ready(&self, queue: &QueueName, priority: Priority) -> String {
        match priority.get() {
            5 => self.key(&["q:", queue.as_str(), ":ready"]),
            level => self.key(&["q:", queue.as_str(), ":ready:", &level.to_string()]),
        }
    }

    /// List: ids of jobs that may only run alone.
    pub(super) fn suspects(&self, queue: &QueueName) -> String {
        self.key(&["q:", queue.as_str(), ":suspects"])
    }

    /// List of at most one token that wakes an idle worker.
    pub(super) fn wake(&self, queue: &QueueName) -> String {
        self.key(&["wake:", queue.as_str()])
    }

    /// The lists of a queue, in the order in which scripts expect them: see `lua/lib/queue.lua`.
    pub(super) fn lists(&self, queue: &QueueName) -> impl Iterator<Item = String> + use<'_> {
        let ready: Vec<_> = Priority::ALL.into_iter().map(|priority| self.ready(queue, priority)).collect();
        ready.into_iter().chain([self.suspects(queue), self.wake(queue)])
    }

    /// Hash: `state:queue` to the number of such jobs, for scheduled, dead and parked ones, and
    /// `gone:queue`: revoked jobs whose ids still stand in a list.
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

    /// Sorted set: id of a dead job by the time when it is removed.
    pub(super) fn burials(&self) -> String {
        self.key(&["burials"])
    }

    /// Hash: unique key to the id of the job that has it.
    pub(super) fn unique(&self) -> String {
        self.key(&["unique"])
    }

    /// Hash: id of a held job that was revoked to when and by whom.
    pub(super) fn revoked(&self) -> String {
        self.key(&["revoked"])
    }

    /// List of at most one token that sends a worker which holds jobs to ask for its orders.
    pub(super) fn orders(&self, incarnation: &Incarnation) -> String {
        self.key(&["orders:", incarnation.as_str()])
    }

    /// Hash: what a job has told: `progress`, `lines` to how many lines there were, and the newest lines by their numbers.
    pub(super) fn notes(&self, id: &JobId) -> String {
        self.key(&["notes:", id.as_str()])
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

    /// Hash: schedule to its owner, its timetable and its definition, each on a line.
    pub(super) fn schedules(&self) -> String {
        self.key(&["schedules"])
    }

    /// Hash: schedule to what became of it so far.
    pub(super) fn schedule_states(&self) -> String {
        self.key(&["schedules:state"])
    }

    /// Sorted set: schedule by when it is due next.
    pub(super) fn schedules_due(&self) -> String {
        self.key(&["schedules:due"])
    }

    /// Stream of one entry: the newest change of any schedule.
    pub(super) fn schedule_changes(&self) -> String {
        self.key(&["schedules:changes"])
    }

    /// Hash: a workflow, see `lua/lib/workflow.lua`.
    pub(super) fn workflow(&self, id: &WorkflowId) -> String {
        self.key(&["workflow:", id.as_str()])
    }

    /// Sorted set: workflow by when it was stored.
    pub(super) fn workflows(&self) -> String {
        self.key(&["workflows"])
    }

    /// Sorted set: workflow and node by when somebody is to look at it.
    pub(super) fn workflow_events(&self) -> String {
        self.key(&["workflows:events"])
    }

    /// Sorted set: workflow by the time when it is removed.
    pub(super) fn workflow_untils(&self) -> String {
        self.key(&["workflows:until"])
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

/// The type of a key, in the words of the server's `TYPE`; `None` for a text that is no key of a namespace.
pub(super) fn type_of(key: &str) -> Option<&'static str> {
    let (_, name) = key.strip_prefix('{')?.split_once("}:")?;
    Some(match name.split_once(':').map_or(name, |(first, _)| first) {
        "schedules" if name == "schedules:due" => "zset",
        "schedules" if name == "schedules:changes" => "stream",
        "parked" if name == "parked" => "set",
        "jobs" | "queues" | "counts" | "unique" | "revoked" | "ends" | "meta" | "schedules" => "hash",
        "running" | "worker" | "notes" | "producer" | "workflow" => "hash",
        "workflows" => "zset",
        "scheduled" | "workers" | "leases" | "lost" | "dead" | "burials" | "unreadable" | "parked" => "zset",
        "q" | "wake" | "ctl" | "orders" | "ended" => "list",
        "keeps" => "set",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_key_is_that_in_the_table() {
        let table = include_str!("../../../../docs/redis-layout.md");
        let rows = table.lines().skip_while(|line| !line.starts_with("| key |")).skip(2);
        for line in rows.take_while(|line| line.starts_with('|')) {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let key = format!("{{shop}}:{}", cells[1].trim_matches('`'));
            assert_eq!(type_of(&key), Some(cells[2].replace("sorted set", "zset").as_str()), "{key}");
        }
        assert_eq!([type_of("jobs"), type_of("{\"n\": 1}:x"), type_of("{shop}:else")], [None; 3]);
    }

    #[test]
    fn all_keys_of_a_namespace_share_one_hash_tag() {
        let keys = Keys::new(&Namespace::new("shop").unwrap());
        let queue = QueueName::new("a:ready").unwrap();
        let lists: Vec<_> = keys.lists(&queue).collect();
        assert_eq!((lists.len(), lists[0].as_str()), (12, "{shop}:q:a:ready:ready:0"));
        assert_eq!(lists[5], "{shop}:q:a:ready:ready");
        assert_eq!(lists[10..], ["{shop}:q:a:ready:suspects", "{shop}:wake:a:ready"]);
        assert_eq!(keys.jobs(), "{shop}:jobs");
    }
}
