//! Ends jobs in the name of a person: revokes those that somebody names, and purges queues.
//!
//! A script cannot write the end of a job, because it cannot read its record. So the record is read first, the end is made of
//! it, and the script applies that if the record is still the same.

use std::collections::HashMap;

use celeriac_core::{
    DEFAULT_RESULT_TTL, Incarnation, JobId, Outcome, Priority, QueueName, Record, State, TaskName, Timestamp,
};

use super::places::{Places, Stored};
use super::promote::RECORDS_READ;
use super::replies::{Status, job_id, read};
use super::script::{self, Call};
use super::session::millis;
use super::settle::{coarse, unique_of};
use super::store::RedisBroker;
use crate::batch::MAX_BATCH_BYTES;
use crate::control::{Purged, Revocation};
use crate::error::BrokerError;

/// Bytes at the front of a record that say whether it is still the same: two instants, state, counters.
const HEAD: usize = 22;
/// Where the letter of the state is among them.
const STATE_AT: usize = 13;
/// How often a job is looked at again that changes between look and deed.
const MOST_LOOKS: usize = 20;
/// How long an order is kept for a worker. One that holds jobs asks at once; any other has no use for it.
const ORDER_TTL_MS: u64 = 60_000;
/// Ids of a list that one step of a purge looks at.
const PURGED_AT_ONCE: usize = 100;

/// An unfinished job and what a script must know to end it.
struct Unfinished<'a> {
    id: &'a JobId,
    /// The bytes that its record begins with.
    head: Vec<u8>,
    stored: Stored,
}

impl Unfinished<'_> {
    fn unreadable(&self) -> BrokerError {
        let detail =
            format!("{} cannot be read; revoke it again when a worker has come upon it and kept it aside", self.id);
        BrokerError::Corrupt { what: "a job", detail }
    }
}

/// The times to keep ends, in the order in which a script knows them.
#[derive(Default)]
struct Keeps(Vec<u64>);

impl Keeps {
    /// The place of a job's own time, or of the default one, counted from 1; 0 for a job whose end is not kept.
    fn of(&mut self, record: &Record) -> usize {
        let keep = coarse(std::time::Duration::from_millis(
            record.options.result_ttl_ms.unwrap_or(millis(DEFAULT_RESULT_TTL)),
        ));
        if keep == 0 {
            return 0;
        }
        if !self.0.contains(&keep) {
            self.0.push(keep);
        }
        self.0.iter().position(|known| *known == keep).map_or(0, |place| place + 1)
    }
}

impl RedisBroker {
    pub(super) async fn revoke_jobs(&self, ids: &[JobId], by: &str) -> Result<Vec<Revocation>, BrokerError> {
        let mut answers = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(RECORDS_READ) {
            answers.extend(self.revoke_some(chunk, by).await?);
        }
        Ok(answers)
    }

    async fn revoke_some(&self, ids: &[JobId], by: &str) -> Result<Vec<Revocation>, BrokerError> {
        let mut answers: HashMap<&JobId, Revocation> = HashMap::new();
        for _ in 0..MOST_LOOKS {
            let open: Vec<&JobId> = ids.iter().filter(|id| !answers.contains_key(id)).collect();
            if open.is_empty() {
                break;
            }
            let mut unfinished = Vec::new();
            let names: Vec<String> = open.iter().map(|id| id.to_string()).collect();
            for (id, bytes) in open.into_iter().zip(self.bytes_of(&names).await?) {
                let head = bytes[..HEAD.min(bytes.len())].to_vec();
                if bytes.is_empty() {
                    answers.insert(id, self.ended(id).await?);
                    continue;
                }
                match Stored::decode(id, bytes) {
                    Stored::Readable(record) if record.state.is_terminal() => {
                        answers.insert(id, Revocation::TooLate);
                    }
                    // Nothing is known of it but that it is dead.
                    Stored::Unreadable(_) if head.get(STATE_AT).copied() == State::Dead.letter() => {
                        answers.insert(id, Revocation::TooLate);
                    }
                    stored => unfinished.push(Unfinished { id, head, stored }),
                }
            }
            for (job, letter) in unfinished.iter().zip(self.apply_revocation(&unfinished, by).await?.bytes()) {
                match letter {
                    b'E' => drop(answers.insert(job.id, Revocation::Ended)),
                    b'T' => drop(answers.insert(job.id, Revocation::Told)),
                    b'C' => return Err(job.unreadable()),
                    _ => {}
                }
            }
        }
        let changing = || BrokerError::Invalid("a job changes too fast to be revoked; try again".to_owned());
        ids.iter().map(|id| answers.get(id).copied().ok_or_else(changing)).collect()
    }

