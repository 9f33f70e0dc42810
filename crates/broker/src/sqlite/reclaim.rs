//! Taking jobs from workers that vanished: condemn, then drain.

use celeriac_core::{Incarnation, JobId, Lease, QueueName};
use rusqlite::Row;

use super::clock::Deadline;
use super::fault::Fault;
use super::queues::{self, Kind};
use super::rows::{self, Job, StoredJob, select_jobs};
use super::scope::{Scope, View, integer};
use super::{session, workflows};
use crate::batch::{MAX_BATCH_BYTES, MAX_BATCH_JOBS};
use crate::delivery::{Condemned, Delivery};

/// Moves incarnations whose lease has ended from the leases to the lost. After a time in which nobody could write, none is moved at first:
/// that its lease was not renewed says nothing then.
pub(super) fn condemn_expired(scope: &mut Scope<'_>, asked: &[QueueName], max: usize) -> Result<Condemned, Fault> {
    // One row for each worker that holds jobs: few, so all are read.
    let sql = r#"SELECT incarnation, expires_at, boot, expires_uptime FROM "leases" ORDER BY expires_at, incarnation"#;
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, session::read_deadline(row)?));
    let (ended, running): (Vec<_>, Vec<_>) =
        scope.all(sql, [], read)?.into_iter().partition(|(_, deadline)| scope.moment.is_past(deadline));
    let recovery = scope.recovery_left();
    let spared = !recovery.is_zero() && !ended.is_empty();
    if spared {
        scope.note_interruption();
    }
    let mut incarnations = Vec::new();
    for (worker, _) in ended.into_iter().take(if spared { 0 } else { max }) {
        scope.execute(r#"DELETE FROM "leases" WHERE incarnation = ?1"#, [&worker])?;
        scope.execute(r#"DELETE FROM "workers" WHERE incarnation = ?1"#, [&worker])?;
        let sql = r#"INSERT INTO "lost" (incarnation, condemned_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING"#;
        scope.execute(sql, (&worker, integer(scope.now().as_millis())))?;
        incarnations.push(Incarnation::from_stored(worker));
    }
    let end = |(_, deadline): &(String, Deadline)| scope.moment.expected_end(deadline);
    let next_expiry = running.iter().map(end).chain(spared.then(|| scope.now().after(recovery))).min();
    let lost = lost(scope, max)?;
    let mut work_waiting = false;
    for queue in asked {
        work_waiting |= !queues::is_paused(scope, queue)? && queues::has_ready(scope, queue, Kind::Ordinary)?;
    }
    Ok(Condemned {
        incarnations,
        lost,
        next_expiry,
        next_due: scope.next_due()?,
        now: scope.now(),
        work_waiting,
        events_waiting: workflows::has_events(scope)?,
    })
}

/// Whether an incarnation was condemned and is not drained yet.
pub(super) fn is_lost(view: &View<'_>, worker: &Incarnation) -> Result<bool, Fault> {
    view.any(r#"SELECT 1 FROM "lost" WHERE incarnation = ?1"#, [worker.as_str()])
}

/// The condemned incarnations, the first condemned first.
pub(super) fn lost(view: &View<'_>, max: usize) -> Result<Vec<Incarnation>, Fault> {
    let sql = r#"SELECT incarnation FROM "lost" ORDER BY condemned_at, incarnation LIMIT ?1"#;
    view.all(sql, [integer(max as u64)], |row| row.get::<_, String>(0).map(Incarnation::from_stored))
}

/// What an incarnation holds. Rows that cannot be read are parked, or nobody could ever finish the drain.
pub(super) fn held_by(scope: &mut Scope<'_>, worker: &Incarnation, max: usize) -> Result<Vec<Delivery>, Fault> {
    let sql = select_jobs!("INDEXED BY \"jobs_held\" WHERE holder = ?1 ORDER BY fence, id LIMIT ?2");
    let mut deliveries = Vec::new();
    let (mut unreadable, mut bytes) = (Vec::new(), 0);
    scope.visit(sql, (worker.as_str(), integer(max.min(MAX_BATCH_JOBS) as u64)), |row| {
        let stored = StoredJob::read(row)?;
        match stored.job.map(|job| (job.record, job.held)) {
            Ok((record, Some((holder, fence)))) => {
                bytes += record.payload.len();
                deliveries.push(Delivery { record, lease: Lease { holder, fence } });
            }
            Ok((_, None)) => unreadable.push((stored.row, "holder without a token".to_owned())),
            Err(problem) => unreadable.push((stored.row, problem)),
        }
        Ok(bytes < MAX_BATCH_BYTES)
    })?;
    if is_lost(scope, worker)? {
        for (row, problem) in unreadable {
            rows::park_unreadable(scope, row, &problem)?;
        }
    }
    Ok(deliveries)
}

/// Those of these jobs that an incarnation holds and that can be read.
pub(super) fn held_among(view: &View<'_>, worker: &Incarnation, ids: &[JobId]) -> Result<Vec<Delivery>, Fault> {
    let sql = select_jobs!("WHERE id = ?1 AND holder = ?2");
    let (mut deliveries, mut bytes) = (Vec::new(), 0);
    for id in ids.iter().take(MAX_BATCH_JOBS) {
        view.visit(sql, (id.as_str(), worker.as_str()), |row| {
            if let Ok(Job { record, held: Some((holder, fence)), .. }) = StoredJob::read(row)?.job {
                bytes += record.payload.len();
                deliveries.push(Delivery { record, lease: Lease { holder, fence } });
            }
            Ok(false)
        })?;
        if bytes >= MAX_BATCH_BYTES {
            break;
        }
    }
    Ok(deliveries)
}

/// Forgets a condemned incarnation that holds nothing any more.
pub(super) fn finish_drain(scope: &mut Scope<'_>, worker: &Incarnation) -> Result<bool, Fault> {
    if session::holds_any(scope, worker)? {
        return Ok(false);
    }
    Ok(scope.execute(r#"DELETE FROM "lost" WHERE incarnation = ?1"#, [worker.as_str()])? > 0)
}
