//! What people order: revoke, purge, retry and delete; and the unique keys that stand in the way.

use std::time::Duration;

use celeriac_core::{DEFAULT_RESULT_TTL, Incarnation, JobId, Outcome, QueueName, Record, State, UniqueKey};

use super::fault::Fault;
use super::inspect;
use super::promote::make_ready;
use super::rows::{self, StoredJob, select_jobs};
use super::scope::{Scope, View, integer};
use super::settle::keep_outcome;
use super::steps::{self, How};
use crate::batch::MAX_BATCH_JOBS;
use crate::control::{Purged, Retried, Revocation};

/// The unfinished job that has a unique key.
pub(super) fn holder_of_key(view: &View<'_>, unique: &UniqueKey) -> Result<Option<JobId>, Fault> {
    let sql = r#"SELECT id FROM "jobs" INDEXED BY "jobs_unique" WHERE unique_key = ?1"#;
    let holder = view.first(sql, [unique.as_str()], |row| row.get::<_, String>(0))?;
    Ok(holder.and_then(|id| JobId::new(id).ok()))
}

/// Ends jobs that wait, and notes for those that run that their worker is to be told.
pub(super) fn revoke(scope: &mut Scope<'_>, ids: &[JobId], by: &str) -> Result<Vec<Revocation>, Fault> {
    ids.iter().map(|id| revoke_one(scope, id, by)).collect()
}

fn revoke_one(scope: &mut Scope<'_>, id: &JobId, by: &str) -> Result<Revocation, Fault> {
    let Some(stored) = find(scope, id)? else {
        let ended = inspect::result(scope, id)?.is_some();
        return Ok(if ended { Revocation::TooLate } else { Revocation::Unknown });
    };
    // Asked of the row, which may be one that cannot be read.
    if scope.any(r#"SELECT 1 FROM "jobs" WHERE rowid = ?1 AND holder IS NOT NULL"#, [stored.row])? {
        let sql = r#"UPDATE "jobs" SET revoked = 1 WHERE rowid = ?1 AND revoked IS NULL"#;
        scope.execute(sql, [stored.row])?;
        return Ok(Revocation::Told);
    }
    match stored.job {
        Ok(job) if job.record.state == State::Dead => Ok(Revocation::TooLate),
        Ok(job) => {
            end_waiting(scope, stored.row, &job.record, by)?;
            Ok(Revocation::Ended)
        }
        Err(problem) => {
            let sql = r#"DELETE FROM "jobs" WHERE rowid = ?1 AND state <> 'dead'"#;
            if scope.execute(sql, [stored.row])? == 0 {
                return Ok(Revocation::TooLate);
            }
            tracing::warn!(job = %id, problem, "revoked a job whose row cannot be read; no end of it is kept");
            Ok(Revocation::Ended)
        }
    }
}

/// The row of a job.
pub(super) fn find(view: &View<'_>, id: &JobId) -> Result<Option<StoredJob>, Fault> {
    let mut found = None;
    view.visit(select_jobs!("WHERE id = ?1"), [id.as_str()], |row| {
        found = Some(StoredJob::read(row)?);
        Ok(false)
    })?;
    Ok(found)
}

