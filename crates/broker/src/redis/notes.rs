//! What jobs tell while they run, in one hash for each job that tells anything.

use std::collections::HashMap;

use celeriac_core::{JobId, LogLine, MAX_LOG_LINES, Notes, Progress, Timestamp};

use super::replies::read;
use super::script::{self, Call};
use super::session::millis;
use super::store::RedisBroker;
use crate::delivery::{NOTES_TTL, Note};
use crate::error::BrokerError;
use crate::worker_session::Session;

impl RedisBroker {
    pub(super) async fn keep_notes(&self, session: &Session, notes: &[Note]) -> Result<(), BrokerError> {
        if notes.is_empty() {
            return Ok(());
        }
        let mut list = vec![self.keys.running(&session.incarnation)];
        list.extend(notes.iter().map(|note| self.keys.notes(&note.id)));
        let mut call = Call::new(&script::NOTE, &list);
        call.arg(self.now_override()).arg(millis(NOTES_TTL)).arg(MAX_LOG_LINES);
        for note in notes {
            let progress = note.progress.as_ref().map(serde_json::to_string).transpose();
            let progress = progress.map_err(|error| BrokerError::Invalid(error.to_string()))?;
            let lines = &note.lines[note.lines.len().saturating_sub(MAX_LOG_LINES)..];
            call.arg(note.id.as_str()).arg(note.fence.get()).arg(progress.unwrap_or_default()).arg(lines.len());
            for line in lines {
                call.arg(LogLine::new(Timestamp::default(), line).text);
            }
        }
        self.commands.call(&call).await.map(|_| ())
    }

    pub(super) async fn read_notes(&self, id: &JobId) -> Result<Notes, BrokerError> {
        let value = self.pool.command(redis::cmd("HGETALL").arg(self.keys.notes(id))).await?;
        Ok(notes_of(read(value)?))
    }
}

/// What the fields of a job's hash say. What cannot be read is left out.
fn notes_of(mut fields: HashMap<String, String>) -> Notes {
    let mut notes = Notes::default();
    let progress = fields.remove("progress").and_then(|json| serde_json::from_str::<Progress>(&json).ok());
    let count: usize = fields.remove("lines").and_then(|count| count.parse().ok()).unwrap_or_default();
    let oldest = count.saturating_sub(MAX_LOG_LINES) + 1;
    let lines = (oldest..=count).filter_map(|number| {
        let line = fields.get(&(number % MAX_LOG_LINES).to_string())?;
        let (at, text) = line.split_once(' ')?;
        Some(LogLine::new(Timestamp::from_millis(at.parse().ok()?), text))
    });
    notes.add(progress, lines);
    notes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_fields_panic(fields in prop::collection::hash_map("progress|lines|[0-9]{1,2}", "[0-9]{1,20}|[0-9]{1,20} .{0,9}|\\PC{0,20}", 0..9)) {
            prop_assert!(notes_of(fields).lines.len() <= MAX_LOG_LINES);
        }
    }
}
