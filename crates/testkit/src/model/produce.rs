//! The producer's side of the model: batches and ends.

use celeriac_broker::{Acceptance, Batch, BatchAnswer, BrokerError, IdOrigin, LANE_TTL, MAX_BATCH_JOBS, NewJob, Start};
use celeriac_core::State;

use super::places::Place;
use super::store::{LaneState, Store};

impl Store {
    pub(crate) fn enqueue(&mut self, batch: &Batch) -> Result<BatchAnswer, BrokerError> {
        if batch.jobs.len() > MAX_BATCH_JOBS {
            return Err(BrokerError::Invalid(format!("a batch holds at most {MAX_BATCH_JOBS} jobs")));
        }
        let now = self.now;
        let key = (batch.lane.producer.clone(), batch.lane.index);
        self.lanes.retain(|_, lane| now.since(lane.used) <= LANE_TTL);
        let last = match self.lanes.get(&key) {
            Some(lane) if lane.last == batch.number => return Ok(BatchAnswer::Applied(lane.answer.clone())),
            Some(lane) => lane.last,
            None if now.since(batch.lane.made_at) > LANE_TTL => return Ok(BatchAnswer::Gap),
            None => 0,
        };
        if batch.number != last + 1 {
            return Ok(BatchAnswer::Gap);
        }
        let answer: Vec<_> = batch.jobs.iter().map(|job| self.accept(job)).collect();
        self.lanes.insert(key, LaneState { last: batch.number, answer: answer.clone(), used: now });
        Ok(BatchAnswer::Applied(answer))
    }

    /// Stores a job, unless its id or its unique key is in use.
    pub(crate) fn accept(&mut self, job: &NewJob) -> Acceptance {
        let id = &job.record.id;
        if job.id_origin == IdOrigin::Given && (self.jobs.contains_key(id) || self.end(id).is_some()) {
            return Acceptance::IdInUse;
        }
        if let Some(holder) = job.record.options.unique.as_ref().and_then(|unique| self.holder_of_key(unique)) {
            return Acceptance::UniqueInUse { holder };
        }
        let mut record = job.record.clone();
        record.enqueued_at = self.now;
        let due = match job.start {
            Start::After(delay) => self.now.after(delay),
            Start::At(due) => due,
            _ => self.now,
        };
        if due > self.now {
            record.state = State::Scheduled;
            self.put(record, Place::Scheduled { due });
        } else {
            self.make_ready(record);
        }
        Acceptance::Accepted
    }
}
