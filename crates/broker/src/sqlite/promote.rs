//! Making jobs ready that waited: for their due time, or for a worker that knows them.

use celeriac_core::{QueueName, State, TaskName};
use rusqlite::Row;

use super::fault::Fault;
use super::rows::{StoredJob, select_jobs};
use super::scope::{Scope, integer};
use crate::batch::MAX_BATCH_JOBS;
use crate::delivery::Promoted;

/// How many rows that could not be read are looked at again when a worker comes.
const ASIDE_LOOKED_AT: i64 = 1000;

/// Makes due jobs ready, the earliest first.
pub(super) fn promote_due(scope: &mut Scope<'_>, max: usize) -> Result<Promoted, Fault> {
    let sql = r#"SELECT rowid, queue FROM "jobs" INDEXED BY "jobs_due"
        WHERE due_at IS NOT NULL AND due_at <= ?1 ORDER BY due_at, id LIMIT ?2"#;
    let limit = integer(max.min(MAX_BATCH_JOBS) as u64);
    let due = scope.all(sql, (integer(scope.now().as_millis()), limit), row_and_queue)?;
    for (row, queue) in &due {
        make_ready(scope, *row, queue)?;
    }
    Ok(Promoted { count: due.len(), next_due: scope.next_due()?, now: scope.now() })
}

/// Makes parked jobs of these tasks ready, the longest parked first. Rows that cannot be read stay.
pub(super) fn release_parked(scope: &mut Scope<'_>, tasks: &[TaskName], max: usize) -> Result<usize, Fault> {
    let limit = max.min(MAX_BATCH_JOBS);
    let mut released = release_readable(scope, limit)?;
    for task in tasks {
        let sql = r#"SELECT rowid, queue FROM "jobs" INDEXED BY "jobs_parked"
            WHERE state = 'parked' AND task = ?1 AND problem IS NULL ORDER BY since LIMIT ?2"#;
        let rest = integer((limit - released) as u64);
        let parked = scope.all(sql, (task.as_str(), rest), row_and_queue)?;
        for (row, queue) in &parked {
            make_ready(scope, *row, queue)?;
        }
        released += parked.len();
    }
    Ok(released)
}

/// Makes jobs ready whose rows could not be read, and can be now: they were mended, or an older version had kept them aside.
fn release_readable(scope: &mut Scope<'_>, max: usize) -> Result<usize, Fault> {
    let sql = select_jobs!("INDEXED BY \"jobs_unreadable\" WHERE problem IS NOT NULL ORDER BY since LIMIT ?1");
    let mut readable = Vec::new();
    scope.visit(sql, [ASIDE_LOOKED_AT], |row| {
        let stored = StoredJob::read(row)?;
        readable.extend(stored.job.ok().filter(|job| job.record.state == State::Parked).map(|job| (stored.row, job)));
        Ok(readable.len() < max)
    })?;
    for (row, job) in &readable {
        make_ready(scope, *row, job.record.queue.as_str())?;
    }
    Ok(readable.len())
}

fn row_and_queue(row: &Row<'_>) -> rusqlite::Result<(i64, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// Puts a row behind the jobs that are ready in its queue.
pub(super) fn make_ready(scope: &mut Scope<'_>, row: i64, queue: &str) -> Result<(), Fault> {
    let (now, seq) = (integer(scope.now().as_millis()), scope.last_place());
    let sql = r#"UPDATE "jobs" SET state = 'queued', since = ?2, due_at = NULL, bury_at = NULL, problem = NULL, seq = ?3
        WHERE rowid = ?1"#;
    scope.execute(sql, (row, now, seq))?;
    // A name that is none is found when the job is fetched, or never, by a queue nobody can ask for.
    scope.news.queues.extend(QueueName::new(queue).ok());
    Ok(())
}
