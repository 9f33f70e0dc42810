//! How a job ended, as it is kept for whoever asks.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::id::JobId;
use crate::name::{QueueName, TaskName};
use crate::record::Record;
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
    pub worker: Arc<str>,
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

/// The version of the compact form, its first byte.
const VERSION: u8 = b'1';
/// What the last part of the compact form is.
const RESULT: u8 = 1;
const ERROR: u8 = 2;

impl Outcome {
    /// The end of a job that nobody held: `by` somebody, and why.
    #[must_use]
    pub fn of_waiting(record: &Record, state: State, by: &str, error: &str, now: Timestamp) -> Self {
        Self {
            id: record.id.clone(),
            task: record.task.clone(),
            queue: record.queue.clone(),
            state,
            attempt: record.attempt,
            failures: record.failures,
            losses: record.losses,
            enqueued_at: record.enqueued_at,
            finished_at: now,
            worker: by.into(),
            result: None,
            error: Some(error.to_owned()),
        }
    }

    /// The compact form, without the id, which is the key of an end wherever it is kept: a version, a letter for the state, three
    /// counters of 4 bytes, two instants of 6, then the names of task, queue and worker, each behind its length, and the result or the
    /// error behind a letter that says which.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, last) = match (&self.result, &self.error) {
            (Some(result), _) => (RESULT, result.get()),
            (None, Some(error)) => (ERROR, error.as_str()),
            (None, None) => (0, ""),
        };
        let names = [self.task.as_str(), self.queue.as_str(), &self.worker];
        let mut bytes = Vec::with_capacity(self.encoded_front() + last.len());
        bytes.extend([VERSION, self.state.end_letter()]);
        for counter in [self.attempt, self.failures, self.losses] {
            bytes.extend(counter.to_be_bytes());
        }
        for instant in [self.enqueued_at, self.finished_at] {
            bytes.extend(&instant.as_millis().to_be_bytes()[2..]);
        }
        for name in names {
            // Names have at most 200 bytes.
            bytes.push(name.len() as u8);
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes.push(kind);
        bytes.extend_from_slice(last.as_bytes());
        bytes
    }

    /// How many bytes of the compact form stand before the result or the error.
    #[must_use]
    pub fn encoded_front(&self) -> usize {
        let names = [self.task.as_str(), self.queue.as_str(), &self.worker];
        // Version and state, three counters, two instants, and what the last part is.
        2 + 3 * 4 + 2 * 6 + names.iter().map(|name| 1 + name.len()).sum::<usize>() + 1
    }

    /// Reads the compact form.
    ///
    /// # Errors
    /// What is wrong with it, for bytes that no celeriac wrote.
    pub fn decode(id: JobId, bytes: &[u8]) -> Result<Self, OutcomeError> {
        let mut reader = Reader(bytes);
        let version = reader.number(1)?;
        if version != u64::from(VERSION) {
            return Err(OutcomeError("version"));
        }
        let state = State::from_end_letter(reader.number(1)? as u8).ok_or(OutcomeError("state"))?;
        let (attempt, failures, losses) =
            (reader.number(4)? as u32, reader.number(4)? as u32, reader.number(4)? as u32);
        let enqueued_at = Timestamp::from_millis(reader.number(6)?);
        let finished_at = Timestamp::from_millis(reader.number(6)?);
        let task = TaskName::new(reader.text()?).map_err(|_| OutcomeError("task"))?;
        let queue = QueueName::new(reader.text()?).map_err(|_| OutcomeError("queue"))?;
        let worker = reader.text()?.into();
        let kind = reader.number(1)? as u8;
        let last = std::str::from_utf8(reader.0).map_err(|_| OutcomeError("text"))?.to_owned();
        let (result, error) = match kind {
            RESULT => (Some(RawValue::from_string(last).map_err(|_| OutcomeError("result"))?), None),
            ERROR => (None, Some(last)),
            _ => (None, None),
        };
        Ok(Self { id, task, queue, state, attempt, failures, losses, enqueued_at, finished_at, worker, result, error })
    }
}