    /// What can be said of a job without a record.
    async fn ended(&self, id: &JobId) -> Result<Revocation, BrokerError> {
        Ok(if self.read_result(id).await?.is_some() { Revocation::TooLate } else { Revocation::Unknown })
    }

    /// Answers a letter for each job; none if a worker came between, so that all must be looked at again.
    async fn apply_revocation(&self, unfinished: &[Unfinished<'_>], by: &str) -> Result<String, BrokerError> {
        if unfinished.is_empty() {
            return Ok(String::new());
        }
        let now = self.store_time().await?;
        let holders = self.holders().await?;
        let keys = &self.keys;
        let (mut queues, mut tasks, mut keeps) =
            (Places::<QueueName>::new(), Places::<TaskName>::new(), Keeps::default());
        let mut place = |stored: &Stored| match stored {
            Stored::Readable(record) => (queues.of(&record.queue), tasks.of(&record.task), keeps.of(record)),
            Stored::Unreadable(queue) => (queues.of(queue), 0, 0),
        };
        let places: Vec<_> = unfinished.iter().map(|job| place(&job.stored)).collect();
        let mut list = vec![keys.jobs(), keys.scheduled(), keys.counts(), keys.ends(), keys.keeps(), keys.unique()];
        list.extend([keys.revoked(), keys.leases(), keys.lost(), keys.parked(), keys.unreadable()]);
        list.extend(holders.iter().flat_map(|holder| [keys.running(holder), keys.orders(holder)]));
        list.extend(tasks.names().iter().map(|task| keys.parked_of(task)));
        list.extend(keeps.0.iter().map(|keep| keys.ended(*keep)));
        let mut call = Call::new(&script::REVOKE, &list);
        call.arg(self.now_override()).arg(keys.finished()).arg(by).arg(ORDER_TTL_MS);
        call.arg(holders.len()).arg(queues.len()).arg(tasks.len()).arg(keeps.0.len());
        call.arg(holders.iter().map(Incarnation::as_str).collect::<Vec<_>>());
        call.arg(queues.names().iter().map(QueueName::as_str).collect::<Vec<_>>());
        call.arg(tasks.names().iter().map(TaskName::as_str).collect::<Vec<_>>());
        call.arg(&keeps.0);
        for (Unfinished { id, head, stored }, (queue, task, keep)) in unfinished.iter().zip(places) {
            let (unique, end) = match stored {
                Stored::Readable(record) => (unique_of(record), revoked(record, by, now).encode()),
                Stored::Unreadable(_) => ("", Vec::new()),
            };
            call.arg(id.as_str()).arg(head.as_slice()).arg(queue).arg(task).arg(unique).arg(keep).arg(end);
        }
        let mut reply = self.commands.call(&call).await?;
        if reply.status() == Status::Again { Ok(String::new()) } else { reply.take() }
    }

    /// Whoever may hold jobs: only those with a lease, and those that were condemned.
    async fn holders(&self) -> Result<Vec<Incarnation>, BrokerError> {
        let mut holders = Vec::new();
        for key in [self.keys.leases(), self.keys.lost()] {
            let mut command = redis::cmd("ZRANGE");
            command.arg(key).arg(0).arg(-1);
            holders.extend(self.ids(&command).await?.into_iter().map(Incarnation::from_stored));
        }
        holders.sort();
        holders.dedup();
        Ok(holders)
    }

    pub(super) async fn purge_queue(&self, queue: &QueueName, max: usize, by: &str) -> Result<Purged, BrokerError> {
        let keys = &self.keys;
        let lists = Priority::ALL.into_iter().map(|priority| keys.ready(queue, priority));
        let mut purged = Purged::default();
        for list in lists.chain([keys.suspects(queue)]) {
            while purged.count < max {
                let step = self.purge_list(queue, &list, (max - purged.count).min(PURGED_AT_ONCE), by).await?;
                let Some(count) = step else { break };
                purged.count += count;
                purged.more = purged.count >= max;
            }
        }
        Ok(purged)
    }

    /// One step of a purge; `None` when the list is empty.
    async fn purge_list(
        &self,
        queue: &QueueName,
        list: &str,
        max: usize,
        by: &str,
    ) -> Result<Option<usize>, BrokerError> {
        let keys = &self.keys;
        let mut command = redis::cmd("LRANGE");
        command.arg(list).arg(0).arg(max - 1);
        let ids = self.ids(&command).await?;
        if ids.is_empty() {
            return Ok(None);
        }
        let ids = &ids[..self.how_many_fit(&ids).await?];
        let now = self.store_time().await?;
        let mut keeps = Keeps::default();
        let mut ends = Vec::with_capacity(ids.len());
        for (id, bytes) in ids.iter().zip(self.bytes_of(ids).await?) {
            let head = bytes[..HEAD.min(bytes.len())].to_vec();
            if bytes.is_empty() {
                ends.push((id, head, String::new(), 0, Vec::new()));
                continue;
            }
            ends.push(match Stored::decode(&job_id(id)?, bytes) {
                Stored::Readable(record) => {
                    (id, head, unique_of(&record).to_owned(), keeps.of(&record), revoked(&record, by, now).encode())
                }
                Stored::Unreadable(_) => (id, head, String::new(), 0, Vec::new()),
            });
        }
        let mut list = vec![
            keys.jobs(),
            keys.counts(),
            keys.ends(),
            keys.keeps(),
            keys.unique(),
            keys.unreadable(),
            list.to_owned(),
        ];
        list.extend(keeps.0.iter().map(|keep| keys.ended(*keep)));
        let mut call = Call::new(&script::PURGE, &list);
        call.arg(self.now_override()).arg(keys.finished()).arg(queue.as_str()).arg(keeps.0.len()).arg(&keeps.0);
        for (id, head, unique, keep, end) in ends {
            call.arg(id).arg(head).arg(unique).arg(keep).arg(end);
        }
        self.commands.call(&call).await?.take().map(Some)
    }

    /// How many of these ids have records that fit into one answer: one at least.
    async fn how_many_fit(&self, ids: &[String]) -> Result<usize, BrokerError> {
        let mut lengths = redis::pipe();
        for id in ids {
            lengths.cmd("HSTRLEN").arg(self.keys.jobs()).arg(id);
        }
        let (mut fit, mut bytes) = (0, 0);
        for length in self.commands.pipeline(&lengths).await? {
            bytes += read::<usize>(length)?;
            if fit > 0 && bytes > MAX_BATCH_BYTES {
                break;
            }
            fit += 1;
        }
        Ok(fit)
    }

    /// The bytes of these ids' records; none for an id without.
    pub(super) async fn bytes_of(&self, ids: &[String]) -> Result<Vec<Vec<u8>>, BrokerError> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.keys.jobs()).arg(ids);
        let found: Vec<Option<Vec<u8>>> = read(self.commands.command(&command).await?)?;
        Ok(found.into_iter().map(Option::unwrap_or_default).collect())
    }
}

/// The end of a job that waited.
fn revoked(record: &Record, by: &str, now: Timestamp) -> Outcome {
    Outcome::of_waiting(record, State::Revoked, by, "revoked", now)
}
