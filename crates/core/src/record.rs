//! The stored form of a job.
//!
//! A compact header, then an optional section, then the payload. Scripts in a store may read and write the fixed
//! bytes and nothing else; docs/redis-layout.md has the table. The header is kept small because memory per queued job is
//! decided by allocator classes: 22 bytes, the task's name, and the queue's name unless it is `default`.
//!
//! | bytes | what |
//! |---|---|
//! | 0..6 | when it was enqueued, milliseconds, big-endian; the store writes it |
//! | 6..12 | when it came into its present state; the store writes it |
//! | 12 | version of this format, the letter `1` |
//! | 13 | letter of the state, see [`State::letter`] |
//! | 14 | low four bits: priority; 16: suspect; 32: there is an optional section; 64: it is a step of a workflow |
//! | 15..17, 17..19, 19 | attempts, failures, losses; big-endian, they stop at their largest value |
//! | 20, 21 | length of the task's and of the queue's name; 0 is the queue `default` |
//! | then | task, queue, its place in its workflow (`canvas/link_bytes.rs`), optional section (length in 4 bytes, JSON), payload |

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::canvas::StepLink;
use crate::history::{Incident, MAX_INCIDENTS};
use crate::id::JobId;
use crate::name::{QueueName, TaskName};
use crate::options::{JobOptions, Priority};
use crate::state::State;
use crate::time::Timestamp;

const VERSION: u8 = b'1';
const FIXED: usize = 22;
/// Bytes at the front that the store writes: two instants.
const STAMPS: usize = 12;
const SUSPECT: u8 = 0x10;
const OPTIONAL: u8 = 0x20;
const STEP: u8 = 0x40;

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The id; it is the key of the record and not part of its bytes.
    pub id: JobId,
    /// The task to run.
    pub task: TaskName,
    /// The queue the job belongs to.
    pub queue: QueueName,
    /// The state, but for hand-outs: a running job's record still says `Queued`.
    pub state: State,
    /// How urgent it is in its queue.
    pub priority: Priority,
    /// Whether the job was running when a worker vanished, so that it may only run alone.
    pub suspect: bool,
    /// Hand-outs that ended, whatever their end; the one in progress is `attempt + 1`.
    pub attempt: u32,
    /// Attempts that the handler failed.
    pub failures: u32,
    /// Attempts whose worker vanished.
    pub losses: u32,
    /// When the store accepted the job.
    pub enqueued_at: Timestamp,
    /// When the job came into its present state.
    pub since: Timestamp,
    /// What this job says differently from its task.
    pub options: JobOptions,
    /// The newest attempts that did not succeed, oldest first.
    pub history: Vec<Incident>,
    /// The arguments: JSON, opaque to every store.
    pub payload: Vec<u8>,
}

/// Bytes that are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes end before the record does.
    #[error("record ends after {0} bytes")]
    Truncated(usize),
    /// The record was written by a version that this one does not know.
    #[error("record has format {0}, this version reads format 1")]
    Version(u8),
    /// A part of the record is not what it must be.
    #[error("record's {0} cannot be read")]
    Part(&'static str),
}

/// The optional section.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Optional {
    #[serde(flatten)]
    options: JobOptions,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    history: Vec<Incident>,
}

impl Record {
    /// A job that never ran; the store sets state and instants when it accepts it.
    #[must_use]
    pub fn new(id: JobId, task: TaskName, queue: QueueName, payload: Vec<u8>) -> Self {
        Self {
            id,
            task,
            queue,
            state: State::Queued,
            priority: Priority::default(),
            suspect: false,
            attempt: 0,
            failures: 0,
            losses: 0,
            enqueued_at: Timestamp::default(),
            since: Timestamp::default(),
            options: JobOptions::default(),
            history: Vec::new(),
            payload,
        }
    }

