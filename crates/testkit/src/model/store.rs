//! What the model store keeps, and the questions every call asks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use celeriac_broker::{Acceptance, BrokerError, Registration, ScheduleView, Session};
use celeriac_core::{
    Fence, Generation, Incarnation, JobId, Notes, Outcome, QueueName, Record, ScheduleName, State, Timestamp,
    UniqueKey, WorkflowId,
};

use super::places::{Job, Place};
use super::workflows::KeptWorkflow;

/// A registered worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) registration: Registration,
    pub(crate) generation: Generation,
    pub(crate) expires: Timestamp,
}

/// What a lane remembers.
#[derive(Debug)]
pub(crate) struct LaneState {
    pub(crate) last: u64,
    pub(crate) answer: Vec<Acceptance>,
    pub(crate) used: Timestamp,
}

/// The end of a job and when it is forgotten.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    pub(crate) until: Timestamp,
}

/// One namespace.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) now: Timestamp,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) ends: BTreeMap<JobId, End>,
    pub(crate) queues: BTreeSet<QueueName>,
    pub(crate) paused: BTreeSet<QueueName>,
    pub(crate) lanes: BTreeMap<(String, u32), LaneState>,
    pub(crate) workers: BTreeMap<Incarnation, Worker>,
    pub(crate) leases: BTreeMap<Incarnation, Timestamp>,
    pub(crate) lost: BTreeSet<Incarnation>,
    pub(crate) newest_fence: Fence,
    /// Held jobs that were revoked, and whether their worker has been told.
    pub(crate) revoked: BTreeMap<JobId, bool>,
    /// What jobs have told, and until when it is kept.
    pub(crate) notes: BTreeMap<JobId, (Notes, Timestamp)>,
    pub(crate) schedules: BTreeMap<ScheduleName, ScheduleView>,
    /// Counts the changes of schedules.
    pub(crate) schedule_changes: u64,
    pub(crate) workflows: BTreeMap<WorkflowId, KeptWorkflow>,
    /// What is to be done for workflows, and from when on.
    pub(crate) events: BTreeMap<(WorkflowId, u32), Timestamp>,
}

impl Store {
    /// Where a job comes that shall be the last of its queue.
    pub(crate) fn tail(&self) -> Place {
        Place::Ready { turn: self.turns().max().map_or(0, |turn| turn + 1) }
    }

    /// Where a job comes that shall be the first of its queue.
    pub(crate) fn head(&self) -> Place {
        Place::Ready { turn: self.turns().min().map_or(0, |turn| turn - 1) }
    }

    fn turns(&self) -> impl Iterator<Item = i64> {
        self.jobs.values().filter(|job| matches!(job.place, Place::Ready { .. })).map(Job::turn)
    }

    /// Stores a record in its place, as of now.
    pub(crate) fn put(&mut self, mut record: Record, place: Place) {
        record.since = self.now;
        self.queues.insert(record.queue.clone());
        self.jobs.insert(record.id.clone(), Job { record, place });
    }

    /// Makes a job ready behind all others of its queue, or of its queue's suspects.
    pub(crate) fn make_ready(&mut self, mut record: Record) {
        record.state = State::Queued;
        let place = self.tail();
        self.put(record, place);
    }

    /// The jobs that `choose` takes, in the order of the key it gives them.
    pub(crate) fn select<K: Ord>(&self, choose: impl Fn(&Job) -> Option<K>) -> Vec<Job> {
        let mut chosen: Vec<_> = self.jobs.values().filter_map(|job| Some((choose(job)?, job))).collect();
        chosen.sort_by(|(one, _), (other, _)| one.cmp(other));
        chosen.into_iter().map(|(_, job)| job.clone()).collect()
    }

    /// The ready jobs of a queue, the head first, the most urgent before all others.
    pub(crate) fn ready(&self, queue: &QueueName) -> Vec<Job> {
        self.select(|job| {
            (job.is_ready_in(queue) && !job.record.suspect).then(|| (Reverse(job.record.priority), job.turn()))
        })
    }

    /// The ready jobs of a queue that may only run alone, the head first.
    pub(crate) fn suspects(&self, queue: &QueueName) -> Vec<Job> {
        self.select(|job| (job.is_ready_in(queue) && job.record.suspect).then(|| job.turn()))
    }

    /// The unfinished job that has a unique key.
    pub(crate) fn holder_of_key(&self, unique: &UniqueKey) -> Option<JobId> {
        let holds = |job: &&Job| job.state() != State::Dead && job.record.options.unique.as_ref() == Some(unique);
        self.jobs.values().find(holds).map(|job| job.id().clone())
    }

    pub(crate) fn held(&self, incarnation: &Incarnation) -> Vec<(JobId, Fence)> {
        self.jobs.values().filter_map(|job| Some((job.id().clone(), job.held_by(incarnation)?))).collect()
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.jobs.values().filter_map(Job::due).min()
    }

    /// The end of a job while it is kept.
    pub(crate) fn end(&self, id: &JobId) -> Option<&Outcome> {
        self.ends.get(id).filter(|end| end.until > self.now).map(|end| &end.outcome)
    }

    /// The worker of a session, whatever its generation, while it is registered.
    pub(crate) fn worker(&mut self, session: &Session) -> Result<&mut Worker, BrokerError> {
        let now = self.now;
        let worker = self.workers.get_mut(&session.incarnation).filter(|worker| worker.expires > now);
        worker.ok_or(BrokerError::SessionLost)
    }

    /// Refuses all but the newest session of a registered worker.
    pub(crate) fn check_newest(&mut self, session: &Session) -> Result<(), BrokerError> {
        let newest = self.worker(session)?.generation;
        if newest == session.generation { Ok(()) } else { Err(BrokerError::SessionLost) }
    }
}
