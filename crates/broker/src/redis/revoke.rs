//! Ends jobs in the name of a person: revokes those that somebody names, and purges queues.
//!
//! A script cannot write the end of a job, because it cannot read its record. So the record is read first, the end is made of
//! it, and the script applies that if the record is still the same.

use std::collections::HashMap;

use celeriac_core::canvas::Policy;
use celeriac_core::{
    DEFAULT_RESULT_TTL, Incarnation, JobId, Outcome, Priority, QueueName, Record, State, TaskName, Timestamp,
    WorkflowId,
};

use super::places::{Places, Stored};
use super::promote::RECORDS_READ;
use super::replies::{Status, job_id, read};
use super::script::{self, Call};
use super::session::millis;
use super::settle::{coarse, unique_of};
use super::store::RedisBroker;
use super::workflows::add_step;
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
    /// Whether it is a step of this workflow that waits, and no callback.
    fn is_step_of(&self, workflow: &WorkflowId) -> bool {
        let Stored::Readable(record) = &self.stored else { return false };
        let step = record.options.step.as_ref().filter(|step| step.policy != Policy::Callback);
        !record.state.is_terminal() && step.is_some_and(|step| step.workflow == *workflow)
    }

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
                    // Only its id is left, in a list.
                    Stored::Readable(record) if record.state == State::Revoked => {
                        answers.insert(id, self.ended(id).await?);
                    }
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
            for (job, letter) in
                unfinished.iter().zip(self.apply_revocation(&unfinished, by, None).await?.unwrap_or_default().bytes())
            {
                match letter {
                    b'E' => drop(answers.insert(job.id, Revocation::Ended)),
                    b'T' => drop(answers.insert(job.id, Revocation::Told)),
                    b'C' => return Err(job.unreadable()),
                    _ => {}
                }
            }
        }
        ids.iter().map(|id| answers.get(id).copied().ok_or_else(changing)).collect()
    }

    /// What can be said of a job without a record.
    async fn ended(&self, id: &JobId) -> Result<Revocation, BrokerError> {
        Ok(if self.read_result(id).await?.is_some() { Revocation::TooLate } else { Revocation::Unknown })
    }

    /// Takes jobs of a halted workflow out that wait; `None` if it is not halted.
    pub(super) async fn withdraw_jobs(
        &self,
        workflow: &WorkflowId,
        ids: &[JobId],
    ) -> Result<Option<usize>, BrokerError> {
        let mut count = 0;
        // Without jobs too, the answer says whether it is halted.
        let chunks = if ids.is_empty() { vec![ids] } else { ids.chunks(RECORDS_READ).collect() };
        for chunk in chunks {
            let mut open = chunk.to_vec();
            for _ in 0..MOST_LOOKS {
                let names: Vec<String> = open.iter().map(ToString::to_string).collect();
                let found = if names.is_empty() { Vec::new() } else { self.bytes_of(&names).await? };
                let jobs = open.iter().zip(found).filter(|(_, bytes)| !bytes.is_empty()).map(|(id, bytes)| {
                    Unfinished { id, head: bytes[..HEAD.min(bytes.len())].to_vec(), stored: Stored::decode(id, bytes) }
                });
                let unfinished: Vec<_> = jobs.filter(|job| job.is_step_of(workflow)).collect();
                let Some(letters) = self.apply_revocation(&unfinished, "", Some(workflow)).await? else {
                    return Ok(None);
                };
                count += letters.bytes().filter(|letter| *letter == b'E').count();
                let all_changed = letters.is_empty() && !unfinished.is_empty();
                let mut letters = letters.bytes();
                open = unfinished
                    .iter()
                    .filter(|_| all_changed || letters.next() == Some(b'A'))
                    .map(|job| job.id.clone())
                    .collect();
                if open.is_empty() {
                    break;
                }
            }
            if !open.is_empty() {
                return Err(changing());
            }
        }
        Ok(Some(count))
    }

    /// Answers a letter for each job; none if a worker came between, so that all must be looked at again. Or `None` if they were to be
    /// withdrawn from a workflow that is not halted.
    async fn apply_revocation(
        &self,
        unfinished: &[Unfinished<'_>],
        by: &str,
        withdraw: Option<&WorkflowId>,
    ) -> Result<Option<String>, BrokerError> {
        if unfinished.is_empty() && withdraw.is_none() {
            return Ok(Some(String::new()));
        }
        let now = self.store_time().await?;
        let holders = self.holders().await?;
        let keys = &self.keys;
        let (mut queues, mut tasks, mut keeps) =
            (Places::<QueueName>::new(), Places::<TaskName>::new(), Keeps::default());
        let mut workflows = Places::<WorkflowId>::new();
        withdraw.iter().for_each(|workflow| {
            workflows.of(workflow);
        });
        let mut place = |stored: &Stored| match stored {
            Stored::Readable(record) => {
                let keep = if withdraw.is_some() { 0 } else { keeps.of(record) };
                record.options.step.iter().for_each(|step| {
                    workflows.of(&step.workflow);
                });
                (queues.of(&record.queue), tasks.of(&record.task), keep)
            }
            Stored::Unreadable(queue) => (queues.of(queue), 0, 0),
        };
        let places: Vec<_> = unfinished.iter().map(|job| place(&job.stored)).collect();
        let mut list = vec![keys.jobs(), keys.scheduled(), keys.counts(), keys.ends(), keys.keeps(), keys.unique()];
        list.extend([keys.revoked(), keys.leases(), keys.lost(), keys.parked(), keys.unreadable()]);
        list.extend([keys.workflow_events(), keys.workflow_untils()]);
        list.extend(holders.iter().flat_map(|holder| [keys.running(holder), keys.orders(holder)]));
        list.extend(tasks.names().iter().map(|task| keys.parked_of(task)));
        list.extend(keeps.0.iter().map(|keep| keys.ended(*keep)));
        list.extend(workflows.names().iter().map(|workflow| keys.workflow(workflow)));
        let mut call = Call::new(&script::REVOKE, &list);
        call.arg(self.now_override()).arg(keys.finished()).arg(by).arg(ORDER_TTL_MS);
        call.arg(holders.len()).arg(queues.len()).arg(tasks.len()).arg(keeps.0.len());
        call.arg(workflows.len()).arg(if withdraw.is_some() { "yes" } else { "no" });
        call.arg(holders.iter().map(Incarnation::as_str).collect::<Vec<_>>());
        call.arg(queues.names().iter().map(QueueName::as_str).collect::<Vec<_>>());
        call.arg(tasks.names().iter().map(TaskName::as_str).collect::<Vec<_>>());
        call.arg(&keeps.0);
        call.arg(workflows.names().iter().map(WorkflowId::as_str).collect::<Vec<_>>());
        for (Unfinished { id, head, stored }, (queue, task, keep)) in unfinished.iter().zip(places) {
            let (unique, end) = match stored {
                Stored::Readable(record) => (unique_of(record), Some((record, revoked(record, by, now)))),
                Stored::Unreadable(_) => ("", None),
            };
            call.arg(id.as_str()).arg(head.as_slice()).arg(queue).arg(task).arg(unique).arg(keep);
            call.arg(end.as_ref().map(|(_, end)| end.encode()).unwrap_or_default());
            add_end_of_step(&mut call, end.filter(|_| withdraw.is_none()), &workflows);
        }
        let mut reply = self.commands.call(&call).await?;
        match reply.status() {
            Status::Again => Ok(Some(String::new())),
            Status::Refused => Ok(None),
            _ => reply.take().map(Some),
        }
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
        let (mut keeps, mut workflows) = (Keeps::default(), Places::<WorkflowId>::new());
        let mut ends = Vec::with_capacity(ids.len());
        for (id, bytes) in ids.iter().zip(self.bytes_of(ids).await?) {
            let head = bytes[..HEAD.min(bytes.len())].to_vec();
            if bytes.is_empty() {
                ends.push((id, head, String::new(), 0, None));
                continue;
            }
            ends.push(match Stored::decode(&job_id(id)?, bytes) {
                Stored::Readable(record) => {
                    record.options.step.iter().for_each(|step| {
                        workflows.of(&step.workflow);
                    });
                    let (keep, end) = (keeps.of(&record), revoked(&record, by, now));
                    (id, head, unique_of(&record).to_owned(), keep, Some((record, end)))
                }
                Stored::Unreadable(_) => (id, head, String::new(), 0, None),
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
            keys.workflow_events(),
            keys.workflow_untils(),
        ];
        list.extend(keeps.0.iter().map(|keep| keys.ended(*keep)));
        list.extend(workflows.names().iter().map(|workflow| keys.workflow(workflow)));
        let mut call = Call::new(&script::PURGE, &list);
        call.arg(self.now_override()).arg(keys.finished()).arg(queue.as_str()).arg(keeps.0.len());
        call.arg(workflows.len()).arg(&keeps.0);
        call.arg(workflows.names().iter().map(WorkflowId::as_str).collect::<Vec<_>>());
        for (id, head, unique, keep, end) in &ends {
            call.arg(*id).arg(head.as_slice()).arg(unique).arg(*keep);
            call.arg(end.as_ref().map(|(_, end)| end.encode()).unwrap_or_default());
            add_end_of_step(&mut call, end.as_ref().map(|(record, end)| (record, end.clone())), &workflows);
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

/// Adds what becomes of the workflow whose step ends, if it is one.
fn add_end_of_step(call: &mut Call, end: Option<(&Record, Outcome)>, workflows: &Places<WorkflowId>) {
    match end.and_then(|(record, outcome)| Some((record.options.step.as_deref()?, outcome))) {
        Some((step, outcome)) => {
            call.arg(workflows.place(&step.workflow));
            add_step(call, step, &step.end(&outcome), false, |_| 0);
        }
        None => drop(call.arg(0)),
    }
}

fn changing() -> BrokerError {
    BrokerError::Invalid("a job changes too fast to be revoked; try again".to_owned())
}

/// The end of a job that waited.
fn revoked(record: &Record, by: &str, now: Timestamp) -> Outcome {
    Outcome::of_waiting(record, State::Revoked, by, "revoked", now)
}
