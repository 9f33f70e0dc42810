//! What went wrong with a job so far, kept with it.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The longest error text that is kept, in bytes; the rest is cut off.
pub const MAX_ERROR_BYTES: usize = 4096;

/// How many incidents a job keeps: the newest.
pub const MAX_INCIDENTS: usize = 8;

/// Why an attempt did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The handler answered an error.
    Failed,
    /// The handler panicked.
    Panicked,
    /// The attempt ran longer than its time limit.
    TimedOut,
    /// The attempt was still running at the job's deadline.
    DeadlineExceeded,
    /// The worker that held the job vanished.
    WorkerLost,
    /// No worker that saw the job knew its task.
    UnknownTask,
    /// The arguments could not be decoded.
    Undecodable,
    /// A cause that a newer version has noted and this one does not know.
    #[serde(other)]
    Other,
}

/// One attempt that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Incident {
    /// The attempt, counted from 1.
    pub attempt: u32,
    /// When it was noted, by the store's clock.
    pub at: Timestamp,
    /// The worker that held the job.
    pub worker: String,
    /// Why.
    pub cause: Cause,
    /// The error's text, at most [`MAX_ERROR_BYTES`] long.
    pub error: String,
}

impl Incident {
    /// Notes an incident; a long `error` is cut at a character's boundary.
    #[must_use]
    pub fn new(attempt: u32, at: Timestamp, worker: &str, cause: Cause, error: &str) -> Self {
        let end = (0..=MAX_ERROR_BYTES.min(error.len())).rev().find(|end| error.is_char_boundary(*end)).unwrap_or(0);
        Self { attempt, at, worker: worker.to_owned(), cause, error: error[..end].to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cause_of_a_newer_version_makes_no_job_unreadable() {
        let newer = r#"{"attempt":1,"at":0,"worker":"w","cause":"struck_by_lightning","error":"e"}"#;
        assert_eq!(serde_json::from_str::<Incident>(newer).unwrap().cause, Cause::Other);
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let incident = Incident::new(1, Timestamp::default(), "w", Cause::Failed, &"ä".repeat(3000));
        assert_eq!(incident.error.len(), 4096);
        let odd = Incident::new(1, Timestamp::default(), "w", Cause::Failed, &format!("x{}", "ä".repeat(3000)));
        assert_eq!(odd.error.len(), 4095);
    }

    proptest! {
        #[test]
        fn an_incident_keeps_the_beginning_of_any_error(error in "(.|\\n){0,30}", times in 1usize..300) {
            let error = error.repeat(times);
            let incident = Incident::new(1, Timestamp::default(), "w", Cause::Failed, &error);
            prop_assert!(error.starts_with(&incident.error));
            prop_assert!(incident.error.len() > MAX_ERROR_BYTES - 4 || incident.error == error);
            let json = serde_json::to_string(&incident).unwrap();
            prop_assert_eq!(serde_json::from_str::<Incident>(&json).unwrap(), incident);
        }

        #[test]
        fn no_json_panics(json in r#"\{("(attempt|at|worker|cause|error)":(-?[0-9]{1,20}|"[a-z_]{0,9}"|null|\[\]),?){0,5}\}?"#) {
            let _ = serde_json::from_str::<Incident>(&json);
        }
    }
}
