//! Work that comes again and again: what is enqueued, when, and what happens if that was missed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::JobId;
use crate::name::{QueueName, ScheduleName, TaskName};
use crate::options::{JobOptions, Priority};
use crate::record::Record;
use crate::time::Timestamp;

/// What is done about occurrences that nobody enqueued in time, because no beat ran or the store was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CatchUp {
    /// Nothing: the next occurrence is the next that runs.
    Skip,
    /// The latest of them is enqueued, once.
    #[default]
    Latest,
    /// All of them are enqueued, at most so many: the newest.
    All(u32),
}

/// What is done about an occurrence while the job of the one before has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overlap {
    /// It is enqueued all the same.
    #[default]
    Allow,
    /// It is skipped.
    Skip,
}

/// A schedule, as it is stored: JSON, of which a store reads nothing but the text of the timetable.
///
/// A field that this version does not know makes it unreadable: an older beat would otherwise fire it without a rule of a newer one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Schedule {
    /// When: the text of a timetable, zone included, which beats can read. What it means is no business of this crate.
    pub timetable: String,
    /// The task of its jobs.
    pub task: TaskName,
    /// Their queue.
    pub queue: QueueName,
    /// Their arguments, JSON.
    pub args: Box<RawValue>,
    /// How urgent they are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: Priority,
    /// What they say differently from their task. Without an expiry of their own they expire when the next occurrence is due, unless
    /// [`Schedule::keeps_late`].
    #[serde(default, skip_serializing_if = "JobOptions::is_empty")]
    pub options: JobOptions,
    /// Whether its jobs may run however late, if their options say nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keeps_late: bool,
    /// Whether it rests because its owner says so, whatever people order.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rests: bool,
    /// What is done about missed occurrences.
    #[serde(default, skip_serializing_if = "is_default")]
    pub catch_up: CatchUp,
    /// What is done while the last job has not ended.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overlap: Overlap,
    /// How much later than due an occurrence may be enqueued, in milliseconds: by a part of that which is fixed for each occurrence.
    #[serde(default, skip_serializing_if = "is_default")]
    pub jitter_ms: u64,
    /// The first instant at which it may occur.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// The instant from which on it occurs no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Schedule {
    /// Jobs of `task` with these arguments, by `timetable`.
    #[must_use]
    pub fn new(timetable: impl Into<String>, task: TaskName, queue: QueueName, args: Box<RawValue>) -> Self {
        Self {
            timetable: timetable.into(),
            task,
            queue,
            args,
            priority: Priority::default(),
            options: JobOptions::default(),
            keeps_late: false,
            rests: false,
            catch_up: CatchUp::default(),
            overlap: Overlap::default(),
            jitter_ms: 0,
            starts_at: None,
            ends_at: None,
        }
    }

    /// The JSON that is stored.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("a schedule has only string keys")
    }

    /// Reads what [`Schedule::encode`] wrote.
    ///
    /// # Errors
    /// What is wrong with it, for JSON that no celeriac wrote, or a newer one.
    pub fn decode(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// What it must go on saying to keep its past; with anything else it begins anew. One that rested, or whose bounds were others, has no
    /// past: what would have occurred meanwhile was not meant to.
    #[must_use]
    pub fn pace(&self) -> Cow<'_, str> {
        if !self.rests && self.starts_at.is_none() && self.ends_at.is_none() {
            return Cow::Borrowed(&self.timetable);
        }
        let mut pace = self.timetable.clone();
        for (word, bound) in [("from", self.starts_at), ("until", self.ends_at)] {
            if let Some(bound) = bound {
                pace.push_str(&format!(" {word} {}", bound.as_millis()));
            }
        }
        if self.rests {
            pace.push_str(" (rests)");
        }
        Cow::Owned(pace)
    }

    /// The job of an occurrence. Its id is made of the schedule's name and the instant, so that whoever makes it makes the same:
    /// `nightly:20261126T030000Z`.
    #[must_use]
    pub fn job(&self, name: &ScheduleName, occurrence: Timestamp) -> Record {
        let mut record = self.unnamed_job(occurrence_id(name, occurrence));
        record.priority = self.priority;
        record
    }

    /// A job of this schedule under an id of its own.
    #[must_use]
    pub fn unnamed_job(&self, id: JobId) -> Record {
        let payload = self.args.get().as_bytes().to_vec();
        let mut record = Record::new(id, self.task.clone(), self.queue.clone(), payload);
        (record.priority, record.options) = (self.priority, self.options.clone());
        record
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }
}

/// The id of the job of an occurrence. A name has at most 160 bytes, so it always fits.
fn occurrence_id(name: &ScheduleName, occurrence: Timestamp) -> JobId {
    let millis = i64::try_from(occurrence.as_millis()).unwrap_or(i64::MAX);
    let instant =
        jiff::Timestamp::from_millisecond(millis).map(|instant| instant.strftime("%Y%m%dT%H%M%S").to_string());
    let instant = instant.unwrap_or_else(|_| millis.to_string());
    let fraction = match millis % 1000 {
        0 => String::new(),
        rest => format!(".{rest:03}"),
    };
    JobId::new(format!("{name}:{instant}{fraction}Z")).expect("a schedule's name and an instant are a valid id")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        let args = RawValue::from_string(r#"{"n": 1.10}"#.to_owned()).unwrap();
        Schedule::new("0 3 * * * in UTC", TaskName::new("report").unwrap(), QueueName::default(), args)
    }

    #[test]
    fn what_is_encoded_reads_back_and_says_only_what_is_not_usual() {
        let plain = schedule();
        assert_eq!(Schedule::decode(&plain.encode()).unwrap(), plain);
        let keys = r#"{"timetable":"0 3 * * * in UTC","task":"report","queue":"default","args":{"n": 1.10}}"#;
        assert_eq!(plain.encode(), keys);
        let mut full = schedule();
        full.options.retries = Some(3);
        (full.catch_up, full.overlap, full.jitter_ms) = (CatchUp::All(7), Overlap::Skip, 500);
        (full.starts_at, full.ends_at) = (Some(Timestamp::from_millis(1)), Some(Timestamp::from_millis(2)));
        (full.keeps_late, full.priority) = (true, Priority::new(9).unwrap());
        assert_eq!(Schedule::decode(&full.encode()).unwrap(), full);
    }

    #[test]
    fn the_id_of_an_occurrence_is_its_name_and_instant() {
        let name = ScheduleName::new("nightly").unwrap();
        let job = schedule().job(&name, Timestamp::from_millis(1_795_662_000_000));
        assert_eq!(job.id.as_str(), "nightly:20261126T030000Z");
        assert_eq!(job.payload, br#"{"n": 1.10}"#);
        let odd = schedule().job(&name, Timestamp::from_millis(1_795_662_000_050));
        assert_eq!(odd.id.as_str(), "nightly:20261126T030000.050Z");
        let long = ScheduleName::new("s".repeat(160)).unwrap();
        assert!(schedule().job(&long, Timestamp::MAX).id.as_str().len() <= 200);
    }
}