    /// When it is too late for an attempt to begin; `None` if it never is.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.options.expires_ms.map(|after| self.enqueued_at.after(Duration::from_millis(after)))
    }

    /// When the job must have ended; `None` if it may take any time.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.options.deadline_ms.map(|after| self.enqueued_at.after(Duration::from_millis(after)))
    }

    /// Adds an incident and forgets the oldest above [`MAX_INCIDENTS`].
    pub fn note(&mut self, incident: Incident) {
        self.history.push(incident);
        let excess = self.history.len().saturating_sub(MAX_INCIDENTS);
        self.history.drain(..excess);
    }

    /// The record's bytes without the two instants that the store writes in front of them.
    #[must_use]
    pub fn encode_unstamped(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_unstamped_to(&mut bytes);
        bytes
    }

    /// Appends the record's bytes without the two instants that the store writes in front of them.
    pub fn encode_unstamped_to(&self, bytes: &mut Vec<u8>) {
        let mut options = self.options.clone();
        let step = if options.step.is_some() { options.step.take() } else { None };
        let optional = encode_section(options, &self.history);
        let queue = if self.queue.is_default() { "" } else { self.queue.as_str() };
        let task = self.task.as_str();
        let mut flags = self.priority.get();
        flags |= if self.suspect { SUSPECT } else { 0 };
        flags |= if optional.is_some() { OPTIONAL } else { 0 };
        flags |= if step.is_some() { STEP } else { 0 };
        let optional_length = optional.as_ref().map_or(0, |section| section.len() + 4);
        let length = FIXED - STAMPS + task.len() + queue.len() + optional_length + self.payload.len();
        bytes.reserve(length);
        bytes.extend([VERSION, self.state.letter().unwrap_or(b'Q'), flags]);
        bytes.extend(u16::try_from(self.attempt).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(u16::try_from(self.failures).unwrap_or(u16::MAX).to_be_bytes());
        bytes.push(u8::try_from(self.losses).unwrap_or(u8::MAX));
        // Names have at most 200 bytes, so both lengths fit.
        bytes.extend([task.len() as u8, queue.len() as u8]);
        bytes.extend_from_slice(task.as_bytes());
        bytes.extend_from_slice(queue.as_bytes());
        if let Some(step) = step {
            step.encode_to(&self.id, bytes);
        }
        if let Some(section) = optional {
            bytes.extend((section.len() as u32).to_be_bytes());
            bytes.extend(section);
        }
        bytes.extend_from_slice(&self.payload);
    }

    /// The record's bytes, instants included.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED + self.payload.len() + 32);
        bytes.extend(stamp(self.enqueued_at));
        bytes.extend(stamp(self.since));
        self.encode_unstamped_to(&mut bytes);
        bytes
    }

    /// Options and history as JSON, for a store that keeps them apart from the rest; `None` if there is nothing to say.
    #[must_use]
    pub fn encode_optional(&self) -> Option<Vec<u8>> {
        encode_section(self.options.clone(), &self.history)
    }

    /// Takes options and history from the JSON that [`Record::encode_optional`] wrote.
    ///
    /// # Errors
    /// [`RecordError::Part`] for anything else.
    pub fn decode_optional(&mut self, json: &[u8]) -> Result<(), RecordError> {
        let section: Optional = serde_json::from_slice(json).map_err(|_| RecordError::Part("optional section"))?;
        self.options = section.options;
        self.history = section.history;
        Ok(())
    }

    /// Reads a record's bytes; their end becomes the payload without another allocation.
    ///
    /// # Errors
    /// [`RecordError`]; the bytes may come from anyone, so each length is checked.
    pub fn decode(id: JobId, bytes: impl Into<Vec<u8>>) -> Result<Self, RecordError> {
        Self::decode_from(id, &mut bytes.into())
    }

    /// Reads a record's bytes like [`Record::decode`], and leaves them as they are if they are no record.
    ///
    /// # Errors
    /// [`RecordError`] as there.
    pub fn decode_from(id: JobId, bytes: &mut Vec<u8>) -> Result<Self, RecordError> {
        let mut reader = Reader { bytes, at: 0 };
        let enqueued_at = Timestamp::from_millis(reader.number(6)?);
        let since = Timestamp::from_millis(reader.number(6)?);
        let version = reader.number(1)? as u8;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let state = State::from_letter(reader.number(1)? as u8).ok_or(RecordError::Part("state"))?;
        let flags = reader.number(1)? as u8;
        let priority = Priority::new(flags & 0x0f).map_err(|_| RecordError::Part("priority"))?;
        let (attempt, failures, losses) = (reader.number(2)?, reader.number(2)?, reader.number(1)?);
        let (task_length, queue_length) = (reader.number(1)? as usize, reader.number(1)? as usize);
        let task = reader.text(task_length, "task name")?;
        let task = TaskName::new(task).map_err(|_| RecordError::Part("task name"))?;
        let queue = match reader.text(queue_length, "queue name")? {
            "" => QueueName::default(),
            name => QueueName::new(name).map_err(|_| RecordError::Part("queue name"))?,
        };
        let mut record = Self::new(id, task, queue, Vec::new());
        record.state = state;
        record.priority = priority;
        record.suspect = flags & SUSPECT != 0;
        (record.attempt, record.failures, record.losses) = (attempt as u32, failures as u32, losses as u32);
        (record.enqueued_at, record.since) = (enqueued_at, since);
        let step = if flags & STEP != 0 { Some(StepLink::decode_from(&record.id, &mut reader)?) } else { None };
        if flags & OPTIONAL != 0 {
            let length = reader.number(4)? as usize;
            record.decode_optional(reader.take(length)?)?;
        }
        if let Some(step) = step {
            record.options.step = Some(Box::new(step));
        }
        let header = reader.at;
        bytes.drain(..header);
        record.payload = std::mem::take(bytes);
        Ok(record)
    }
}