/// Bytes that are no end of a job; it names the part that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its {0} cannot be read")]
pub struct OutcomeError(&'static str);

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], OutcomeError> {
        let (part, rest) = self.0.split_at_checked(length).ok_or(OutcomeError("end"))?;
        self.0 = rest;
        Ok(part)
    }

    fn number(&mut self, length: usize) -> Result<u64, OutcomeError> {
        Ok(self.take(length)?.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    fn text(&mut self) -> Result<&'a str, OutcomeError> {
        let length = self.number(1)? as usize;
        std::str::from_utf8(self.take(length)?).map_err(|_| OutcomeError("name"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Outcome {
        Outcome {
            id: JobId::new("a").unwrap(),
            task: TaskName::new("t").unwrap(),
            queue: QueueName::new("q").unwrap(),
            state: State::Succeeded,
            attempt: 70_000,
            failures: 1,
            losses: 2,
            enqueued_at: Timestamp::from_millis(1_764_000_000_123),
            finished_at: Timestamp::MAX,
            worker: "w".into(),
            result: Some(RawValue::from_string("{\"a\": [1]}".to_owned()).unwrap()),
            error: None,
        }
    }

    #[test]
    fn an_end_reads_back() {
        let mut outcome = sample();
        assert_eq!(Outcome::decode(outcome.id.clone(), &outcome.encode()), Ok(outcome.clone()));
        assert_eq!(&outcome.encode()[outcome.encoded_front()..], b"{\"a\": [1]}");
        (outcome.state, outcome.result, outcome.error) = (State::Dead, None, Some("no disk".to_owned()));
        assert_eq!(Outcome::decode(outcome.id.clone(), &outcome.encode()), Ok(outcome.clone()));
    }

    #[test]
    fn a_result_of_null_is_read_back_as_a_result() {
        let mut outcome = sample();
        outcome.result = Some(RawValue::NULL.to_owned());
        let read = Outcome::decode(outcome.id.clone(), &outcome.encode()).unwrap();
        assert_eq!(read.result.map(|result| result.get().to_owned()).as_deref(), Some("null"));
        let json = serde_json::to_string(&outcome).unwrap();
        let read: Outcome = serde_json::from_str(&json).unwrap();
        assert_eq!(read, outcome);
    }

    /// Any end, with a result, an error or neither.
    fn ends() -> impl Strategy<Value = Outcome> {
        let last = (any::<Option<i64>>(), any::<Option<String>>());
        let counters = (any::<u32>(), any::<u32>(), any::<u32>());
        let instants = (any::<u64>(), any::<u64>());
        (prop::sample::select(&State::ALL[5..8]), counters, instants, "\\PC{0,50}", last).prop_map(
            |(state, counters, instants, worker, (result, error))| Outcome {
                state,
                attempt: counters.0,
                failures: counters.1,
                losses: counters.2,
                enqueued_at: Timestamp::from_millis(instants.0),
                finished_at: Timestamp::from_millis(instants.1),
                worker: worker.into(),
                error: error.filter(|_| result.is_none()),
                result: result.map(|result| RawValue::from_string(result.to_string()).unwrap()),
                ..sample()
            },
        )
    }

    proptest! {
        #[test]
        fn any_end_reads_back(outcome in ends()) {
            prop_assert_eq!(Outcome::decode(outcome.id.clone(), &outcome.encode()), Ok(outcome));
        }

        #[test]
        fn a_damaged_end_is_refused_or_reads_back(outcome in ends(), at: prop::sample::Index, value: u8) {
            let mut bytes = outcome.encode();
            let at = at.index(bytes.len());
            bytes[at] = value;
            if let Ok(read) = Outcome::decode(outcome.id, &bytes) {
                prop_assert_eq!(Outcome::decode(read.id.clone(), &read.encode()), Ok(read));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Outcome::decode(sample().id, &bytes);
        }

        #[test]
        fn cutting_an_end_before_its_last_part_is_an_error(cut in 0usize..33) {
            prop_assert!(Outcome::decode(sample().id, &sample().encode()[..cut]).is_err());
        }
    }
}
