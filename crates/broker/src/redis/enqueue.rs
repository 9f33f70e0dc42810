//! Producer side: sends a numbered batch to `enqueue.lua`.

use std::borrow::Cow;

use celeriac_core::{QueueName, Record, State};

use super::places::Places;
use super::replies::{Reply, Status};
use super::script::{self, Call};
use super::store::RedisBroker;
use crate::batch::{
    Acceptance, Batch, BatchAnswer, IdOrigin, LANE_TTL, MAX_BATCH_BYTES, MAX_BATCH_JOBS, NewJob, Start,
};
use crate::error::BrokerError;

impl RedisBroker {
    pub(super) async fn enqueue_batch(&self, batch: &Batch) -> Result<BatchAnswer, BrokerError> {
        check(batch)?;
        let mut queues = Places::new();
        let runs = runs(&batch.jobs, &mut queues);
        let mut call = Call::new(&script::ENQUEUE, &self.enqueue_keys(batch, &queues));
        call.arg(self.now_override())
            .arg(batch.lane.index)
            .arg(batch.number)
            .arg(batch.lane.made_at.as_millis())
            .arg(LANE_TTL.as_millis() as u64)
            .arg(queues.len())
            .arg(runs.len());
        for queue in queues.names() {
            call.arg(queue.as_str());
        }
        for run in &runs {
            call.arg(&run.plan).arg(run.jobs);
        }
        let mut bytes = Vec::new();
        for job in &batch.jobs {
            bytes.clear();
            write_unstamped(job, &mut bytes);
            call.arg(job.record.id.as_str()).arg(bytes.as_slice());
        }
        answer(self.commands.call(&call).await?, batch.jobs.len())
    }

    fn enqueue_keys(&self, batch: &Batch, queues: &Places<QueueName>) -> Vec<String> {
        let keys = &self.keys;
        let mut list = vec![keys.jobs(), keys.queues(), keys.scheduled(), keys.counts()];
        list.extend([keys.producer(&batch.lane.producer), keys.meta(), keys.ends()]);
        list.extend(queues.names().iter().flat_map(|queue| [keys.ready(queue), keys.wake(queue)]));
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

fn runs(jobs: &[NewJob], queues: &mut Places<QueueName>) -> Vec<Run> {
    let alike =
        |a: &NewJob, b: &NewJob| (a.start, a.id_origin, &a.record.queue) == (b.start, b.id_origin, &b.record.queue);
    jobs.chunk_by(alike).map(|run| Run { plan: plan(&run[0], queues), jobs: run.len() }).collect()
}

/// What the script must know of a job beside its id and record; the short form, a place alone, is what most jobs have.
fn plan(job: &NewJob, queues: &mut Places<QueueName>) -> String {
    let place = queues.of(&job.record.queue);
    let start = match job.start {
        Start::Now => String::new(),
        Start::After(delay) => format!("+{}", u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        Start::At(due) => format!("@{}", due.as_millis()),
    };
    let given = if job.id_origin == IdOrigin::Given { "!" } else { "" };
    format!("{place}{start}{given}")
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
    if letters.is_empty() {
        return Ok(BatchAnswer::Applied(vec![Acceptance::Accepted; jobs]));
    }
    let acceptance = |letter| if letter == b'I' { Acceptance::IdInUse } else { Acceptance::Accepted };
    Ok(BatchAnswer::Applied(letters.bytes().map(acceptance).collect()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use celeriac_core::{JobId, TaskName, Timestamp};

    use super::*;

    fn job(start: Start, id_origin: IdOrigin) -> NewJob {
        let task = TaskName::new("t").unwrap();
        let record = Record::new(JobId::generate(), task, QueueName::default(), Vec::new());
        NewJob { record, start, id_origin }
    }

    #[test]
    fn a_plan_names_queue_start_and_origin() {
        let mut queues = Places::new();
        assert_eq!(plan(&job(Start::Now, IdOrigin::Generated), &mut queues), "1");
        assert_eq!(plan(&job(Start::After(Duration::from_secs(1)), IdOrigin::Given), &mut queues), "1+1000!");
        assert_eq!(plan(&job(Start::At(Timestamp::from_millis(7)), IdOrigin::Generated), &mut queues), "1@7");
    }
}
