//! How a job ended, as it is kept for whoever asks.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::id::JobId;
use crate::name::{QueueName, TaskName};
use crate::state::State;
use crate::time::Timestamp;

/// The end of a job: written once, in the same transaction that ends it, and readable until its time is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// The job.
    pub id: JobId,
    /// Its task.
    pub task: TaskName,
    /// The queue it came from.
    pub queue: QueueName,
    /// The terminal state.
    pub state: State,
    /// The last attempt, counted from 1; 0 if it never ran.
    pub attempt: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// Attempts whose worker vanished.
    pub losses: u32,
    /// When the job was enqueued, by the store's clock.
    pub enqueued_at: Timestamp,
    /// When it ended, by the store's clock as its worker knows it.
    pub finished_at: Timestamp,
    /// The worker that ended it.
    pub worker: String,
    /// The result as JSON, for a job that succeeded.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "present")]
    pub result: Option<Box<RawValue>>,
    /// The last error, for one that did not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// Reads a result that is there. `null` is one: what a handler without a result answers.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl PartialEq for Outcome {
    fn eq(&self, other: &Self) -> bool {
        let text = |outcome: &Self| serde_json::to_string(outcome).ok();
        text(self) == text(other)
    }
}

impl Outcome {
    /// The stored form: one JSON object.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an outcome has only string keys and finite numbers")
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// The JSON error, for bytes that no celeriac wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_of_null_is_read_back_as_a_result() {
        let json = r#"{"id":"a","task":"t","queue":"q","state":"succeeded","attempt":1,"failures":0,"losses":0,
            "enqueued_at":1,"finished_at":2,"worker":"w"}"#;
        let mut outcome = Outcome::decode(json.as_bytes()).unwrap();
        assert!(outcome.result.is_none());
        outcome.result = Some(RawValue::NULL.to_owned());
        let read = Outcome::decode(&outcome.encode()).unwrap();
        assert_eq!(read.result.map(|result| result.get().to_owned()).as_deref(), Some("null"));
    }
}
