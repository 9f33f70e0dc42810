//! Moving workflows on: a step begins, a step ends, and what follows in the same commit.

use celeriac_core::canvas::{Counts, EndKind, MAX_INLINE_BYTES, Next, Policy, StepEnd, StepLink, WaitingStep};
use celeriac_core::{JobId, Priority, QueueName, Record, State, TaskName, WorkflowId};
use rusqlite::types::ValueRef;
use rusqlite::{Row, ToSql};

use super::fault::Fault;
use super::queues;
use super::rows::{self, Payload, Place};
use super::scope::{Scope, View, integer};
use crate::workflows::{Advance, Advanced, Begun, REVIEW, ROOT};

/// How the job of a step has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Whoever held it has said so.
    Settled,
    /// It waited, and somebody has ended it. What follows is left to others, because many may be ended at once.
    Unheld,
}

/// What of a workflow decides whether a step begins.
#[derive(Debug, Clone, Copy)]
struct Standing {
    halted: bool,
    revoked: bool,
}

fn standing(view: &View<'_>, workflow: &WorkflowId) -> Result<Option<Standing>, Fault> {
    let sql = r#"SELECT halted, revoked_by IS NOT NULL FROM "workflows" WHERE id = ?1"#;
    view.first(sql, [workflow.as_str()], |row| Ok(Standing { halted: row.get(0)?, revoked: row.get(1)? }))
}

/// How a node has ended.
fn kind(view: &View<'_>, workflow: &WorkflowId, node: u32) -> Result<Option<EndKind>, Fault> {
    let sql = r#"SELECT kind FROM "workflow_nodes" WHERE workflow = ?1 AND node = ?2 AND kind IS NOT NULL"#;
    let letter = view.first(sql, (workflow.as_str(), node), |row| row.get::<_, String>(0))?;
    Ok(letter.as_deref().and_then(read_kind))
}

/// A kind from its column.
pub(super) fn read_kind(letter: &str) -> Option<EndKind> {
    letter.chars().next().and_then(EndKind::from_letter)
}

/// Leaves an event, at the end of the line if it was there before: also if somebody has taken it.
pub(super) fn leave_event(scope: &mut Scope<'_>, workflow: &WorkflowId, node: u32) -> Result<(), Fault> {
    let sql = r#"INSERT INTO "workflow_events" (workflow, node, due_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (workflow, node) DO UPDATE SET due_at = excluded.due_at"#;
    scope.execute(sql, (workflow.as_str(), node, integer(scope.now().as_millis())))?;
    Ok(())
}

/// Stores a job that waits for one step, unless one is there.
pub(super) fn put_waiting(scope: &mut Scope<'_>, step: &WaitingStep) -> Result<(), Fault> {
    let record = &step.record;
    let Some(link) = &record.options.step else { return Ok(()) };
    let sql = r#"INSERT INTO "workflow_waiting" (workflow, node, id, task, queue, priority, options, gap, payload)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (workflow, node) DO NOTHING"#;
    let options = record.encode_optional().map(|json| String::from_utf8_lossy(&json).into_owned());
    let values: [&dyn ToSql; 9] = [
        &link.workflow.as_str(),
        &link.at,
        &record.id.as_str(),
        &record.task.as_str(),
        &record.queue.as_str(),
        &record.priority.get(),
        &options,
        &step.gap.map(|gap| integer(gap as u64)),
        &Payload(&record.payload),
    ];
    scope.execute(sql, values)?;
    Ok(())
}

/// The job that waits for a node's only dependency. One that cannot be read counts as none: whoever takes the event makes it anew.
fn waiting(view: &View<'_>, workflow: &WorkflowId, node: u32) -> Result<Option<WaitingStep>, Fault> {
    let sql = r#"SELECT id, task, queue, priority, options, gap, payload FROM "workflow_waiting"
        WHERE workflow = ?1 AND node = ?2"#;
    let step = view.first(sql, (workflow.as_str(), node), |row| Ok(read_waiting(row)))?;
    Ok(match step {
        Some(Ok(step)) => Some(step),
        Some(Err(problem)) => {
            tracing::warn!(%workflow, node, problem, "passed over a waiting job whose row cannot be read");
            None
        }
        None => None,
    })
}

fn read_waiting(row: &Row<'_>) -> Result<WaitingStep, String> {
    let text = |column| row.get::<_, String>(column).map_err(problem);
    let payload = match row.get_ref(6).map_err(problem)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
        _ => return Err("its payload is a number".to_owned()),
    };
    let id = JobId::new(text(0)?).map_err(problem)?;
    let (task, queue) = (TaskName::new(text(1)?).map_err(problem)?, QueueName::new(text(2)?).map_err(problem)?);
    let mut record = Record::new(id, task, queue, payload);
    record.priority = Priority::new(row.get(3).map_err(problem)?).map_err(problem)?;
    if let Some(options) = row.get::<_, Option<String>>(4).map_err(problem)? {
        record.decode_optional(options.as_bytes()).map_err(problem)?;
    }
    let gap: Option<i64> = row.get(5).map_err(problem)?;
    Ok(WaitingStep::new(record, gap.and_then(|gap| usize::try_from(gap).ok())))
}

