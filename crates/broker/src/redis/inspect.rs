//! Answers people's questions through the pool. Several reads make one answer, so a job may move between two of them.

use std::collections::HashSet;

use celeriac_core::{Fence, Incarnation, JobId, Outcome, Priority, QueueName, Record, State, TaskName, Timestamp};
use redis::{Pipeline, Value};

use super::replies::{decode_end, job_id, read, read_time};
use super::script::{self, Call};
use super::store::RedisBroker;
use crate::error::BrokerError;
use crate::views::{JobFilter, JobView, QueueView, WorkerView};

/// Ids that a listing looks at in each place where jobs can be.
const MAX_LOOKS: usize = 1000;
/// Records that a survey of a queue looks at in each list, for the age of the oldest.
const SURVEYED: usize = 32;
/// Records that are read in one command.
const CHUNK: usize = 50;

/// Who holds a job, and under which token.
type Held = (Incarnation, Fence);

impl RedisBroker {
    pub(super) async fn store_time(&self) -> Result<Timestamp, BrokerError> {
        if let Some(now) = self.clock.manual_now() {
            return Ok(now);
        }
        read_time(self.pool.command(&redis::cmd("TIME")).await?)
    }

    pub(super) async fn read_result(&self, id: &JobId) -> Result<Option<Outcome>, BrokerError> {
        let mut both = Pipeline::new();
        both.cmd("TIME");
        both.cmd("HGET").arg(self.keys.ends()).arg(id.as_str());
        let [time, end] = self.pool.pipeline(&both).await?.try_into().unwrap_or([Value::Nil, Value::Nil]);
        let Some(bytes) = read::<Option<Vec<u8>>>(end)? else { return Ok(None) };
        let now = self.clock.manual_now().map_or_else(|| read_time(time), Ok)?;
        decode_end(id, &bytes, now)
    }

    pub(super) async fn find_job(&self, id: &JobId) -> Result<Option<JobView>, BrokerError> {
        let mut both = Pipeline::new();
        both.cmd("HGET").arg(self.keys.jobs()).arg(id.as_str());
        both.cmd("ZSCORE").arg(self.keys.scheduled()).arg(id.as_str());
        let [record, due] = self.pool.pipeline(&both).await?.try_into().unwrap_or([Value::Nil, Value::Nil]);
        let (record, due): (Option<Vec<u8>>, Option<f64>) = (read(record)?, read(due)?);
        let Some(bytes) = record else {
            return Ok(self.read_result(id).await?.map(JobView::ended));
        };
        let record = Record::decode(id.clone(), bytes)
            .map_err(|error| BrokerError::Corrupt { what: "a job", detail: format!("{id}: {error}") })?;
        if record.state == State::Revoked {
            // Its end is kept elsewhere; this is what is left of it in the middle of a list.
            return Ok(self.read_result(id).await?.map(JobView::ended));
        }
        if record.state != State::Queued {
            return Ok(Some(JobView::waiting(record, due.map(|due| Timestamp::from_millis(due as u64)))));
        }
        Ok(Some(match self.holder_of(id).await? {
            Some((holder, fence)) => JobView::running(record, &holder, fence),
            None => JobView::waiting(record, None),
        }))
    }

    async fn holder_of(&self, id: &JobId) -> Result<Option<Held>, BrokerError> {
        let incarnations = self.incarnations().await?;
        let mut asked = Pipeline::new();
        for incarnation in &incarnations {
            asked.cmd("HGET").arg(self.keys.running(incarnation)).arg(id.as_str());
        }
        for (incarnation, value) in incarnations.into_iter().zip(self.pool.pipeline(&asked).await?) {
            if let Some(fence) = read::<Option<u64>>(value)? {
                return Ok(Some((incarnation, Fence::new(fence))));
            }
        }
        Ok(None)
    }

    /// Every incarnation that may hold jobs, each once.
    async fn incarnations(&self) -> Result<Vec<Incarnation>, BrokerError> {
        let mut asked = Pipeline::new();
        for key in [self.keys.workers(), self.keys.leases(), self.keys.lost()] {
            asked.cmd("ZRANGE").arg(key).arg(0).arg(-1);
        }
        let mut all = Vec::new();
        for value in self.pool.pipeline(&asked).await? {
            all.extend(read::<Vec<String>>(value)?.into_iter().map(Incarnation::from_stored));
        }
        all.sort();
        all.dedup();
        Ok(all)
    }

