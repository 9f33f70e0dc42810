//! Accepting batches: each is applied once, however often it is sent.

use celeriac_core::{JobId, State, Timestamp};
use serde::{Deserialize, Serialize};

use super::control;
use super::fault::Fault;
use super::queues;
use super::rows::{self, Place};
use super::scope::{Scope, integer, natural};
use crate::batch::{Acceptance, Batch, BatchAnswer, IdOrigin, LANE_TTL, NewJob, Start};

/// What is remembered of a lane.
struct Memory {
    last: u64,
    /// JSON with the positions that were refused in the last batch, or pairs of a position and the job that has the unique key; `None` if
    /// all was accepted.
    refused: Option<String>,
}

/// A job of a batch that was refused: its position, and who has its unique key if that was why.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Refused {
    Id(usize),
    Unique(usize, JobId),
}

/// Applies a batch if it is the next of its lane, or answers again if it is the last.
pub(super) fn enqueue(scope: &mut Scope<'_>, batch: &Batch) -> Result<BatchAnswer, Fault> {
    let memory = recall(scope, batch)?;
    match &memory {
        Some(memory) if batch.number == memory.last => return answer_again(memory, batch),
        None if scope.now().since(batch.lane.made_at) > LANE_TTL => return Ok(BatchAnswer::Gap),
        _ => {}
    }
    if batch.number != memory.map_or(0, |memory| memory.last).saturating_add(1) {
        return Ok(BatchAnswer::Gap);
    }
    let mut answers = Vec::with_capacity(batch.jobs.len());
    for job in &batch.jobs {
        answers.push(accept(scope, job)?);
    }
    remember(scope, batch, &answers)?;
    Ok(BatchAnswer::Applied(answers))
}

fn recall(scope: &Scope<'_>, batch: &Batch) -> Result<Option<Memory>, Fault> {
    let sql = r#"SELECT last, refused FROM "producers" WHERE producer = ?1 AND lane = ?2 AND expires_at >= ?3"#;
    let key = (&batch.lane.producer, batch.lane.index, integer(scope.now().as_millis()));
    scope.first(sql, key, |row| Ok(Memory { last: natural(row.get(0)?), refused: row.get(1)? }))
}

/// The last write of a batch: with it the batch counts as applied.
fn remember(scope: &mut Scope<'_>, batch: &Batch, answers: &[Acceptance]) -> Result<(), Fault> {
    let refused = |(position, answer): (usize, &Acceptance)| match answer {
        Acceptance::Accepted => None,
        Acceptance::IdInUse => Some(Refused::Id(position)),
        Acceptance::UniqueInUse { holder } => Some(Refused::Unique(position, holder.clone())),
    };
    let refused: Vec<Refused> = answers.iter().enumerate().filter_map(refused).collect();
    let refused = (!refused.is_empty()).then(|| serde_json::json!(refused).to_string());
    let sql = r#"INSERT INTO "producers" (producer, lane, last, refused, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (producer, lane) DO UPDATE
        SET last = excluded.last, refused = excluded.refused, expires_at = excluded.expires_at"#;
    let expires_at = integer(scope.now().after(LANE_TTL).as_millis());
    scope.execute(sql, (&batch.lane.producer, batch.lane.index, integer(batch.number), refused, expires_at))?;
    Ok(())
}

fn answer_again(memory: &Memory, batch: &Batch) -> Result<BatchAnswer, Fault> {
    let mut answers = vec![Acceptance::Accepted; batch.jobs.len()];
    let Some(refused) = &memory.refused else { return Ok(BatchAnswer::Applied(answers)) };
    let refused: Vec<Refused> = serde_json::from_str(refused)
        .map_err(|error| crate::BrokerError::Corrupt { what: "answer to a batch", detail: error.to_string() })?;
    for refused in refused {
        let (position, refusal) = match refused {
            Refused::Id(position) => (position, Acceptance::IdInUse),
            Refused::Unique(position, holder) => (position, Acceptance::UniqueInUse { holder }),
        };
        if let Some(answer) = answers.get_mut(position) {
            *answer = refusal;
        }
    }
    Ok(BatchAnswer::Applied(answers))
}

/// Stores a job, unless its id or its unique key is in use.
pub(super) fn accept(scope: &mut Scope<'_>, job: &NewJob) -> Result<Acceptance, Fault> {
    let id = job.record.id.as_str();
    if job.id_origin == IdOrigin::Given {
        let kept = r#"SELECT 1 FROM "results" WHERE id = ?1 AND expires_at > ?2"#;
        if scope.any(kept, (id, integer(scope.now().as_millis())))? {
            return Ok(Acceptance::IdInUse);
        }
    }
    if scope.any(r#"SELECT 1 FROM "jobs" WHERE id = ?1"#, [id])? {
        return Ok(Acceptance::IdInUse);
    }
    if let Some(unique) = &job.record.options.unique
        && let Some(holder) = control::holder_of_key(scope, unique)?
    {
        return Ok(Acceptance::UniqueInUse { holder });
    }
    let now = scope.now();
    let due = due(now, job.start);
    let (state, place) = if due > now { (State::Scheduled, Place::Due(due)) } else { (State::Queued, Place::Tail) };
    if !rows::insert(scope, &job.record, state, place)? {
        return Ok(Acceptance::IdInUse);
    }
    queues::note(scope, &job.record.queue)?;
    Ok(Acceptance::Accepted)
}

fn due(now: Timestamp, start: Start) -> Timestamp {
    match start {
        Start::Now => now,
        Start::After(delay) => now.after(delay),
        Start::At(instant) => instant,
    }
}
