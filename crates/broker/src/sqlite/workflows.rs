//! Workflows: a row each, a row for each node that has ended or is counted for, one for each job that waits and one for each event.

use std::time::Duration;

use async_trait::async_trait;
use celeriac_core::canvas::{Policy, StepEnd, StepLink, WaitingStep};
use celeriac_core::{JobId, Outcome, Record, State, Timestamp, WorkflowId};
use rusqlite::Row;

use super::broker::SqliteBroker;
use super::control;
use super::fault::Fault;
use super::rows::StoredJob;
use super::scope::{Scope, View, instant, integer};
use super::settle::keep_outcome;
use super::steps;
use crate::batch::MAX_BATCH_BYTES;
use crate::error::BrokerError;
use crate::workflows::{
    Advance, Advanced, Begun, KeptEnd, MAX_STEPS, NewWorkflow, REVIEW, ROOT, Submitted, UNSTARTED_TTL, WorkflowEvent,
    WorkflowMark, WorkflowRevoked, WorkflowView, Workflows, check_jobs, check_steps,
};

/// The columns of a view, in the order in which [`read`] takes them.
const COLUMNS: &str = "id, version, nodes, made_at, begun, failures, halted, revoked_by, ended_at";

#[async_trait]
impl Workflows for SqliteBroker {
    async fn put_workflow(&self, workflow: &NewWorkflow) -> Result<Submitted, BrokerError> {
        workflow.check()?;
        let workflow = workflow.clone();
        self.write(move |scope| put(scope, &workflow)).await
    }

    async fn put_waiting(&self, workflow: &WorkflowId, steps: &[WaitingStep]) -> Result<(), BrokerError> {
        check_steps(steps.len())?;
        check_jobs(workflow, steps.iter().map(|step| &step.record))?;
        let (workflow, steps) = (workflow.clone(), steps.to_vec());
        self.write(move |scope| {
            let sql = r#"SELECT 1 FROM "workflows" WHERE id = ?1 AND begun = 0"#;
            let waits = scope.any(sql, [workflow.as_str()])?;
            steps.iter().filter(|_| waits).try_for_each(|step| steps::put_waiting(scope, step))
        })
        .await
    }

    async fn start_workflow(&self, workflow: &WorkflowId) -> Result<bool, BrokerError> {
        let workflow = workflow.clone();
        self.write(move |scope| {
            let sql = r#"UPDATE "workflows" SET begun = 1, expires_at = iif(ended_at IS NULL, NULL, expires_at)
                WHERE id = ?1 AND begun = 0"#;
            if scope.execute(sql, [workflow.as_str()])? > 0 {
                steps::leave_event(scope, &workflow, ROOT)?;
                return Ok(true);
            }
            is_known(scope, workflow.as_str())
        })
        .await
    }

    async fn begin_steps(
        &self,
        workflow: &WorkflowId,
        jobs: &[Record],
        again: bool,
    ) -> Result<Vec<Begun>, BrokerError> {
        check_steps(jobs.len())?;
        check_jobs(workflow, jobs)?;
        let jobs = jobs.to_vec();
        self.write(move |scope| jobs.iter().map(|job| steps::begin(scope, job, again)).collect()).await
    }

    async fn advance(&self, workflow: &WorkflowId, advance: &Advance) -> Result<Advanced, BrokerError> {
        check_steps(advance.begin.len() + advance.counts.len())?;
        check_jobs(workflow, &advance.begin)?;
        let (workflow, advance) = (workflow.clone(), advance.clone());
        self.write(move |scope| steps::advance(scope, &workflow, &advance)).await
    }

    async fn fail_step(
        &self,
        workflow: &WorkflowId,
        node: u32,
        end: &StepEnd,
        policy: Policy,
    ) -> Result<(), BrokerError> {
        let (mut link, end) = (StepLink::new(workflow.clone(), node), end.clone());
        link.policy = policy;
        self.write(move |scope| steps::fail(scope, &link, &end)).await
    }

    async fn take_events(&self, max: usize, lease: Duration) -> Result<Vec<WorkflowEvent>, BrokerError> {
        self.write(move |scope| take_events(scope, max.min(MAX_STEPS), lease)).await
    }