    pub(super) async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<JobView>, BrokerError> {
        let wanted = |state| filter.limit > 0 && filter.state.is_none_or(|only| only == state);
        let mut views = Vec::new();
        if wanted(State::Scheduled) || wanted(State::Retry) {
            let mut command = redis::cmd("ZRANGE");
            command.arg(self.keys.scheduled()).arg(0).arg(MAX_LOOKS - 1).arg("WITHSCORES");
            let found: Vec<(String, f64)> = read(self.pool.command(&command).await?)?;
            let due: Vec<_> = found.iter().map(|(_, due)| Timestamp::from_millis(*due as u64)).collect();
            let ids: Vec<_> = found.into_iter().map(|(id, _)| id).collect();
            self.add_waiting(&ids, &due, filter, &mut views).await?;
        }
        if wanted(State::Queued) || wanted(State::Running) {
            let held = self.all_held().await?;
            if wanted(State::Running) {
                self.add_running(&held, filter, &mut views).await?;
            }
            if wanted(State::Queued) {
                self.add_waiting(&self.ready_ids(filter).await?, &[], filter, &mut views).await?;
            }
        }
        if wanted(State::Dead) {
            self.add_waiting(&self.newest(self.keys.dead()).await?, &[], filter, &mut views).await?;
        }
        if wanted(State::Parked) {
            self.add_waiting(&self.parked_ids(filter).await?, &[], filter, &mut views).await?;
        }
        views.sort_by(|a, b| (a.state, b.since, &a.id).cmp(&(b.state, a.since, &b.id)));
        // A job that moved between two reads was found twice.
        let mut seen = HashSet::new();
        views.retain(|view: &JobView| seen.insert(view.id.clone()));
        views.truncate(filter.limit);
        Ok(views)
    }

    async fn newest(&self, key: String) -> Result<Vec<String>, BrokerError> {
        read(self.pool.command(redis::cmd("ZREVRANGE").arg(key).arg(0).arg(MAX_LOOKS - 1)).await?)
    }

    async fn ready_ids(&self, filter: &JobFilter) -> Result<Vec<String>, BrokerError> {
        let queues = match &filter.queue {
            Some(queue) => vec![queue.clone()],
            None => self.registered_queues().await?.into_iter().map(|(queue, _)| queue).collect(),
        };
        let mut asked = Pipeline::new();
        for queue in &queues {
            let ready = Priority::ALL.into_iter().map(|priority| self.keys.ready(queue, priority));
            for key in ready.chain([self.keys.suspects(queue)]) {
                asked.cmd("LRANGE").arg(key).arg(-(MAX_LOOKS as i64)).arg(-1);
            }
        }
        self.all_ids(&asked).await
    }

    async fn parked_ids(&self, filter: &JobFilter) -> Result<Vec<String>, BrokerError> {
        let tasks = match &filter.task {
            Some(task) => vec![task.clone()],
            None => self.parked_tasks().await?,
        };
        let mut asked = Pipeline::new();
        for task in &tasks {
            asked.cmd("ZREVRANGE").arg(self.keys.parked_of(task)).arg(0).arg(MAX_LOOKS - 1);
        }
        self.all_ids(&asked).await
    }

    pub(super) async fn parked_tasks(&self) -> Result<Vec<TaskName>, BrokerError> {
        let names: Vec<String> = read(self.pool.command(redis::cmd("SMEMBERS").arg(self.keys.parked())).await?)?;
        Ok(names.into_iter().filter_map(|name| TaskName::new(name).ok()).collect())
    }

    async fn all_ids(&self, asked: &Pipeline) -> Result<Vec<String>, BrokerError> {
        let mut ids = Vec::new();
        for value in self.pool.pipeline(asked).await? {
            ids.extend(read::<Vec<String>>(value)?);
        }
        Ok(ids)
    }

    async fn all_held(&self) -> Result<Vec<(String, Held)>, BrokerError> {
        let incarnations = self.incarnations().await?;
        let mut asked = Pipeline::new();
        for incarnation in &incarnations {
            asked.cmd("HGETALL").arg(self.keys.running(incarnation));
        }
        let mut held = Vec::new();
        for (incarnation, value) in incarnations.into_iter().zip(self.pool.pipeline(&asked).await?) {
            let fields: Vec<(String, String)> = read(value)?;
            // The filler is no number.
            let jobs = fields.into_iter().filter_map(|(id, fence)| Some((id, Fence::new(fence.parse().ok()?))));
            held.extend(jobs.map(|(id, fence)| (id, (incarnation.clone(), fence))));
        }
        Ok(held)
    }

    async fn add_running(
        &self,
        held: &[(String, Held)],
        filter: &JobFilter,
        views: &mut Vec<JobView>,
    ) -> Result<(), BrokerError> {
        let held = &held[..held.len().min(MAX_LOOKS)];
        let ids: Vec<_> = held.iter().map(|(id, _)| id.clone()).collect();
        for (at, record) in self.readable(&ids).await? {
            let (holder, fence) = &held[at].1;
            add(JobView::running(record, holder, *fence), filter, views);
        }
        Ok(())
    }

    async fn add_waiting(
        &self,
        ids: &[String],
        due: &[Timestamp],
        filter: &JobFilter,
        views: &mut Vec<JobView>,
    ) -> Result<(), BrokerError> {
        for (at, record) in self.readable(ids).await? {
            add(JobView::waiting(record, due.get(at).copied()), filter, views);
        }
        Ok(())
    }

