//! Ends deliveries through `settle.lua`.

use std::time::Duration;

use celeriac_core::{JobId, Outcome, QueueName, Record, TaskName, Transition};

use super::keys::Keys;
use super::places::Places;
use super::script::{self, Call};
use super::session::millis;
use super::store::RedisBroker;
use crate::batch::MAX_BATCH_JOBS;
use crate::delivery::{Settled, Settlement};
use crate::error::BrokerError;
use crate::worker_session::Holder;

impl RedisBroker {
    pub(super) async fn settle_jobs(
        &self,
        holder: &Holder,
        settlements: &[Settlement],
    ) -> Result<Vec<Settled>, BrokerError> {
        if settlements.len() > MAX_BATCH_JOBS {
            let jobs = settlements.len();
            return Err(BrokerError::Invalid(format!(
                "{jobs} settlements in a call; at most {MAX_BATCH_JOBS} are allowed"
            )));
        }
        let ways = Ways::of(settlements, &self.keys)?;
        let mut reply = self.commands.call(&self.settle_call(holder, settlements, &ways)).await?.in_session()?;
        let letters: String = reply.take()?;
        Ok(letters.bytes().map(|letter| if letter == b'D' { Settled::Done } else { Settled::NotHeld }).collect())
    }

    fn settle_call(&self, holder: &Holder, settlements: &[Settlement], ways: &Ways) -> Call {
        let (keys, incarnation) = (&self.keys, holder.incarnation());
        let mut list = vec![keys.worker(incarnation), keys.running(incarnation), keys.leases(), keys.lost()];
        list.extend([keys.jobs(), keys.scheduled(), keys.dead(), keys.counts(), keys.parked()]);
        list.extend(ways.queues.names().iter().flat_map(|queue| keys.lists(queue)));
        list.extend(ways.tasks.names().iter().map(|task| keys.parked_of(task)));
        list.extend(ways.results.iter().cloned());
        let mut call = Call::new(&script::SETTLE, &list);
        let generation = match holder {
            Holder::Session(session) => session.generation.get().to_string(),
            Holder::Condemned(_) => String::new(),
        };
        call.arg(self.now_override()).arg(incarnation.as_str()).arg(generation).arg(keys.finished());
        call.arg(ways.queues.len()).arg(ways.tasks.len()).arg(settlements.len());
        ways.queues.names().iter().for_each(|queue| {
            call.arg(queue.as_str());
        });
        ways.tasks.names().iter().for_each(|task| {
            call.arg(task.as_str());
        });
        settlements.iter().for_each(|settlement| {
            call.arg(settlement.id.as_str());
        });
        settlements.iter().for_each(|settlement| {
            call.arg(settlement.fence.get());
        });
        ways.values.iter().for_each(|value| {
            call.arg(value);
        });
        call
    }
}

/// The ways out of a call's jobs as the script takes them: values in order, and the keys they need.
struct Ways {
    queues: Places<QueueName>,
    tasks: Places<TaskName>,
    results: Vec<String>,
    values: Vec<Vec<u8>>,
}

impl Ways {
    fn of(settlements: &[Settlement], keys: &Keys) -> Result<Self, BrokerError> {
        let (queues, tasks) = (Places::new(), Places::new());
        let mut ways = Self { queues, tasks, results: Vec::new(), values: Vec::new() };
        for settlement in settlements {
            ways.add(&settlement.id, &settlement.transition, keys)?;
        }
        Ok(ways)
    }

    fn add(&mut self, id: &JobId, transition: &Transition, keys: &Keys) -> Result<(), BrokerError> {
        match transition {
            Transition::Finish { outcome, keep } => {
                self.word("finish").end(id, outcome, *keep, keys);
            }
            Transition::Retry { record, delay } => {
                self.word("retry").queue(record).number(millis(*delay)).record(record);
            }
            Transition::DeadLetter { record, outcome, keep } => {
                self.word("dead").queue(record).record(record).end(id, outcome, *keep, keys);
            }
            Transition::Requeue { record } => {
                self.word("requeue").queue(record).record(record);
            }
            Transition::Park { record } => {
                let task = self.tasks.of(&record.task) as u64;
                self.word("park").queue(record).number(task).record(record);
            }
            other => return Err(BrokerError::Invalid(format!("this store knows no way to {}", other.state()))),
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> &mut Self {
        self.values.push(word.into());
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.values.push(number.to_string().into());
        self
    }

    fn queue(&mut self, record: &Record) -> &mut Self {
        let place = self.queues.of(&record.queue) as u64;
        self.number(place)
    }

    /// An end with the time to keep it; one that is not kept is not sent either.
    fn end(&mut self, id: &JobId, outcome: &Outcome, keep: Duration, keys: &Keys) -> &mut Self {
        let keep = millis(keep);
        self.number(keep);
        if keep > 0 {
            self.results.push(keys.result(id));
            self.values.push(outcome.encode());
        }
        self
    }

    /// The record but for its second stamp, which the script writes.
    fn record(&mut self, record: &Record) -> &mut Self {
        let [_, _, enqueued_at @ ..] = record.enqueued_at.as_millis().to_be_bytes();
        let mut bytes = enqueued_at.to_vec();
        bytes.extend(record.encode_unstamped());
        self.values.push(bytes);
        self
    }
}
