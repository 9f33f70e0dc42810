//! Takes jobs back from workers that vanished, in two steps (condemn, then drain), and cleans up behind time.

use celeriac_core::{Fence, Incarnation, JobId, QueueName, WorkflowId};

use super::fetch::deliveries;
use super::places::Stored;
use super::replies::{Status, job_id, read};
use super::script::{self, Call};
use super::store::RedisBroker;
use crate::batch::{MAX_BATCH_BYTES, MAX_BATCH_JOBS};
use crate::delivery::{Condemned, Delivery, Pruned};
use crate::error::BrokerError;

/// Lists of ended jobs that one call looks at.
const KEEPS_AT_ONCE: usize = 100;

impl RedisBroker {
    pub(super) async fn condemn(&self, queues: &[QueueName], max: usize) -> Result<Condemned, BrokerError> {
        let keys = &self.keys;
        let mut list = vec![keys.leases(), keys.scheduled(), keys.lost(), keys.queues(), keys.workflow_events()];
        list.extend(queues.iter().flat_map(|queue| keys.lists(queue)));
        let mut call = Call::new(&script::EXPIRED, &list);
        call.arg(self.now_override()).arg(max);
        queues.iter().for_each(|queue| {
            call.arg(queue.as_str());
        });
        let mut reply = self.commands.call(&call).await?;
        let now = reply.instant()?;
        let (next_expiry, next_due) = (reply.maybe_instant()?, reply.maybe_instant()?);
        let expired: Vec<String> = reply.take()?;
        let lost: Vec<String> = reply.take()?;
        let (work_waiting, events_waiting) = (reply.take()?, reply.take()?);
        let mut lost: Vec<_> = lost.into_iter().map(Incarnation::from_stored).collect();
        let mut incarnations = Vec::with_capacity(expired.len());
        for incarnation in expired.into_iter().map(Incarnation::from_stored) {
            if self.condemn_one(&incarnation).await? {
                lost.push(incarnation.clone());
                incarnations.push(incarnation);
            }
        }
        Ok(Condemned { incarnations, lost, next_expiry, next_due, now, work_waiting, events_waiting })
    }

    async fn condemn_one(&self, incarnation: &Incarnation) -> Result<bool, BrokerError> {
        let keys = &self.keys;
        let list = [keys.leases(), keys.lost(), keys.workers(), keys.worker(incarnation)];
        let mut call = Call::new(&script::CONDEMN, &list);
        call.arg(self.now_override()).arg(incarnation.as_str());
        Ok(self.commands.call(&call).await?.status() == Status::Done)
    }

