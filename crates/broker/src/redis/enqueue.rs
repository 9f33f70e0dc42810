//! Producer side: sends a numbered batch to `enqueue.lua`.

use std::borrow::Cow;

use celeriac_core::{Priority, QueueName, Record, State};

use super::places::Places;
use super::replies::{Reply, Status, job_id};
use super::script::{self, Call};
use super::store::RedisBroker;
use crate::batch::{
    Acceptance, Batch, BatchAnswer, IdOrigin, LANE_TTL, MAX_BATCH_BYTES, MAX_BATCH_JOBS, NewJob, Start,
};
use crate::error::BrokerError;

impl RedisBroker {
    pub(super) async fn enqueue_batch(&self, batch: &Batch) -> Result<BatchAnswer, BrokerError> {
        check(batch)?;
        let mut targets = Targets { queues: Places::new(), lists: Places::new() };
        let runs = runs(&batch.jobs, &mut targets);
        let mut call = Call::new(&script::ENQUEUE, &self.enqueue_keys(batch, &targets));
        call.arg(self.now_override())
            .arg(batch.lane.index)
            .arg(batch.number)
            .arg(batch.lane.made_at.as_millis())
            .arg(LANE_TTL.as_millis() as u64)
            .arg(targets.queues.len())
            .arg(targets.lists.len())
            .arg(runs.len());
        for queue in targets.queues.names() {
            call.arg(queue.as_str());
        }
        for (queue, priority) in targets.lists.names() {
            call.arg(format!("{}:{}", targets.queues.place(queue), priority.get()));
        }
        for run in &runs {
            call.arg(&run.plan).arg(run.jobs);
        }
        let mut bytes = Vec::new();
        for job in &batch.jobs {
            bytes.clear();
            write_unstamped(job, &mut bytes);
            call.arg(job.record.id.as_str()).arg(bytes.as_slice());
            if let Some(unique) = &job.record.options.unique {
                call.arg(unique.as_str());
            }
        }
        answer(self.commands.call(&call).await?, batch.jobs.len())
    }

    fn enqueue_keys(&self, batch: &Batch, targets: &Targets) -> Vec<String> {
        let keys = &self.keys;
        let mut list = vec![keys.jobs(), keys.queues(), keys.scheduled(), keys.counts()];
        list.extend([keys.producer(&batch.lane.producer), keys.meta(), keys.ends(), keys.unique()]);
        list.extend(targets.queues.names().iter().map(|queue| keys.wake(queue)));
        list.extend(targets.lists.names().iter().map(|(queue, priority)| keys.ready(queue, *priority)));
        list
    }
}

fn check(batch: &Batch) -> Result<(), BrokerError> {
    let jobs = batch.jobs.len();
    let bytes: usize = batch.jobs.iter().map(|job| job.record.payload.len()).sum();
    if jobs > MAX_BATCH_JOBS {
        return Err(BrokerError::Invalid(format!("a batch has {jobs} jobs; at most {MAX_BATCH_JOBS} are allowed")));
    }
    if jobs > 1 && bytes > MAX_BATCH_BYTES {
        return Err(BrokerError::Invalid(format!("a batch has {bytes} bytes; at most {MAX_BATCH_BYTES} are allowed")));
    }
    Ok(())
}

/// Jobs that follow each other and have one plan. Most batches are one run.
struct Run {
    plan: String,
    jobs: usize,
}

/// The queues of a batch, and their lists of one priority each.
struct Targets {
    queues: Places<QueueName>,
    lists: Places<(QueueName, Priority)>,
}

fn runs(jobs: &[NewJob], targets: &mut Targets) -> Vec<Run> {
    let what = |job: &NewJob| (job.start, job.id_origin, job.record.priority, job.record.options.unique.is_some());
    let alike = |a: &NewJob, b: &NewJob| what(a) == what(b) && a.record.queue == b.record.queue;
    jobs.chunk_by(alike).map(|run| Run { plan: plan(&run[0], targets), jobs: run.len() }).collect()
}