/// The optional section as JSON; `None` if there is nothing to say.
fn encode_section(options: JobOptions, history: &[Incident]) -> Option<Vec<u8>> {
    if options.is_empty() && history.is_empty() {
        return None;
    }
    let section = Optional { options, history: history.to_vec() };
    Some(serde_json::to_vec(&section).expect("options have only string keys"))
}

/// An instant as the 6 bytes that stand for it in a record.
fn stamp(instant: Timestamp) -> [u8; 6] {
    let [_, _, rest @ ..] = instant.as_millis().to_be_bytes();
    rest
}

/// Reads a record from its front.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let end = self.at.checked_add(length).ok_or(RecordError::Truncated(self.bytes.len()))?;
        let part = self.bytes.get(self.at..end).ok_or(RecordError::Truncated(self.bytes.len()))?;
        self.at = end;
        Ok(part)
    }

    pub(crate) fn number(&mut self, length: usize) -> Result<u64, RecordError> {
        Ok(self.take(length)?.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    pub(crate) fn text(&mut self, length: usize, what: &'static str) -> Result<&'a str, RecordError> {
        std::str::from_utf8(self.take(length)?).map_err(|_| RecordError::Part(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::{Counts, Next, Policy};
    use crate::history::Cause;
    use proptest::prelude::*;

    fn sample() -> Record {
        let id = JobId::new("job-1").unwrap();
        let task = TaskName::new("images.resize").unwrap();
        let queue = QueueName::new("images").unwrap();
        Record::new(id, task, queue, br#"{"path":"a.png"}"#.to_vec())
    }

    #[test]
    fn the_header_of_a_plain_job_has_at_most_28_bytes() {
        let task = TaskName::new("resize").unwrap();
        let record = Record::new(JobId::generate(), task, QueueName::default(), Vec::new());
        assert_eq!(record.encode().len(), 28);
    }

    #[test]
    fn the_place_of_a_member_in_its_workflow_has_17_bytes() {
        let mut record = sample();
        let length = record.encode().len();
        let mut link = StepLink::new("job".parse().unwrap(), 70_000);
        link.counts = vec![Counts(100_000, 100_000)];
        record.options.step = Some(Box::new(link));
        assert_eq!(record.encode().len() - length, 17);
    }

    #[test]
    fn a_place_with_more_behind_it_than_can_be_said_says_that_it_has_many() {
        let mut record = sample();
        let mut link = StepLink::new("job".parse().unwrap(), 1);
        link.counts = vec![Counts(2, 2); 256];
        record.options.step = Some(Box::new(link));
        let read = Record::decode(record.id.clone(), record.encode()).unwrap();
        let link = read.options.step.as_deref().unwrap();
        assert_eq!((link.many, link.counts.len()), (true, 0));
    }

    #[test]
    fn a_full_record_reads_back() {
        let mut record = sample();
        (record.attempt, record.failures, record.losses, record.suspect) = (3, 1, 2, true);
        record.state = State::Dead;
        record.enqueued_at = Timestamp::from_millis(1_764_000_000_123);
        record.since = Timestamp::from_millis(1_764_000_000_456);
        record.options.retries = Some(4);
        record.note(Incident::new(3, record.since, "worker-1", Cause::Failed, "no disk"));
        assert_eq!(Record::decode(record.id.clone(), record.encode()), Ok(record));
    }

    #[test]
    fn only_the_newest_incidents_are_kept() {
        let mut record = sample();
        for attempt in 1..=20 {
            record.note(Incident::new(attempt, Timestamp::default(), "w", Cause::Failed, "e"));
        }
        assert_eq!(record.history.len(), MAX_INCIDENTS);
        assert_eq!(record.history.last().map(|incident| incident.attempt), Some(20));
    }

    #[test]
    fn counters_stop_at_their_largest_value() {
        let mut record = sample();
        (record.attempt, record.losses) = (70_000, 300);
        let read = Record::decode(record.id.clone(), record.encode()).unwrap();
        assert_eq!((read.attempt, read.losses), (65_535, 255));
    }

    #[test]
    fn an_unknown_format_is_named() {
        let mut bytes = sample().encode();
        bytes[12] = b'9';
        assert_eq!(Record::decode(sample().id, bytes.as_slice()), Err(RecordError::Version(b'9')));
    }

    /// Any place in a workflow.
    fn links() -> impl Strategy<Value = StepLink> {
        let policies = prop::sample::select(vec![Policy::Fail, Policy::Continue, Policy::Wait, Policy::Callback]);
        let next = prop::collection::vec((any::<u32>(), "[a-z]{1,200}"), 0..4);
        let counts = prop::collection::vec((any::<u32>(), any::<u32>()), 0..4);
        // The first is the front of the id of these records.
        (prop::sample::select(vec!["job", "other"]), any::<u32>(), policies, next, counts, any::<[bool; 2]>()).prop_map(
            |(workflow, at, policy, next, counts, flags)| {
                let mut link = StepLink::new(workflow.parse().unwrap(), at);
                link.policy = policy;
                link.next = next.into_iter().map(|(node, queue)| Next(node, queue.parse().unwrap())).collect();
                link.counts = counts.into_iter().map(|(node, need)| Counts(node, need)).collect();
                [link.many, link.last] = flags;
                link
            },
        )
    }

    /// Any options, each there or not.
    fn options() -> impl Strategy<Value = JobOptions> {
        let times = any::<[Option<u64>; 5]>();
        let headers = prop::collection::btree_map("[a-z._-]{1,9}", "\\PC{0,9}", 0..3);
        (any::<Option<u32>>(), times, prop::option::of("[!-~]{1,200}"), headers, prop::option::of(links())).prop_map(
            |(retries, times, unique, headers, step)| {
                let mut options = JobOptions::default();
                options.retries = retries;
                options.step = step.map(Box::new);
                [options.timeout_ms, options.soft_timeout_ms, options.result_ttl_ms, ..] = times;
                [.., options.expires_ms, options.deadline_ms] = times;
                options.unique = unique.map(|key| key.parse().unwrap());
                headers.into_iter().for_each(|(name, value)| options.headers.insert(name, value).unwrap());
                options
            },
        )
    }

    fn incidents() -> impl Strategy<Value = Incident> {
        let causes = prop::sample::select(vec![Cause::Failed, Cause::WorkerLost, Cause::Undecodable, Cause::Other]);
        (any::<u32>(), any::<u64>(), ".{0,9}", causes, any::<String>()).prop_map(
            |(attempt, at, worker, cause, error)| {
                Incident::new(attempt, Timestamp::from_millis(at), &worker, cause, &error)
            },
        )
    }

    /// Any record that a store can hold. `PROPTEST_CASES` asks for more than 256 of them.
    fn records() -> impl Strategy<Value = Record> {
        let states: Vec<State> = State::ALL.into_iter().filter(|state| state.letter().is_some()).collect();
        let names = ("[A-Za-z0-9._:/-]{1,200}", "default|[A-Za-z0-9._:/-]{1,200}");
        let standing = (prop::sample::select(states), prop::sample::select(&Priority::ALL), any::<bool>());
        let numbers = (any::<u16>(), any::<u16>(), any::<u8>(), any::<u64>(), any::<u64>());
        let contents = (options(), prop::collection::vec(incidents(), 0..3), any::<Vec<u8>>());
        (names, standing, numbers, contents).prop_map(|((task, queue), standing, numbers, contents)| {
            let mut record = Record::new(sample().id, task.parse().unwrap(), queue.parse().unwrap(), contents.2);
            (record.state, record.priority, record.suspect) = standing;
            (record.attempt, record.failures, record.losses) = (numbers.0.into(), numbers.1.into(), numbers.2.into());
            (record.enqueued_at, record.since) = (Timestamp::from_millis(numbers.3), Timestamp::from_millis(numbers.4));
            (record.options, record.history) = (contents.0, contents.1);
            record
        })
    }

    proptest! {
        #[test]
        fn any_record_reads_back(record in records()) {
            prop_assert_eq!(Record::decode(record.id.clone(), record.encode()), Ok(record));
        }

        #[test]
        fn cutting_a_record_anywhere_before_its_payload_is_an_error(cut in 0usize..41) {
            let bytes = sample().encode();
            prop_assert!(Record::decode(sample().id, &bytes[..cut]).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::decode(sample().id, bytes.as_slice());
        }

        #[test]
        fn a_damaged_record_is_refused_or_reads_back(record in records(), at: prop::sample::Index, value: u8) {
            let mut bytes = record.encode();
            let at = at.index(bytes.len());
            bytes[at] = value;
            if let Ok(read) = Record::decode(record.id, bytes.as_slice()) {
                prop_assert_eq!(Record::decode(read.id.clone(), read.encode()), Ok(read));
            } else {
                let mut kept = bytes.clone();
                prop_assert!(Record::decode_from(sample().id, &mut kept).is_err());
                prop_assert_eq!(kept, bytes);
            }
        }
    }
}