    pub(super) async fn lost_incarnations(&self, max: usize) -> Result<Vec<Incarnation>, BrokerError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("ZRANGE");
        command.arg(self.keys.lost()).arg(0).arg(max - 1);
        Ok(self.ids(&command).await?.into_iter().map(Incarnation::from_stored).collect())
    }

    /// What an incarnation holds, or of these ids those that it holds.
    pub(super) async fn held_jobs(
        &self,
        incarnation: &Incarnation,
        max: usize,
        ids: &[JobId],
    ) -> Result<Vec<Delivery>, BrokerError> {
        let mut call = Call::new(&script::HELD, &[self.keys.running(incarnation), self.keys.jobs()]);
        call.arg(max.min(MAX_BATCH_JOBS)).arg(MAX_BATCH_BYTES);
        ids.iter().for_each(|id| {
            call.arg(id.as_str());
        });
        let mut values = self.commands.call(&call).await?.take::<Vec<redis::Value>>()?.into_iter();
        let mut held = Vec::with_capacity(values.len() / 3);
        while let (Some(id), Some(fence), Some(record)) = (values.next(), values.next(), values.next()) {
            held.push(Ok((job_id(&read::<String>(id)?)?, Fence::new(read(fence)?), read(record)?)));
        }
        let (jobs, odd) = deliveries(incarnation, held.into_iter())?;
        self.shelve(incarnation, &odd).await?;
        Ok(jobs)
    }

    pub(super) async fn forget_lost(&self, incarnation: &Incarnation) -> Result<bool, BrokerError> {
        let keys = &self.keys;
        let list = [keys.lost(), keys.running(incarnation), keys.jobs(), keys.control(incarnation), keys.revoked()];
        let mut call = Call::new(&script::FINISH_DRAIN, &list);
        call.arg(incarnation.as_str());
        Ok(self.commands.call(&call).await?.status() == Status::Done)
    }

    pub(super) async fn clean_up(&self, max: usize) -> Result<Pruned, BrokerError> {
        let keys = &self.keys;
        let mut call =
            Call::new(&script::STALE, &[keys.burials(), keys.workers(), keys.jobs(), keys.workflow_untils()]);
        call.arg(self.now_override()).arg(max.min(MAX_BATCH_JOBS)).arg(MAX_BATCH_BYTES);
        let mut reply = self.commands.call(&call).await?;
        let dead = reply.pairs::<String, Vec<u8>>()?;
        let stale: Vec<String> = reply.take()?;
        let over: Vec<String> = reply.take()?;
        let buried = self.bury(&dead, true).await?.into_iter().filter(|buried| *buried).count();
        let mut pruned = Pruned { dead: buried, ..Pruned::default() };
        for incarnation in stale.into_iter().map(Incarnation::from_stored) {
            pruned.workers += usize::from(self.forget_worker(&incarnation).await?);
        }
        let over: Vec<_> = over.into_iter().filter_map(|id| WorkflowId::new(id).ok()).collect();
        pruned.workflows = self.forget_workflows(&over).await?;
        pruned.results = self.expire_ends(max.min(MAX_BATCH_JOBS)).await?;
        Ok(pruned)
    }

    async fn expire_ends(&self, max: usize) -> Result<usize, BrokerError> {
        let keys = &self.keys;
        let known: Vec<u64> = read(self.commands.command(redis::cmd("SMEMBERS").arg(keys.keeps())).await?)?;
        let mut removed = 0;
        for keeps in known.chunks(KEEPS_AT_ONCE) {
            if removed >= max {
                break;
            }
            let mut list = vec![keys.ends(), keys.keeps()];
            list.extend(keeps.iter().map(|keep| keys.ended(*keep)));
            let mut call = Call::new(&script::EXPIRE_ENDS, &list);
            call.arg(self.now_override()).arg(max - removed).arg(keeps);
            removed += self.commands.call(&call).await?.take::<usize>()?;
        }
        Ok(removed)
    }

    /// Removes dead jobs, of which the records are given as far as there are any; says for each whether it was dead.
    pub(super) async fn bury(&self, dead: &[(String, Vec<u8>)], due_only: bool) -> Result<Vec<bool>, BrokerError> {
        if dead.is_empty() {
            return Ok(Vec::new());
        }
        let keys = &self.keys;
        let mut call = Call::new(&script::BURY, &[keys.dead(), keys.jobs(), keys.counts(), keys.burials()]);
        call.arg(self.now_override()).arg(if due_only { "yes" } else { "no" });
        for (id, bytes) in dead {
            if bytes.is_empty() {
                call.arg(id).arg("");
            } else {
                call.arg(id).arg(Stored::decode(&job_id(id)?, bytes.clone()).queue().as_str());
            }
        }
        let letters: String = self.commands.call(&call).await?.take()?;
        Ok(letters.bytes().map(|letter| letter == b'D').collect())
    }

    async fn forget_worker(&self, incarnation: &Incarnation) -> Result<bool, BrokerError> {
        let keys = &self.keys;
        let list = [keys.workers(), keys.leases(), keys.worker(incarnation), keys.control(incarnation)];
        let mut call = Call::new(&script::FORGET_WORKER, &list);
        call.arg(self.now_override()).arg(incarnation.as_str());
        Ok(self.commands.call(&call).await?.status() == Status::Done)
    }
}
