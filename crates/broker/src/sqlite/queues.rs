//! The queues: which there are, which are paused, and what is ready in them.

use celeriac_core::QueueName;

use super::fault::Fault;
use super::scope::{Scope, View};

/// The two lists of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Jobs for everybody.
    Ordinary,
    /// Jobs that were running when a worker vanished, each to be run alone.
    Suspect,
}

impl Kind {
    /// The lowest and the highest value of the column `rank`.
    pub(super) fn ranks(self) -> (i64, i64) {
        match self {
            Self::Ordinary => (i64::MIN, 0),
            Self::Suspect => (100, 100),
        }
    }
}

/// Whether a job of this kind is ready in the queue.
pub(super) fn has_ready(view: &View<'_>, queue: &QueueName, kind: Kind) -> Result<bool, Fault> {
    let sql = r#"SELECT 1 FROM "jobs" INDEXED BY "jobs_ready"
        WHERE state = 'queued' AND queue = ?1 AND rank BETWEEN ?2 AND ?3 LIMIT 1"#;
    let (lowest, highest) = kind.ranks();
    view.any(sql, (queue.as_str(), lowest, highest))
}

/// Whether fetches take nothing from the queue.
pub(super) fn is_paused(view: &View<'_>, queue: &QueueName) -> Result<bool, Fault> {
    view.any(r#"SELECT 1 FROM "queues" WHERE name = ?1 AND paused <> 0"#, [queue.as_str()])
}

/// Notes that a queue is used.
pub(super) fn note(scope: &mut Scope<'_>, queue: &QueueName) -> Result<(), Fault> {
    scope.execute(r#"INSERT INTO "queues" (name) VALUES (?1) ON CONFLICT DO NOTHING"#, [queue.as_str()])?;
    Ok(())
}

/// Pauses or resumes a queue.
pub(super) fn set_paused(scope: &mut Scope<'_>, queue: &QueueName, paused: bool) -> Result<(), Fault> {
    let sql = r#"INSERT INTO "queues" (name, paused) VALUES (?1, ?2)
        ON CONFLICT (name) DO UPDATE SET paused = excluded.paused"#;
    scope.execute(sql, (queue.as_str(), paused))?;
    if !paused {
        scope.news.queues.insert(queue.clone());
    }
    Ok(())
}
