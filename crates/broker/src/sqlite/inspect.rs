//! Looking at jobs, queues and workers.

use std::collections::BTreeMap;

use celeriac_core::{Incarnation, JobId, Outcome, QueueName, State, TaskName};
use rusqlite::Row;

use super::fault::Fault;
use super::rows::{Job, StoredJob, select_jobs};
use super::scope::{View, instant, integer, natural};
use super::session;
use crate::error::BrokerError;
use crate::views::{JobFilter, JobView, QueueView, WorkerView};

/// How many jobs of a state and queue are looked through for those of one task.
const MAX_SEARCHED: i64 = 10_000;

/// The states a row may be in.
const STORED: [State; 6] = [State::Scheduled, State::Queued, State::Running, State::Retry, State::Dead, State::Parked];

/// The end of a job, as long as it is kept.
pub(super) fn result(view: &View<'_>, id: &JobId) -> Result<Option<Outcome>, Fault> {
    let sql = r#"SELECT outcome FROM "results" WHERE id = ?1 AND expires_at > ?2"#;
    let key = (id.as_str(), integer(view.now().as_millis()));
    let json = view.first(sql, key, |row| row.get::<_, String>(0))?;
    let outcome = json.map(|json| serde_json::from_str::<Outcome>(&json)).transpose();
    outcome.map_err(|error| BrokerError::Corrupt { what: "end of a job", detail: error.to_string() }.into())
}

/// A job, wherever it is.
pub(super) fn job(view: &View<'_>, id: &JobId) -> Result<Option<JobView>, Fault> {
    let mut found = None;
    view.visit(select_jobs!("WHERE id = ?1"), [id.as_str()], |row| {
        found = Some(StoredJob::read(row)?);
        Ok(false)
    })?;
    match found.map(|stored| stored.job) {
        Some(Ok(job)) => Ok(Some(show(job))),
        Some(Err(detail)) => Err(BrokerError::Corrupt { what: "job", detail }.into()),
        None => Ok(result(view, id)?.map(JobView::ended)),
    }
}

pub(super) fn show(job: Job) -> JobView {
    match job.held {
        Some((holder, fence)) => JobView::running(job.record, &holder, fence),
        None => JobView::waiting(job.record, job.due_at),
    }
}

/// The newest jobs that pass the filter.
pub(super) fn jobs(view: &View<'_>, filter: &JobFilter) -> Result<Vec<JobView>, Fault> {
    let queues = match &filter.queue {
        Some(queue) => vec![queue.as_str().to_owned()],
        None => view.all(r#"SELECT name FROM "queues""#, [], |row| row.get(0))?,
    };
    let mut jobs = Vec::new();
    for state in STORED.into_iter().filter(|state| filter.state.is_none_or(|wanted| wanted == *state)) {
        for queue in &queues {
            list(view, (state, queue), (filter.task.as_ref(), filter.limit), &mut jobs)?;
        }
    }
    jobs.retain(|view| filter.fits(view));
    jobs.sort_by(|a, b| (a.state, b.since).cmp(&(b.state, a.since)));
    jobs.truncate(filter.limit);
    Ok(jobs)
}

fn list(
    view: &View<'_>,
    (state, queue): (State, &str),
    (task, limit): (Option<&TaskName>, usize),
    jobs: &mut Vec<JobView>,
) -> Result<(), Fault> {
    let sql = select_jobs!(
        "WHERE rowid IN (SELECT rowid FROM \"jobs\" INDEXED BY \"jobs_listed\" WHERE state = ?1 AND queue = ?2
            ORDER BY since DESC, rowid DESC LIMIT ?3) AND (?4 IS NULL OR task = ?4)
        ORDER BY since DESC, rowid DESC LIMIT ?5"
    );
    let limit = integer(limit as u64);
    let searched = if task.is_some() { MAX_SEARCHED.max(limit) } else { limit };
    view.visit(sql, (state.as_str(), queue, searched, task.map(TaskName::as_str), limit), |row| {
        let stored = StoredJob::read(row)?;
        match stored.job {
            Ok(job) => jobs.push(show(job)),
            Err(problem) => tracing::warn!(row = stored.row, problem, "left out a job whose row cannot be read"),
        }
        Ok(true)
    })
}

/// Every queue with its numbers.
pub(super) fn queues(view: &View<'_>) -> Result<Vec<QueueView>, Fault> {
    let mut queues = BTreeMap::new();
    view.visit(r#"SELECT name, paused FROM "queues""#, [], |row| {
        if let Ok(name) = QueueName::new(row.get::<_, String>(0)?) {
            let mut queue = QueueView::empty(name.clone());
            queue.paused = row.get(1)?;
            queues.insert(name.as_str().to_owned(), queue);
        }
        Ok(true)
    })?;
    let sql = r#"SELECT queue, state, count(*), min(since) FROM "jobs" INDEXED BY "jobs_listed" GROUP BY state, queue"#;
    view.visit(sql, [], |row| {
        if let Some(queue) = queues.get_mut(row.get_ref(0)?.as_str().unwrap_or_default()) {
            count(queue, row)?;
        }
        Ok(true)
    })?;
    Ok(queues.into_values().collect())
}

fn count(queue: &mut QueueView, row: &Row<'_>) -> Result<(), Fault> {
    let count = natural(row.get(2)?);
    match row.get::<_, String>(1)?.parse() {
        Ok(State::Queued) => {
            queue.ready = count;
            queue.oldest = Some(instant(row.get(3)?));
        }
        Ok(State::Scheduled | State::Retry) => queue.scheduled += count,
        Ok(State::Running) => queue.running = count,
        Ok(State::Dead) => queue.dead = count,
        Ok(State::Parked) => queue.parked = count,
        Ok(_) | Err(_) => {}
    }
    Ok(())
}

/// The workers whose registration holds.
pub(super) fn workers(view: &View<'_>) -> Result<Vec<WorkerView>, Fault> {
    let sql = r#"SELECT incarnation, host, pid, queues, tasks, expires_at, boot, expires_uptime,
            (SELECT count(*) FROM "jobs" WHERE holder = incarnation) AS running
        FROM "workers" ORDER BY incarnation"#;
    let mut workers = Vec::new();
    view.visit(sql, [], |row| {
        if !view.moment.is_past(&session::read_deadline(row)?) {
            let incarnation = Incarnation::from_stored(row.get::<_, String>("incarnation")?);
            let mut worker = WorkerView::new(incarnation, row.get("host")?, row.get("pid")?);
            worker.queues = names(row, "queues")?;
            worker.tasks = names(row, "tasks")?;
            worker.running = natural(row.get("running")?);
            workers.push(worker);
        }
        Ok(true)
    })?;
    Ok(workers)
}

fn names<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &'static str) -> Result<Vec<T>, Fault> {
    let json: String = row.get(column)?;
    serde_json::from_str(&json)
        .map_err(|error| BrokerError::Corrupt { what: "registration of a worker", detail: error.to_string() }.into())
}
