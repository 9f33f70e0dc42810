//! What people order of the model: revoke, purge, retry, delete.

use celeriac_broker::{Purged, Retried, Revocation};
use celeriac_core::{DEFAULT_RESULT_TTL, Incarnation, JobId, Outcome, QueueName, State};
use std::time::Duration;

use super::places::{Job, Place};
use super::steps::How;
use super::store::Store;

impl Store {
    pub(crate) fn revoke(&mut self, id: &JobId, by: &str) -> Revocation {
        match self.jobs.get(id).map(|job| &job.place) {
            None if self.end(id).is_some() => Revocation::TooLate,
            None => Revocation::Unknown,
            Some(Place::Dead { .. }) => Revocation::TooLate,
            Some(Place::Running { .. }) => {
                self.revoked.entry(id.clone()).or_insert(false);
                Revocation::Told
            }
            Some(_) => {
                self.end_waiting(id, by);
                Revocation::Ended
            }
        }
    }

    fn end_waiting(&mut self, id: &JobId, by: &str) {
        if let Some(Job { record, .. }) = self.jobs.remove(id) {
            let keep = record.options.result_ttl_ms.map_or(DEFAULT_RESULT_TTL, Duration::from_millis);
            let outcome = Outcome::of_waiting(&record, State::Revoked, by, "revoked", self.now);
            let end = record.options.step.as_ref().map(|link| link.end(&outcome));
            self.keep_end(outcome, keep);
            self.end_step(record.options.step.as_deref(), end, How::Unheld);
        }
    }

    pub(crate) fn purge(&mut self, queue: &QueueName, max: usize, by: &str) -> Purged {
        let ready = self.select(|job| job.is_ready_in(queue).then(|| job.turn()));
        let purged: Vec<_> = ready.into_iter().take(max).collect();
        purged.iter().for_each(|job| self.end_waiting(job.id(), by));
        Purged { count: purged.len(), more: purged.len() == max }
    }

    pub(crate) fn retry_dead(&mut self, id: &JobId) -> Retried {
        let Some(job) = self.jobs.get(id).filter(|job| job.state() == State::Dead) else { return Retried::NotDead };
        let mut record = job.record.clone();
        if let Some(holder) = record.options.unique.as_ref().and_then(|unique| self.holder_of_key(unique)) {
            return Retried::UniqueInUse { holder };
        }
        if let Some(link) = &record.options.step {
            self.retry_step(link);
        }
        (record.failures, record.losses, record.suspect) = (0, 0, false);
        record.enqueued_at = self.now;
        self.make_ready(record);
        self.ends.remove(id);
        Retried::Done
    }

    pub(crate) fn delete_dead(&mut self, id: &JobId) -> bool {
        let dead = self.jobs.get(id).is_some_and(|job| job.state() == State::Dead);
        dead && self.jobs.remove(id).is_some()
    }

    /// Whether a worker holds something that was revoked since it was last told.
    pub(crate) fn has_orders(&self, worker: &Incarnation) -> bool {
        self.held(worker).iter().any(|(id, _)| self.revoked.get(id) == Some(&false))
    }
}