    /// The records that can be read, each with the place of its id.
    pub(super) async fn readable(&self, ids: &[String]) -> Result<Vec<(usize, Record)>, BrokerError> {
        let mut records = Vec::new();
        for (chunk, ids) in ids.chunks(CHUNK).enumerate() {
            let found = self.pool.command(redis::cmd("HMGET").arg(self.keys.jobs()).arg(ids)).await?;
            for (at, bytes) in read::<Vec<Option<Vec<u8>>>>(found)?.into_iter().enumerate() {
                if let Some(bytes) = bytes
                    && let Ok(record) = Record::decode(job_id(&ids[at])?, bytes)
                {
                    records.push((chunk * CHUNK + at, record));
                }
            }
        }
        Ok(records)
    }

    pub(super) async fn registered_queues(&self) -> Result<Vec<(QueueName, bool)>, BrokerError> {
        let fields: Vec<(String, String)> =
            read(self.pool.command(redis::cmd("HGETALL").arg(self.keys.queues())).await?)?;
        let named =
            fields.into_iter().filter_map(|(name, value)| Some((QueueName::new(name).ok()?, value.starts_with('1'))));
        let mut queues: Vec<_> = named.collect();
        queues.sort();
        Ok(queues)
    }

    pub(super) async fn list_queues(&self) -> Result<Vec<QueueView>, BrokerError> {
        let running = self.running_by_queue().await?;
        let mut views = Vec::new();
        for (queue, paused) in self.registered_queues().await? {
            let fields = ["scheduled", "dead", "parked"].map(|state| format!("{state}:{queue}"));
            let counts = self.pool.command(redis::cmd("HMGET").arg(self.keys.counts()).arg(&fields)).await?;
            let counts: Vec<Option<i64>> = read(counts)?;
            let count = |at: usize| counts.get(at).copied().flatten().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
            let mut view = QueueView::empty(queue);
            (view.paused, view.scheduled, view.dead, view.parked) = (paused, count(0), count(1), count(2));
            view.running = running.iter().find(|(name, _)| *name == view.name).map_or(0, |(_, held)| *held);
            (view.ready, view.oldest) = self.survey(&view.name).await?;
            views.push(view);
        }
        Ok(views)
    }

    async fn running_by_queue(&self) -> Result<Vec<(QueueName, u64)>, BrokerError> {
        let mut list = vec![self.keys.jobs()];
        list.extend(self.incarnations().await?.iter().map(|incarnation| self.keys.running(incarnation)));
        let mut reply = self.pool.call(&Call::new(&script::TALLY, &list)).await?;
        let named = reply.pairs::<String, u64>()?.into_iter().filter_map(|(name, held)| {
            let queue = if name.is_empty() { QueueName::default() } else { QueueName::new(name).ok()? };
            Some((queue, held))
        });
        Ok(named.collect())
    }

    async fn survey(&self, queue: &QueueName) -> Result<(u64, Option<Timestamp>), BrokerError> {
        let mut list = vec![self.keys.jobs(), self.keys.queues(), self.keys.counts()];
        list.extend(self.keys.lists(queue));
        let mut call = Call::new(&script::SURVEY, &list);
        call.arg(queue.as_str()).arg(SURVEYED);
        let mut reply = self.pool.call(&call).await?;
        let ready = reply.take()?;
        let since: Vec<u8> = reply.take()?;
        let millis = since.iter().fold(0, |millis, byte| (millis << 8) | u64::from(*byte));
        Ok((ready, (!since.is_empty()).then(|| Timestamp::from_millis(millis))))
    }

    pub(super) async fn list_workers(&self) -> Result<Vec<WorkerView>, BrokerError> {
        let now = self.store_time().await?;
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(self.keys.workers()).arg(format!("({}", now.as_millis())).arg("+inf");
        let mut incarnations: Vec<String> = read(self.pool.command(&command).await?)?;
        incarnations.sort();
        let mut views = Vec::with_capacity(incarnations.len());
        for incarnation in incarnations.into_iter().map(Incarnation::from_stored) {
            let mut asked = Pipeline::new();
            let key = self.keys.worker(&incarnation);
            asked.cmd("HMGET").arg(key).arg(&["host", "pid", "queues", "tasks"]);
            asked.cmd("HLEN").arg(self.keys.running(&incarnation));
            let [fields, held] = self.pool.pipeline(&asked).await?.try_into().unwrap_or([Value::Nil, Value::Nil]);
            views.extend(worker_view(incarnation, read(fields)?, read(held)?));
        }
        Ok(views)
    }
}

fn add(view: JobView, filter: &JobFilter, views: &mut Vec<JobView>) {
    let fits = view.state != State::Revoked && filter.fits(&view);
    if fits {
        views.push(view);
    }
}

/// A worker from its registration; `None` if that went in the meantime. The filler of a running hash is no job.
fn worker_view(incarnation: Incarnation, fields: Vec<Option<String>>, held: u64) -> Option<WorkerView> {
    let [host, pid, queues, tasks]: [Option<String>; 4] = fields.try_into().ok()?;
    let mut view = WorkerView::new(incarnation, host?, pid?.parse().ok()?);
    view.queues = queues?.split(',').filter_map(|name| QueueName::new(name).ok()).collect();
    view.tasks = tasks?.split(',').filter_map(|name| TaskName::new(name).ok()).collect();
    view.running = held.saturating_sub(1);
    Some(view)
}
