//! Workers: registration, generations, heartbeats and the leases that go with them.

use std::time::Duration;

use celeriac_core::{Fence, Generation, Incarnation, JobId};
use rusqlite::Row;

use super::clock::Deadline;
use super::control;
use super::fault::Fault;
use super::scope::{Scope, View, instant, integer, natural};
use crate::error::BrokerError;
use crate::worker_session::{Pulse, Reconciled, Registration, Session, StoreLife};

/// How long a registration lives without a heartbeat, at least. It is longer than any lease should be, so that a worker
/// that was cut off for a while finds itself where it was.
const REGISTRATION_TTL: Duration = Duration::from_secs(180);

fn registration_ttl(lease: Duration) -> Duration {
    REGISTRATION_TTL.max(lease.saturating_mul(3))
}

/// Reads the columns `expires_at`, `boot` and `expires_uptime`.
pub(super) fn read_deadline(row: &Row<'_>) -> rusqlite::Result<Deadline> {
    let at = instant(row.get("expires_at")?);
    Ok(Deadline { at, boot: row.get("boot")?, uptime: row.get::<_, Option<i64>>("expires_uptime")?.map(natural) })
}

/// Registers a worker under an incarnation that was never seen.
pub(super) fn register(scope: &mut Scope<'_>, worker: &Registration) -> Result<Session, Fault> {
    let incarnation = worker.incarnation.as_str();
    let known =
        r#"SELECT 1 FROM "workers" WHERE incarnation = ?1 UNION ALL SELECT 1 FROM "lost" WHERE incarnation = ?1"#;
    if scope.any(known, [incarnation])? {
        let text = format!("the incarnation {incarnation} was registered before; generate another one");
        return Err(BrokerError::Invalid(text).into());
    }
    let session = Session {
        incarnation: worker.incarnation.clone(),
        generation: Generation::new(1),
        lease: worker.lease,
        store: StoreLife::default(),
    };
    let (queues, tasks) = (serde_json::json!(worker.queues), serde_json::json!(worker.tasks));
    let sql = r#"INSERT INTO "workers" (incarnation, generation, host, pid, version, queues, tasks, lease, expires_at)
        VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, 0)"#;
    let lease = integer(u64::try_from(worker.lease.as_millis()).unwrap_or(u64::MAX));
    let (queues, tasks) = (queues.to_string(), tasks.to_string());
    scope.execute(sql, (incarnation, &worker.host, worker.pid, &worker.version, queues, tasks, lease))?;
    renew_registration(scope, &session)?;
    Ok(session)
}

/// Fails unless this is the newest session of a worker that is registered.
pub(super) fn check(view: &View<'_>, session: &Session) -> Result<(), Fault> {
    if newest_generation(view, session)? == session.generation {
        return Ok(());
    }
    Err(BrokerError::SessionLost.into())
}

/// The newest generation of a worker that is registered, whichever the session has.
fn newest_generation(view: &View<'_>, session: &Session) -> Result<Generation, Fault> {
    let sql = r#"SELECT generation, expires_at, boot, expires_uptime FROM "workers" WHERE incarnation = ?1"#;
    let read = |row: &Row<'_>| Ok((natural(row.get(0)?), read_deadline(row)?));
    match view.first(sql, [session.incarnation.as_str()], read)? {
        Some((generation, deadline)) if !view.moment.is_past(&deadline) => Ok(Generation::new(generation)),
        _ => Err(BrokerError::SessionLost.into()),
    }
}

/// Opens the next generation, from any before: the answer to an earlier reconcile may have been lost. Like a token it is no count, so that
/// a restored store does not open one again whose answers may still be on their way.
pub(super) fn reconcile(scope: &mut Scope<'_>, session: &Session) -> Result<Reconciled, Fault> {
    let counted = newest_generation(scope, session)?.get().saturating_add(1);
    let generation = counted.max(scope.now().as_millis().saturating_mul(1000));
    let sql = r#"UPDATE "workers" SET generation = ?2 WHERE incarnation = ?1"#;
    scope.execute(sql, (session.incarnation.as_str(), integer(generation)))?;
    let held = held(scope, &session.incarnation)?;
    Ok(Reconciled { session: Session { generation: Generation::new(generation), ..session.clone() }, held })
}

