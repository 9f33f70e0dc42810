//! Removing what is kept for a time only.

use rusqlite::Row;

use super::fault::Fault;
use super::scope::{Scope, integer};
use super::{session, workflows};
use crate::batch::MAX_BATCH_JOBS;
use crate::delivery::Pruned;

/// Removes dead jobs, ends, registrations, workflows and lanes whose time is over, a bounded number of each.
pub(super) fn prune(scope: &mut Scope<'_>, max: usize) -> Result<Pruned, Fault> {
    let limit = integer(max.min(MAX_BATCH_JOBS) as u64);
    let now = integer(scope.now().as_millis());
    let dead = r#"DELETE FROM "jobs" WHERE rowid IN (
        SELECT rowid FROM "jobs" INDEXED BY "jobs_dead" WHERE bury_at IS NOT NULL AND bury_at <= ?1
        ORDER BY bury_at LIMIT ?2)"#;
    let results = r#"DELETE FROM "results" WHERE rowid IN (
        SELECT rowid FROM "results" WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)"#;
    let lanes = r#"DELETE FROM "producers" WHERE (producer, lane) IN (
        SELECT producer, lane FROM "producers" WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)"#;
    let pruned = Pruned {
        dead: scope.execute(dead, (now, limit))?,
        results: scope.execute(results, (now, limit))?,
        workers: prune_workers(scope, max)?,
        workflows: workflows::prune(scope, max.min(MAX_BATCH_JOBS))?,
    };
    scope.execute(lanes, (now, limit))?;
    let notes = r#"DELETE FROM "notes" WHERE rowid IN (
        SELECT rowid FROM "notes" WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)"#;
    scope.execute(notes, (now, limit))?;
    Ok(pruned)
}

/// Registrations that nobody renews. Those that hold jobs are left to whoever condemns them.
fn prune_workers(scope: &mut Scope<'_>, max: usize) -> Result<usize, Fault> {
    let sql = r#"SELECT incarnation, expires_at, boot, expires_uptime FROM "workers"
        WHERE NOT EXISTS (SELECT 1 FROM "jobs" WHERE holder = incarnation)"#;
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, session::read_deadline(row)?));
    let mut idle = scope.all(sql, [], read)?;
    idle.retain(|(_, deadline)| scope.moment.is_past(deadline));
    idle.truncate(max);
    for (worker, _) in &idle {
        scope.execute(r#"DELETE FROM "workers" WHERE incarnation = ?1"#, [worker])?;
    }
    Ok(idle.len())
}