fn end_waiting(scope: &mut Scope<'_>, row: i64, record: &Record, by: &str) -> Result<(), Fault> {
    scope.execute(r#"DELETE FROM "jobs" WHERE rowid = ?1"#, [row])?;
    let keep = record.options.result_ttl_ms.map_or(DEFAULT_RESULT_TTL, Duration::from_millis);
    let outcome = Outcome::of_waiting(record, State::Revoked, by, "revoked", scope.now());
    keep_outcome(scope, &record.id, &outcome, keep)?;
    match &record.options.step {
        Some(link) => steps::end(scope, link, &link.end(&outcome), How::Unheld),
        None => Ok(()),
    }
}

/// Ends ready jobs of a queue.
pub(super) fn purge(scope: &mut Scope<'_>, queue: &QueueName, max: usize, by: &str) -> Result<Purged, Fault> {
    let limit = max.min(MAX_BATCH_JOBS);
    let mut ready = Vec::new();
    let sql = select_jobs!("WHERE state = 'queued' AND queue = ?1 LIMIT ?2");
    scope.visit(sql, (queue.as_str(), integer(limit as u64)), |row| {
        ready.push(StoredJob::read(row)?);
        Ok(true)
    })?;
    let more = ready.len() == limit;
    let mut count = 0;
    for stored in ready {
        match stored.job {
            Ok(job) => {
                end_waiting(scope, stored.row, &job.record, by)?;
                count += 1;
            }
            Err(problem) => rows::park_unreadable(scope, stored.row, &problem)?,
        }
    }
    Ok(Purged { count, more })
}

/// Makes dead jobs ready again, as if they were enqueued now; their ends are forgotten. Expiry and deadline count from now on, or the job
/// would end again without having run.
pub(super) fn retry_dead(scope: &mut Scope<'_>, ids: &[JobId]) -> Result<Vec<Retried>, Fault> {
    ids.iter().map(|id| retry_one(scope, id)).collect()
}

fn retry_one(scope: &mut Scope<'_>, id: &JobId) -> Result<Retried, Fault> {
    let Some(StoredJob { row, job: Ok(job), .. }) = find(scope, id)? else { return Ok(Retried::NotDead) };
    if job.record.state != State::Dead {
        return Ok(Retried::NotDead);
    }
    let unique = job.record.options.unique.as_ref();
    if let Some(holder) = unique.map(|unique| holder_of_key(scope, unique)).transpose()?.flatten() {
        return Ok(Retried::UniqueInUse { holder });
    }
    let sql = r#"UPDATE "jobs" SET failures = 0, losses = 0, suspect = 0, unique_key = ?2, enqueued_at = ?3
        WHERE rowid = ?1"#;
    scope.execute(sql, (row, unique.map(UniqueKey::as_str), integer(scope.now().as_millis())))?;
    scope.execute(r#"DELETE FROM "results" WHERE id = ?1"#, [id.as_str()])?;
    if let Some(link) = &job.record.options.step {
        steps::retry(scope, link)?;
    }
    make_ready(scope, row, job.record.queue.as_str())?;
    Ok(Retried::Done)
}

/// Removes dead jobs; their ends stay.
pub(super) fn delete_dead(scope: &mut Scope<'_>, ids: &[JobId]) -> Result<Vec<bool>, Fault> {
    let sql = r#"DELETE FROM "jobs" WHERE id = ?1 AND state = 'dead'"#;
    ids.iter().map(|id| Ok(scope.execute(sql, [id.as_str()])? > 0)).collect()
}

/// What a worker holds that was revoked; it counts as told of it.
pub(super) fn tell(scope: &mut Scope<'_>, worker: &Incarnation) -> Result<Vec<JobId>, Fault> {
    let sql = r#"SELECT id FROM "jobs" WHERE holder = ?1 AND revoked IS NOT NULL"#;
    let revoked = scope.all(sql, [worker.as_str()], |row| row.get::<_, String>(0))?;
    if !revoked.is_empty() {
        let sql = r#"UPDATE "jobs" SET revoked = 2 WHERE holder = ?1 AND revoked = 1"#;
        scope.execute(sql, [worker.as_str()])?;
    }
    Ok(revoked.into_iter().filter_map(|id| JobId::new(id).ok()).collect())
}

/// Whether a worker holds something that was revoked since it was last told.
pub(super) fn has_orders(view: &View<'_>, worker: &Incarnation) -> Result<bool, Fault> {
    let sql = r#"SELECT 1 FROM "jobs" INDEXED BY "jobs_revoked" WHERE holder = ?1 AND revoked = 1"#;
    view.any(sql, [worker.as_str()])
}