    async fn finish_event(&self, event: &WorkflowEvent) -> Result<(), BrokerError> {
        let event = event.clone();
        self.write(move |scope| {
            let sql = r#"DELETE FROM "workflow_events" WHERE workflow = ?1 AND node = ?2 AND due_at = ?3"#;
            scope.execute(sql, (event.workflow.as_str(), event.node, integer(event.until.as_millis())))?;
            Ok(())
        })
        .await
    }

    async fn step_ends(
        &self,
        workflow: &WorkflowId,
        nodes: &[u32],
        values: bool,
    ) -> Result<Vec<Option<KeptEnd>>, BrokerError> {
        check_steps(nodes.len())?;
        let (workflow, nodes) = (workflow.clone(), nodes.to_vec());
        self.read(move |view| step_ends(view, &workflow, &nodes, values)).await
    }

    async fn counted(&self, workflow: &WorkflowId, node: u32) -> Result<u32, BrokerError> {
        let workflow = workflow.clone();
        let sql = r#"SELECT counted FROM "workflow_nodes" WHERE workflow = ?1 AND node = ?2"#;
        let counted =
            self.read(move |view| view.first(sql, (workflow.as_str(), node), |row| row.get::<_, u32>(0))).await?;
        Ok(counted.unwrap_or_default())
    }