/// Renews the registration, and the lease if there is something to lease. Any generation may: the worker lives.
pub(super) fn heartbeat(scope: &mut Scope<'_>, session: &Session) -> Result<Pulse, Fault> {
    newest_generation(scope, session)?;
    renew_registration(scope, session)?;
    let held = held(scope, &session.incarnation)?;
    if held.is_empty() {
        end_lease(scope, &session.incarnation)?;
    } else {
        renew_lease(scope, session)?;
    }
    let revoked = control::tell(scope, &session.incarnation)?;
    Ok(Pulse { now: scope.now(), newest_fence: scope.newest_fence(), held, revoked, next_due: scope.next_due()? })
}

/// Ends a registration; without jobs there is no lease to wait for either.
pub(super) fn deregister(scope: &mut Scope<'_>, session: &Session) -> Result<(), Fault> {
    let worker = session.incarnation.as_str();
    let newer = r#"SELECT 1 FROM "workers" WHERE incarnation = ?1 AND generation <> ?2"#;
    if scope.any(newer, (worker, integer(session.generation.get())))? {
        return Err(BrokerError::SessionLost.into());
    }
    scope.execute(r#"DELETE FROM "workers" WHERE incarnation = ?1"#, [worker])?;
    if !holds_any(scope, &session.incarnation)? {
        end_lease(scope, &session.incarnation)?;
    }
    Ok(())
}

/// Begins or renews a lease.
pub(super) fn renew_lease(scope: &mut Scope<'_>, session: &Session) -> Result<(), Fault> {
    let end = scope.moment.deadline(session.lease);
    let sql = r#"INSERT INTO "leases" (incarnation, expires_at, boot, expires_uptime) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (incarnation) DO UPDATE
        SET expires_at = excluded.expires_at, boot = excluded.boot, expires_uptime = excluded.expires_uptime"#;
    scope
        .execute(sql, (session.incarnation.as_str(), integer(end.at.as_millis()), end.boot, end.uptime.map(integer)))?;
    Ok(())
}

fn end_lease(scope: &mut Scope<'_>, worker: &Incarnation) -> Result<(), Fault> {
    scope.execute(r#"DELETE FROM "leases" WHERE incarnation = ?1"#, [worker.as_str()])?;
    Ok(())
}

fn renew_registration(scope: &mut Scope<'_>, session: &Session) -> Result<(), Fault> {
    let end = scope.moment.deadline(registration_ttl(session.lease));
    let sql = r#"UPDATE "workers" SET expires_at = ?2, boot = ?3, expires_uptime = ?4 WHERE incarnation = ?1"#;
    scope
        .execute(sql, (session.incarnation.as_str(), integer(end.at.as_millis()), end.boot, end.uptime.map(integer)))?;
    Ok(())
}

/// Whether somebody holds a job.
pub(super) fn holds_any(view: &View<'_>, worker: &Incarnation) -> Result<bool, Fault> {
    view.any(r#"SELECT 1 FROM "jobs" WHERE holder = ?1 LIMIT 1"#, [worker.as_str()])
}

/// What somebody holds. Ids that cannot be read are left out: no worker can have been handed them.
fn held(view: &View<'_>, worker: &Incarnation) -> Result<Vec<(JobId, Fence)>, Fault> {
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, natural(row.get(1)?)));
    let sql = r#"SELECT id, fence FROM "jobs" WHERE holder = ?1 AND state = 'running' ORDER BY fence, seq"#;
    let held = view.all(sql, [worker.as_str()], read)?;
    Ok(held.into_iter().filter_map(|(id, fence)| Some((JobId::new(id).ok()?, Fence::new(fence)))).collect())
}
