//! What jobs tell while they run.

use celeriac_core::{Incarnation, JobId, LogLine, Notes};

use super::fault::Fault;
use super::scope::{Scope, View, integer};
use crate::delivery::{NOTES_TTL, Note};
use crate::error::BrokerError;

/// Keeps what handlers tell of the jobs that their worker holds.
pub(super) fn keep(scope: &mut Scope<'_>, worker: &Incarnation, notes: &[Note]) -> Result<(), Fault> {
    for note in notes {
        let held = r#"SELECT 1 FROM "jobs" WHERE id = ?1 AND holder = ?2 AND fence = ?3"#;
        if !scope.any(held, (note.id.as_str(), worker.as_str(), integer(note.fence.get())))? {
            continue;
        }
        let mut kept = read(scope, &note.id)?;
        let now = scope.now();
        kept.add(note.progress.clone(), note.lines.iter().map(|line| LogLine::new(now, line)));
        let json = serde_json::to_string(&kept).map_err(|error| BrokerError::Invalid(error.to_string()))?;
        let sql = r#"INSERT OR REPLACE INTO "notes" (id, expires_at, notes) VALUES (?1, ?2, ?3)"#;
        scope.execute(sql, (note.id.as_str(), integer(now.after(NOTES_TTL).as_millis()), json))?;
    }
    Ok(())
}

/// What a job has told.
pub(super) fn read(view: &View<'_>, id: &JobId) -> Result<Notes, Fault> {
    let sql = r#"SELECT notes FROM "notes" WHERE id = ?1 AND expires_at > ?2"#;
    let json = view.first(sql, (id.as_str(), integer(view.now().as_millis())), |row| row.get::<_, String>(0))?;
    let corrupt = |error: serde_json::Error| BrokerError::Corrupt { what: "notes of a job", detail: error.to_string() };
    Ok(json.map(|json| serde_json::from_str(&json).map_err(corrupt)).transpose()?.unwrap_or_default())
}
