//! Ending deliveries.

use std::collections::HashSet;
use std::time::Duration;

use celeriac_core::canvas::StepLink;
use celeriac_core::{JobId, Outcome, Transition};

use super::fault::Fault;
use super::queues;
use super::reclaim;
use super::rows::{self, Place};
use super::scope::{Scope, integer};
use super::session;
use super::steps::{self, How};
use crate::delivery::{Settled, Settlement};
use crate::error::BrokerError;
use crate::worker_session::Holder;

/// Applies each settlement whose job the holder holds under its token.
pub(super) fn settle(
    scope: &mut Scope<'_>,
    holder: &Holder,
    settlements: &[Settlement],
) -> Result<Vec<Settled>, Fault> {
    match holder {
        Holder::Session(session) => session::check(scope, session)?,
        Holder::Condemned(incarnation) if reclaim::is_lost(scope, incarnation)? => {}
        Holder::Condemned(_) => return Err(BrokerError::SessionLost.into()),
    }
    let mut settled = Vec::with_capacity(settlements.len());
    // Of several settlements of one job the first counts, also when it is refused.
    let mut refused = HashSet::new();
    for settlement in settlements {
        let sql =
            r#"SELECT rowid, revoked FROM "jobs" WHERE id = ?1 AND state = 'running' AND holder = ?2 AND fence = ?3"#;
        let key = (settlement.id.as_str(), holder.incarnation().as_str(), integer(settlement.fence.get()));
        let held = scope.first(sql, key, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?)))?;
        settled.push(match held {
            None => Settled::NotHeld,
            Some(_) if refused.contains(&settlement.id) => Settled::NotHeld,
            Some((_, Some(_))) if !settlement.transition.state().is_terminal() => {
                refused.insert(&settlement.id);
                Settled::Revoked
            }
            Some((row, _)) => {
                apply(scope, row, settlement)?;
                Settled::Done
            }
        });
    }
    Ok(settled)
}

fn apply(scope: &mut Scope<'_>, row: i64, settlement: &Settlement) -> Result<(), Fault> {
    let (record, place) = match &settlement.transition {
        Transition::Finish { outcome, keep, step, .. } => {
            scope.execute(r#"DELETE FROM "jobs" WHERE rowid = ?1"#, [row])?;
            keep_outcome(scope, &settlement.id, outcome, *keep)?;
            return end_step(scope, step.as_deref(), outcome);
        }
        Transition::DeadLetter { record, outcome, keep, retention } => {
            keep_outcome(scope, &settlement.id, outcome, *keep)?;
            rows::rewrite(scope, row, record, Place::Aside)?;
            let bury_at = integer(scope.now().after(*retention).as_millis());
            scope.execute(r#"UPDATE "jobs" SET bury_at = ?2, revoked = NULL WHERE rowid = ?1"#, (row, bury_at))?;
            queues::note(scope, &record.queue)?;
            return end_step(scope, record.options.step.as_deref(), outcome);
        }
        Transition::Retry { record, delay } => (record, Place::Due(scope.now().after(*delay))),
        // A suspect waits behind the other suspects, so that one that is handed back again and again holds up none.
        Transition::Requeue { record } if record.suspect => (record, Place::Tail),
        Transition::Requeue { record } => (record, Place::Head),
        Transition::Park { record } => (record, Place::Aside),
        _ => return Err(BrokerError::Invalid("this store does not know that way out of running".to_owned()).into()),
    };
    rows::rewrite(scope, row, record, place)?;
    queues::note(scope, &record.queue)
}

/// Moves the workflow on that the job is a step of.
fn end_step(scope: &mut Scope<'_>, link: Option<&StepLink>, outcome: &Outcome) -> Result<(), Fault> {
    match link {
        Some(link) => steps::end(scope, link, &link.end(outcome), How::Settled),
        None => Ok(()),
    }
}

/// Keeps the end of a job for those who ask. It also replaces an end that an earlier job of this id has left.
pub(super) fn keep_outcome(scope: &mut Scope<'_>, id: &JobId, outcome: &Outcome, keep: Duration) -> Result<(), Fault> {
    if keep.is_zero() {
        scope.execute(r#"DELETE FROM "results" WHERE id = ?1"#, [id.as_str()])?;
        return Ok(());
    }
    // Text, because the columns are meant to be read.
    let json = serde_json::to_string(outcome).map_err(|error| BrokerError::Invalid(error.to_string()))?;
    let expires_at = integer(scope.now().after(keep).as_millis());
    let sql = r#"INSERT OR REPLACE INTO "results" (id, state, expires_at, outcome) VALUES (?1, ?2, ?3, ?4)"#;
    scope.execute(sql, (id.as_str(), outcome.state.as_str(), expires_at, json))?;
    scope.news.ended.push(id.clone());
    Ok(())
}
