//! Makes waiting jobs ready: due ones, and parked ones whose task somebody knows.
//!
//! Both look first and act second, because a script must declare the lists it pushes to and only the records say which.
//! The acting script rechecks each job, so two processes may promote at once.

use celeriac_core::{JobId, QueueName, Record, TaskName, Timestamp};

use super::places::{Places, Stored};
use super::replies::{Reply, job_id, read};
use super::script::{self, Call};
use super::store::RedisBroker;
use crate::batch::{MAX_BATCH_BYTES, MAX_BATCH_JOBS};
use crate::delivery::Promoted;
use crate::error::BrokerError;

/// Records that are read in one command.
pub(super) const RECORDS_READ: usize = 20;

/// How many of the records that were kept aside are looked at again when a worker comes.
const ASIDE_LOOKED_AT: usize = 1000;

/// A job that was found due.
enum Due {
    Ready(JobId, QueueName),
    Shelve(JobId, QueueName),
    Forget(JobId),
}

impl RedisBroker {
    pub(super) async fn promote(&self, max: usize) -> Result<Promoted, BrokerError> {
        let mut call = Call::new(&script::DUE, &[self.keys.scheduled(), self.keys.jobs()]);
        call.arg(self.now_override()).arg(max.min(MAX_BATCH_JOBS)).arg(MAX_BATCH_BYTES);
        let mut reply = self.commands.call(&call).await?;
        let now: Timestamp = reply.instant()?;
        let next_due = reply.maybe_instant()?;
        let due = reply.pairs::<String, Vec<u8>>()?.into_iter().map(sort).collect::<Result<Vec<_>, _>>()?;
        if due.is_empty() {
            return Ok(Promoted { count: 0, next_due, now });
        }
        let mut reply = self.make_due_ready(&due).await?;
        Ok(Promoted { count: reply.take()?, next_due: reply.maybe_instant()?, now })
    }

    async fn make_due_ready(&self, due: &[Due]) -> Result<Reply, BrokerError> {
        let keys = &self.keys;
        let mut queues = Places::new();
        let orders: Vec<(&str, usize, &JobId)> = due
            .iter()
            .map(|job| match job {
                Due::Ready(id, queue) => ("ready", queues.of(queue), id),
                Due::Shelve(id, queue) => ("shelve", queues.of(queue), id),
                Due::Forget(id) => ("forget", 0, id),
            })
            .collect();
        let mut list = vec![keys.scheduled(), keys.jobs(), keys.counts(), keys.unreadable(), keys.queues()];
        list.extend(queues.names().iter().flat_map(|queue| keys.lists(queue)));
        let mut call = Call::new(&script::PROMOTE, &list);
        call.arg(self.now_override());
        add_queues(&mut call, &queues);
        for (order, place, id) in orders {
            call.arg(order).arg(place).arg(id.as_str());
        }
        self.commands.call(&call).await
    }

    pub(super) async fn release(&self, tasks: &[TaskName], max: usize) -> Result<usize, BrokerError> {
        if tasks.is_empty() || max == 0 {
            return Ok(0);
        }
        let readable = self.release_readable(max.min(MAX_BATCH_JOBS)).await?;
        // Asked at once for all: hardly ever is one of them parked.
        let mut command = redis::cmd("SMISMEMBER");
        command.arg(self.keys.parked());
        tasks.iter().for_each(|task| {
            command.arg(task.as_str());
        });
        let parked: Vec<bool> = read(self.commands.command(&command).await?)?;
        let mut released = readable;
        for (task, _) in tasks.iter().zip(parked).filter(|(_, parked)| *parked) {
            let left = max.min(MAX_BATCH_JOBS).saturating_sub(released);
            if left == 0 {
                break;
            }
            released += self.release_task(task, left).await?;
        }
        Ok(released)
    }