/// What the script must know of a job beside its id and record; the short form, two places alone, is what most jobs have.
fn plan(job: &NewJob, targets: &mut Targets) -> String {
    let record = &job.record;
    let place = targets.queues.of(&record.queue);
    let list = targets.lists.of(&(record.queue.clone(), record.priority));
    let start = match job.start {
        Start::Now => String::new(),
        Start::After(delay) => format!("+{}", u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        Start::At(due) => format!("@{}", due.as_millis()),
    };
    let given = if job.id_origin == IdOrigin::Given { "!" } else { "" };
    let unique = if record.options.unique.is_some() { "~" } else { "" };
    format!("{place}.{list}{start}{given}{unique}")
}

/// Appends the bytes to store, but for the stamps: a fresh job in the state in which it begins.
fn write_unstamped(job: &NewJob, bytes: &mut Vec<u8>) {
    let state = if job.start == Start::Now { State::Queued } else { State::Scheduled };
    let record: Cow<'_, Record> = if job.record.state == state {
        Cow::Borrowed(&job.record)
    } else {
        let mut record = job.record.clone();
        record.state = state;
        Cow::Owned(record)
    };
    record.encode_unstamped_to(bytes);
}

fn answer(mut reply: Reply, jobs: usize) -> Result<BatchAnswer, BrokerError> {
    if reply.status() == Status::Gap {
        return Ok(BatchAnswer::Gap);
    }
    let letters: String = reply.take()?;
    let holders: String = reply.take()?;
    if letters.is_empty() {
        return Ok(BatchAnswer::Applied(vec![Acceptance::Accepted; jobs]));
    }
    let mut holders = holders.split(' ');
    let acceptances = letters.bytes().map(|letter| {
        Ok(match letter {
            b'I' => Acceptance::IdInUse,
            b'U' => Acceptance::UniqueInUse { holder: job_id(holders.next().unwrap_or_default())? },
            _ => Acceptance::Accepted,
        })
    });
    Ok(BatchAnswer::Applied(acceptances.collect::<Result<_, BrokerError>>()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::time::Duration;

    use celeriac_core::{JobId, TaskName, Timestamp, UniqueKey};

    use super::*;

    fn job(start: Start, id_origin: IdOrigin) -> NewJob {
        let task = TaskName::new("t").unwrap();
        let record = Record::new(JobId::generate(), task, QueueName::default(), Vec::new());
        NewJob { record, start, id_origin }
    }

    #[test]
    fn a_plan_names_queue_start_and_origin() {
        let mut targets = Targets { queues: Places::new(), lists: Places::new() };
        assert_eq!(plan(&job(Start::Now, IdOrigin::Generated), &mut targets), "1.1");
        let mut urgent = job(Start::After(Duration::from_secs(1)), IdOrigin::Given);
        urgent.record.priority = Priority::new(9).unwrap();
        urgent.record.options.unique = UniqueKey::new("key").ok();
        assert_eq!(plan(&urgent, &mut targets), "1.2+1000!~");
        assert_eq!(plan(&job(Start::At(Timestamp::from_millis(7)), IdOrigin::Generated), &mut targets), "1.1@7");
    }

    proptest! {
        #[test]
        fn any_answer_to_a_batch_is_read_or_refused(values in prop::collection::vec(crate::redis::replies::tests::values(), 0..4), letters in "[AIUx]{0,5}", holders in "[a-z ]{0,9}", jobs in 0usize..5) {
            let bulk = |text: &str| redis::Value::BulkString(text.as_bytes().to_vec());
            let fitting = redis::Value::Array(vec![bulk("applied"), bulk(&letters), bulk(&holders)]);
            for value in [redis::Value::Array(values), fitting] {
                let Ok(reply) = Reply::new(value) else { continue };
                let _ = answer(reply, jobs);
            }
        }
    }
}