fn problem(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Enqueues the job of a step, if it may begin.
pub(super) fn begin(scope: &mut Scope<'_>, record: &Record, again: bool) -> Result<Begun, Fault> {
    let Some(link) = &record.options.step else { return Ok(Begun::Unknown) };
    let Some(standing) = standing(scope, &link.workflow)? else { return Ok(Begun::Unknown) };
    let ended = kind(scope, &link.workflow, link.at)?;
    if ended.is_some_and(|kind| kind.lets_go_on() || !again) {
        return Ok(Begun::Before);
    }
    if standing.revoked || (standing.halted && !again && link.policy != Policy::Callback) {
        return Ok(Begun::Halted);
    }
    scope.execute(r#"DELETE FROM "jobs" WHERE id = ?1 AND state = 'dead'"#, [record.id.as_str()])?;
    if !rows::insert(scope, record, State::Queued, Place::Tail)? {
        return Ok(Begun::Before);
    }
    if ended.is_some() {
        forget_failure(scope, link)?;
    }
    queues::note(scope, &record.queue)?;
    scope.execute(r#"DELETE FROM "results" WHERE id = ?1"#, [record.id.as_str()])?;
    let sql = r#"DELETE FROM "workflow_waiting" WHERE workflow = ?1 AND node = ?2"#;
    scope.execute(sql, (link.workflow.as_str(), link.at))?;
    Ok(Begun::Done)
}

/// Takes the failure of a step back whose dead job is tried again. That of a revoked workflow stays.
pub(super) fn retry(scope: &mut Scope<'_>, link: &StepLink) -> Result<(), Fault> {
    let revoked = standing(scope, &link.workflow)?.is_none_or(|standing| standing.revoked);
    if !revoked && kind(scope, &link.workflow, link.at)?.is_some_and(|kind| !kind.lets_go_on()) {
        forget_failure(scope, link)?;
    }
    Ok(())
}

/// Forgets an end without success. With the last one the workflow goes on, as if it had not ended.
fn forget_failure(scope: &mut Scope<'_>, link: &StepLink) -> Result<(), Fault> {
    let workflow = &link.workflow;
    let sql = r#"UPDATE "workflow_nodes" SET kind = NULL, value = NULL, pending = 0 WHERE workflow = ?1 AND node = ?2"#;
    scope.execute(sql, (workflow.as_str(), link.at))?;
    if link.policy == Policy::Callback {
        return Ok(());
    }
    drop_failure(scope, workflow, link.policy)?;
    let sql = r#"UPDATE "workflows" SET halted = 0, ended_at = NULL, expires_at = NULL
        WHERE id = ?1 AND halted = 1 AND failures = 0"#;
    if scope.execute(sql, [workflow.as_str()])? > 0 {
        scope.execute(r#"DELETE FROM "results" WHERE id = ?1"#, [workflow.as_str()])?;
        leave_event(scope, workflow, REVIEW)?;
    }
    Ok(())
}

fn drop_failure(scope: &mut Scope<'_>, workflow: &WorkflowId, policy: Policy) -> Result<(), Fault> {
    if policy != Policy::Callback {
        let sql = r#"UPDATE "workflows" SET failures = failures - 1 WHERE id = ?1 AND failures > 0"#;
        scope.execute(sql, [workflow.as_str()])?;
    }
    Ok(())
}

/// Moves a workflow on whose step has ended.
pub(super) fn end(scope: &mut Scope<'_>, link: &StepLink, end: &StepEnd, how: How) -> Result<(), Fault> {
    let workflow = &link.workflow;
    let Some(standing) = standing(scope, workflow)? else { return Ok(()) };
    let left = link.many || end.value.len() > MAX_INLINE_BYTES || how == How::Unheld;
    if !keep(scope, link, end, standing.halted || left)? {
        return Ok(());
    }
    if !end.kind.lets_go_on() {
        if link.halts(end.kind) {
            halt(scope, workflow)?;
        }
        return if link.policy == Policy::Callback { Ok(()) } else { leave_event(scope, workflow, link.at) };
    }
    if standing.halted {
        return Ok(());
    }
    if left {
        return leave_event(scope, workflow, link.at);
    }
    for Next(node, _) in &link.next {
        match waiting(scope, workflow, *node)? {
            Some(step) => drop(begin(scope, &step.fill(&end.value), false)?),
            None => leave_event(scope, workflow, *node)?,
        }
    }
    count(scope, workflow, &link.counts)?;
    if link.last { leave_event(scope, workflow, link.at) } else { Ok(()) }
}

/// Keeps the end of a step and counts the failures. Answers false if the step has ended well before: then nothing is changed.
fn keep(scope: &mut Scope<'_>, link: &StepLink, end: &StepEnd, pending: bool) -> Result<bool, Fault> {
    let old = kind(scope, &link.workflow, link.at)?;
    if old.is_some_and(EndKind::lets_go_on) {
        return Ok(false);
    }
    let pending = pending && end.kind.lets_go_on();
    let sql = r#"INSERT INTO "workflow_nodes" (workflow, node, kind, value, pending) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (workflow, node) DO UPDATE
        SET kind = excluded.kind, value = excluded.value, pending = excluded.pending"#;
    let values = (link.workflow.as_str(), link.at, end.kind.letter().to_string(), &end.value, pending);
    scope.execute(sql, values)?;
    if old.is_some() && end.kind.lets_go_on() {
        drop_failure(scope, &link.workflow, link.policy)?;
    } else if old.is_none() && link.is_failure(end.kind) {
        let sql = r#"UPDATE "workflows" SET failures = failures + 1 WHERE id = ?1"#;
        scope.execute(sql, [link.workflow.as_str()])?;
    }
    Ok(true)
}

fn halt(scope: &mut Scope<'_>, workflow: &WorkflowId) -> Result<(), Fault> {
    scope.execute(r#"UPDATE "workflows" SET halted = 1 WHERE id = ?1 AND halted = 0"#, [workflow.as_str()])?;
    Ok(())
}

/// Counts an end for nodes that wait for several.
fn count(scope: &mut Scope<'_>, workflow: &WorkflowId, counts: &[Counts]) -> Result<(), Fault> {
    for Counts(node, needed) in counts {
        let sql = r#"INSERT INTO "workflow_nodes" (workflow, node, counted) VALUES (?1, ?2, 1)
            ON CONFLICT (workflow, node) DO UPDATE SET counted = counted + 1"#;
        scope.execute(sql, (workflow.as_str(), node))?;
        let sql = r#"SELECT 1 FROM "workflow_nodes" WHERE workflow = ?1 AND node = ?2 AND counted >= ?3"#;
        if scope.any(sql, (workflow.as_str(), node, needed))? {
            leave_event(scope, workflow, *node)?;
        }
    }
    Ok(())
}

/// Lets some followers of a node go on, unless somebody else was faster.
pub(super) fn advance(scope: &mut Scope<'_>, workflow: &WorkflowId, part: &Advance) -> Result<Advanced, Fault> {
    let Some(standing) = standing(scope, workflow)? else { return Ok(Advanced::Unknown) };
    if standing.halted {
        return Ok(Advanced::Halted);
    }
    let sql = r#"SELECT advanced FROM "workflow_nodes" WHERE workflow = ?1 AND node = ?2"#;
    let advanced = scope.first(sql, (workflow.as_str(), part.node), |row| row.get(0))?.unwrap_or(0);
    if advanced != part.from {
        return Ok(Advanced::Moved(advanced));
    }
    for job in &part.begin {
        begin(scope, job, false)?;
    }
    count(scope, workflow, &part.counts)?;
    let sql = r#"INSERT INTO "workflow_nodes" (workflow, node, advanced) VALUES (?1, ?2, ?3)
        ON CONFLICT (workflow, node) DO UPDATE SET advanced = excluded.advanced"#;
    scope.execute(sql, (workflow.as_str(), part.node, part.to))?;
    if part.last && part.node != ROOT {
        // A join has no job that could end it.
        let sql = r#"UPDATE "workflow_nodes" SET pending = 0, value = iif(kind IS NULL, '', value),
            kind = coalesce(kind, ?3) WHERE workflow = ?1 AND node = ?2"#;
        scope.execute(sql, (workflow.as_str(), part.node, EndKind::Succeeded.letter().to_string()))?;
    }
    Ok(Advanced::Done)
}

/// Keeps the end of a step that has no job.
pub(super) fn fail(scope: &mut Scope<'_>, link: &StepLink, end: &StepEnd) -> Result<(), Fault> {
    let Some(standing) = standing(scope, &link.workflow)? else { return Ok(()) };
    if !keep(scope, link, end, true)? {
        return Ok(());
    }
    if end.kind.lets_go_on() {
        return if standing.halted { Ok(()) } else { leave_event(scope, &link.workflow, link.at) };
    }
    if link.halts(end.kind) {
        halt(scope, &link.workflow)?;
    }
    if link.is_failure(end.kind) { leave_event(scope, &link.workflow, link.at) } else { Ok(()) }
}