    async fn release_task(&self, task: &TaskName, max: usize) -> Result<usize, BrokerError> {
        let aside = self.keys.parked_of(task);
        let mut first = 0;
        loop {
            let ids = self.members(&aside, first, max).await?;
            if ids.is_empty() {
                return Ok(0);
            }
            let records = self.records(&ids).await?;
            if !records.is_empty() {
                return self.make_parked_ready(aside, task.as_str(), records).await;
            }
            // None of those at the front can be read.
            first += RECORDS_READ.min(ids.len());
        }
    }

    /// Makes jobs ready that an older version kept aside and this one can read.
    async fn release_readable(&self, max: usize) -> Result<usize, BrokerError> {
        let aside = self.keys.unreadable();
        let ids = self.members(&aside, 0, ASIDE_LOOKED_AT).await?;
        let mut readable = Vec::new();
        for chunk in ids.chunks(RECORDS_READ) {
            if readable.len() >= max {
                break;
            }
            for (id, bytes) in chunk.iter().zip(self.bytes_of(chunk).await?) {
                readable.extend(Record::decode(job_id(id)?, bytes).ok().filter(|record| !record.state.is_terminal()));
            }
        }
        readable.truncate(max);
        if readable.is_empty() { Ok(0) } else { self.make_parked_ready(aside, "", readable).await }
    }

    /// Members of a sorted set, from the `first` on.
    async fn members(&self, key: &str, first: usize, max: usize) -> Result<Vec<String>, BrokerError> {
        let mut command = redis::cmd("ZRANGE");
        command.arg(key).arg(first).arg(first + max - 1);
        self.ids(&command).await
    }

    async fn make_parked_ready(&self, aside: String, task: &str, records: Vec<Record>) -> Result<usize, BrokerError> {
        let keys = &self.keys;
        let mut queues = Places::new();
        let found: Vec<_> = records.into_iter().map(|record| (queues.of(&record.queue), record.id)).collect();
        let mut list = vec![aside, keys.jobs(), keys.counts(), keys.parked(), keys.queues()];
        list.extend(queues.names().iter().flat_map(|queue| keys.lists(queue)));
        let mut call = Call::new(&script::RELEASE, &list);
        call.arg(self.now_override()).arg(task);
        add_queues(&mut call, &queues);
        for (place, id) in &found {
            call.arg(place).arg(id.as_str());
        }
        self.commands.call(&call).await?.take()
    }

    /// The ids that a command answers.
    pub(super) async fn ids(&self, command: &redis::Cmd) -> Result<Vec<String>, BrokerError> {
        let value = self.commands.command(command).await?;
        read(value)
    }

    /// The records of these ids, as many as can be read and fit into one call. The first [`RECORDS_READ`] are never cut off.
    pub(super) async fn records(&self, ids: &[String]) -> Result<Vec<Record>, BrokerError> {
        let mut records = Vec::with_capacity(ids.len());
        let mut bytes = 0;
        for chunk in ids.chunks(RECORDS_READ) {
            let mut command = redis::cmd("HMGET");
            command.arg(self.keys.jobs()).arg(chunk);
            let found: Vec<Option<Vec<u8>>> = read(self.commands.command(&command).await?)?;
            for (id, found) in chunk.iter().zip(found) {
                let Some(found) = found else { continue };
                bytes += found.len();
                if let Stored::Readable(record) = Stored::decode(&job_id(id)?, found) {
                    records.push(record);
                }
            }
            if bytes >= MAX_BATCH_BYTES {
                break;
            }
        }
        Ok(records)
    }
}

/// The number of queues, then their names: a part of several scripts' arguments.
pub(super) fn add_queues(call: &mut Call, queues: &Places<QueueName>) {
    call.arg(queues.len());
    queues.names().iter().for_each(|queue| {
        call.arg(queue.as_str());
    });
}

fn sort((id, bytes): (String, Vec<u8>)) -> Result<Due, BrokerError> {
    let id = job_id(&id)?;
    if bytes.is_empty() {
        return Ok(Due::Forget(id));
    }
    let stored = Stored::decode(&id, bytes);
    let queue = stored.queue().clone();
    Ok(if matches!(stored, Stored::Readable(_)) { Due::Ready(id, queue) } else { Due::Shelve(id, queue) })
}