    async fn workflow(&self, id: &WorkflowId) -> Result<Option<WorkflowView>, BrokerError> {
        let id = id.clone();
        let sql = format!(r#"SELECT {COLUMNS} FROM "workflows" WHERE id = ?1"#);
        self.read(move |view| view.first(&sql, [id.as_str()], |row| read(row, id.clone()))).await
    }

    async fn workflow_spec(&self, id: &WorkflowId) -> Result<Option<String>, BrokerError> {
        let id = id.clone();
        let sql = r#"SELECT spec FROM "workflows" WHERE id = ?1"#;
        self.read(move |view| view.first(sql, [id.as_str()], |row| row.get(0))).await
    }

    async fn workflows(&self, before: Option<&WorkflowMark>, max: usize) -> Result<Vec<WorkflowView>, BrokerError> {
        let before = before
            .map_or((i64::MAX, String::new()), |mark| (integer(mark.made_at.as_millis()), mark.id.as_str().to_owned()));
        self.read(move |view| list(view, &before, max.min(MAX_STEPS))).await
    }

    async fn finish_workflow(
        &self,
        workflow: &WorkflowId,
        outcome: &Outcome,
        keep: Duration,
        retention: Duration,
    ) -> Result<bool, BrokerError> {
        let (workflow, outcome) = (workflow.clone(), outcome.clone());
        self.write(move |scope| finish(scope, &workflow, &outcome, (keep, retention))).await
    }

    async fn revoke_workflow(&self, workflow: &WorkflowId, by: &str) -> Result<WorkflowRevoked, BrokerError> {
        let (workflow, by) = (workflow.clone(), by.to_owned());
        self.write(move |scope| revoke(scope, &workflow, &by)).await
    }

    async fn withdraw(&self, workflow: &WorkflowId, ids: &[JobId]) -> Result<Option<usize>, BrokerError> {
        check_steps(ids.len())?;
        let (workflow, ids) = (workflow.clone(), ids.to_vec());
        self.write(move |scope| withdraw(scope, &workflow, &ids)).await
    }
}

fn is_known(view: &View<'_>, workflow: &str) -> Result<bool, Fault> {
    view.any(r#"SELECT 1 FROM "workflows" WHERE id = ?1"#, [workflow])
}

fn put(scope: &mut Scope<'_>, new: &NewWorkflow) -> Result<Submitted, Fault> {
    let id = new.id.as_str();
    let same = r#"SELECT token = ?2 FROM "workflows" WHERE id = ?1"#;
    if let Some(same) = scope.first(same, (id, &new.token), |row| row.get(0))? {
        return Ok(if same { Submitted::Done } else { Submitted::InUse });
    }
    let sql = r#"INSERT INTO "workflows" (id, token, version, nodes, made_at, begun, expires_at, spec)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"#;
    let millis = |instant: Timestamp| integer(instant.as_millis());
    let (made_at, unbegun) = (millis(scope.now()), (!new.begins).then(|| millis(scope.now().after(UNSTARTED_TTL))));
    scope.execute(sql, (id, &new.token, new.version, new.nodes, made_at, new.begins, unbegun, &new.spec))?;
    scope.execute(r#"DELETE FROM "results" WHERE id = ?1"#, [id])?;
    for step in &new.waiting {
        steps::put_waiting(scope, step)?;
    }
    for root in &new.roots {
        steps::begin(scope, root, false)?;
    }
    Ok(Submitted::Done)
}

fn take_events(scope: &mut Scope<'_>, max: usize, lease: Duration) -> Result<Vec<WorkflowEvent>, Fault> {
    let now = integer(scope.now().as_millis());
    let sql = r#"SELECT workflow, node FROM "workflow_events" INDEXED BY "workflow_events_due" WHERE due_at <= ?1
        ORDER BY due_at, workflow, node LIMIT ?2"#;
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
    let due = scope.all(sql, (now, integer(max as u64)), read)?;
    let until = scope.now().after(lease);
    let mut events = Vec::with_capacity(due.len());
    for (id, node) in due {
        let known = is_known(scope, &id)?;
        let named = WorkflowId::new(&id).ok().zip(u32::try_from(node).ok());
        let Some((workflow, number)) = named.filter(|_| known) else {
            // Of a workflow that is gone, or written by hand: nobody could do anything about it.
            let sql = r#"DELETE FROM "workflow_events" WHERE workflow = ?1 AND node = ?2"#;
            scope.execute(sql, (id, node))?;
            continue;
        };
        let sql = r#"UPDATE "workflow_events" SET due_at = ?3 WHERE workflow = ?1 AND node = ?2"#;
        scope.execute(sql, (id, node, integer(until.as_millis())))?;
        events.push(WorkflowEvent { workflow, node: number, until });
    }
    Ok(events)
}

/// Whether there is an event that somebody can take.
pub(super) fn has_events(view: &View<'_>) -> Result<bool, Fault> {
    let sql = r#"SELECT 1 FROM "workflow_events" INDEXED BY "workflow_events_due" WHERE due_at <= ?1 LIMIT 1"#;
    view.any(sql, [integer(view.now().as_millis())])
}

fn step_ends(
    view: &View<'_>,
    workflow: &WorkflowId,
    nodes: &[u32],
    values: bool,
) -> Result<Vec<Option<KeptEnd>>, Fault> {
    let sql = r#"SELECT kind, pending, advanced, iif(?3, value, '') FROM "workflow_nodes"
        WHERE workflow = ?1 AND node = ?2 AND kind IS NOT NULL"#;
    let read = |row: &Row<'_>| {
        let kind = steps::read_kind(&row.get::<_, String>(0)?);
        let pending = if row.get(1)? { Some(row.get(2)?) } else { None };
        let value = row.get::<_, Option<String>>(3)?.unwrap_or_default();
        Ok(kind.map(|kind| KeptEnd { end: StepEnd::new(kind, value), pending }))
    };
    let (mut ends, mut bytes) = (Vec::with_capacity(nodes.len()), 0);
    for node in nodes {
        let end = view.first(sql, (workflow.as_str(), node, values), read)?.flatten();
        bytes += end.as_ref().map_or(0, |kept| kept.end.value.len());
        if bytes > MAX_BATCH_BYTES && !ends.is_empty() {
            break;
        }
        ends.push(end);
    }
    Ok(ends)
}

fn read(row: &Row<'_>, id: WorkflowId) -> rusqlite::Result<WorkflowView> {
    let mut view = WorkflowView::new(id, row.get(1)?, row.get(2)?, row.get(3).map(instant)?);
    (view.begun, view.failures, view.halted) = (row.get(4)?, row.get(5)?, row.get(6)?);
    view.revoked_by = row.get(7)?;
    view.ended_at = row.get::<_, Option<i64>>(8)?.map(instant);
    Ok(view)
}

fn list(view: &View<'_>, before: &(i64, String), max: usize) -> Result<Vec<WorkflowView>, Fault> {
    let sql = format!(
        r#"SELECT {COLUMNS} FROM "workflows" WHERE (made_at, id) < (?1, ?2) ORDER BY made_at DESC, id DESC LIMIT ?3"#
    );
    let mut found = Vec::new();
    view.visit(&sql, (before.0, &before.1, integer(max as u64)), |row| {
        match WorkflowId::new(row.get::<_, String>(0)?) {
            Ok(id) => found.push(read(row, id)?),
            Err(problem) => tracing::warn!(%problem, "left out a workflow whose id cannot be read"),
        }
        Ok(true)
    })?;
    Ok(found)
}

fn finish(
    scope: &mut Scope<'_>,
    workflow: &WorkflowId,
    outcome: &Outcome,
    (keep, retention): (Duration, Duration),
) -> Result<bool, Fault> {
    let now = scope.now();
    let millis = |instant: Timestamp| integer(instant.as_millis());
    let halted = outcome.state != State::Succeeded;
    let sql =
        r#"UPDATE "workflows" SET ended_at = ?2, expires_at = ?3 WHERE id = ?1 AND ended_at IS NULL AND halted = ?4"#;
    if scope.execute(sql, (workflow.as_str(), millis(now), millis(now.after(retention)), halted))? == 0 {
        return Ok(false);
    }
    keep_outcome(scope, &outcome.id, outcome, keep)?;
    Ok(true)
}

fn revoke(scope: &mut Scope<'_>, workflow: &WorkflowId, by: &str) -> Result<WorkflowRevoked, Fault> {
    let sql = r#"UPDATE "workflows" SET revoked_by = ?2, halted = 1, ended_at = NULL, expires_at = NULL
        WHERE id = ?1 AND revoked_by IS NULL AND (ended_at IS NULL OR halted = 1)"#;
    if scope.execute(sql, (workflow.as_str(), by))? == 0 {
        let known = is_known(scope, workflow.as_str())?;
        return Ok(if known { WorkflowRevoked::TooLate } else { WorkflowRevoked::Unknown });
    }
    scope.execute(r#"DELETE FROM "results" WHERE id = ?1"#, [workflow.as_str()])?;
    steps::leave_event(scope, workflow, REVIEW)?;
    Ok(WorkflowRevoked::Done)
}

fn withdraw(scope: &mut Scope<'_>, workflow: &WorkflowId, ids: &[JobId]) -> Result<Option<usize>, Fault> {
    if !scope.any(r#"SELECT 1 FROM "workflows" WHERE id = ?1 AND halted = 1"#, [workflow.as_str()])? {
        return Ok(None);
    }
    let mut withdrawn = 0;
    for id in ids {
        let Some(StoredJob { row, job: Ok(job), .. }) = control::find(scope, id)? else { continue };
        let waits = job.held.is_none() && job.record.state != State::Dead;
        let link = job.record.options.step.as_ref().filter(|link| link.workflow == *workflow);
        if waits && link.is_some_and(|link| link.policy != Policy::Callback) {
            withdrawn += scope.execute(r#"DELETE FROM "jobs" WHERE rowid = ?1"#, [row])?;
        }
    }
    Ok(Some(withdrawn))
}

/// Removes workflows whose time is over, and those that nobody began. Their events go when somebody takes them.
pub(super) fn prune(scope: &mut Scope<'_>, max: usize) -> Result<usize, Fault> {
    let sql = r#"SELECT id FROM "workflows" INDEXED BY "workflows_expiring"
        WHERE expires_at IS NOT NULL AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2"#;
    let over = (integer(scope.now().as_millis()), integer(max as u64));
    let over = scope.all(sql, over, |row| row.get::<_, String>(0))?;
    for id in &over {
        remove(scope, id)?;
    }
    Ok(over.len())
}

fn remove(scope: &mut Scope<'_>, id: &str) -> Result<(), Fault> {
    for sql in [
        r#"DELETE FROM "workflow_nodes" WHERE workflow = ?1"#,
        r#"DELETE FROM "workflow_waiting" WHERE workflow = ?1"#,
        r#"DELETE FROM "workflows" WHERE id = ?1"#,
    ] {
        scope.execute(sql, [id])?;
    }
    Ok(())
}
