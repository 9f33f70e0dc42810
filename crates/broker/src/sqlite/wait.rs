//! Waiting for work and for the ends of jobs.

use std::sync::Arc;
use std::time::Duration;

use celeriac_core::{Incarnation, JobId, Outcome, QueueName, Timestamp};

use super::broker::SqliteBroker;
use super::control;
use super::fault::Fault;
use super::inspect;
use super::queues::{self, Kind};
use super::scope::View;
use crate::error::BrokerError;
use crate::worker_session::Session;

/// How long a wait for a result rests when the store cannot be read.
const MENDING: Duration = Duration::from_millis(250);

/// How often a worker that holds jobs looks for orders. An order acts within a second.
const ORDERS_LOOK: Duration = Duration::from_millis(250);

/// Waits until one of the queues has work for this worker, or a job waits that is due earlier than any before.
///
/// The second is for whoever promotes: its timer was set for the earliest job it knew.
pub(super) async fn for_work(
    broker: &SqliteBroker,
    session: &Session,
    queues: &[QueueName],
) -> Result<(), BrokerError> {
    let watch = broker.watchers().watch_queues(queues);
    let queues: Arc<[QueueName]> = queues.into();
    let mut known_due = None;
    loop {
        let (queues, worker) = (Arc::clone(&queues), session.incarnation.clone());
        let (work, due) = broker.read(move |view| work_among(view, &worker, &queues)).await?;
        let known = *known_due.get_or_insert(due);
        if work || due.is_some_and(|due| known.is_none_or(|known| due < known)) {
            return Ok(());
        }
        watch.woken().await;
    }
}

/// Waits until a worker may have orders. Each look reads one index entry.
pub(super) async fn for_orders(broker: &SqliteBroker, session: &Session) -> Result<(), BrokerError> {
    loop {
        let worker = session.incarnation.clone();
        if broker.read(move |view| control::has_orders(view, &worker)).await? {
            return Ok(());
        }
        tokio::time::sleep(ORDERS_LOOK).await;
    }
}

/// Waits for the end of a job.
pub(super) async fn for_result(broker: &SqliteBroker, id: &JobId) -> Result<Outcome, BrokerError> {
    let watch = broker.watchers().watch_result(id);
    loop {
        let job = id.clone();
        match broker.read(move |view| inspect::result(view, &job)).await {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) => watch.woken().await,
            Err(error) if error.is_transient() => tokio::time::sleep(MENDING).await,
            Err(error) => return Err(error),
        }
    }
}

/// Which of these jobs have an end that can be read.
pub(super) fn ended_among(view: &View<'_>, jobs: Vec<JobId>) -> Result<Vec<JobId>, Fault> {
    let mut ended = Vec::new();
    for job in jobs {
        if view.any(r#"SELECT 1 FROM "results" WHERE id = ?1"#, [job.as_str()])? {
            ended.push(job);
        }
    }
    Ok(ended)
}

/// Whether there is something to fetch for this worker, and when the next job is due.
///
/// A suspect counts only for a worker that holds nothing. It would wake a busy one again and again for something it
/// cannot be given.
fn work_among(view: &View<'_>, worker: &Incarnation, asked: &[QueueName]) -> Result<(bool, Option<Timestamp>), Fault> {
    let due = view.next_due()?;
    let busy = view.any(r#"SELECT 1 FROM "jobs" WHERE holder = ?1 LIMIT 1"#, [worker.as_str()])?;
    for queue in asked {
        if queues::is_paused(view, queue)? {
            continue;
        }
        if queues::has_ready(view, queue, Kind::Ordinary)? || (!busy && queues::has_ready(view, queue, Kind::Suspect)?)
        {
            return Ok((true, due));
        }
    }
    Ok((false, due))
}
