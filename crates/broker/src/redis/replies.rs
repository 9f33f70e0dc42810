//! Reads what scripts answer: the status word first, then values in the order that the script's header names.

use std::collections::VecDeque;
use std::fmt::Display;

use celeriac_core::{Fence, JobId, Outcome, Timestamp};
use redis::{FromRedisValue, Value};

use crate::error::BrokerError;

/// The status words of all scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It was carried out.
    Done,
    /// The batch was applied now.
    Applied,
    /// It was carried out when an earlier copy arrived.
    Again,
    /// The batch is not the next one.
    Gap,
    /// The registration has ended or a newer connection exists.
    SessionLost,
    /// What should be changed is not there (any more).
    NotHeld,
    /// Something else has this id.
    InUse,
    /// Somebody else was faster.
    Moved,
    /// The workflow is halted.
    Halted,
    /// It is in no state for that.
    Refused,
    /// There is no such thing.
    Unknown,
}

impl Status {
    fn from_word(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"done" => Self::Done,
            b"applied" => Self::Applied,
            b"again" => Self::Again,
            b"gap" => Self::Gap,
            b"session-lost" => Self::SessionLost,
            b"not-held" => Self::NotHeld,
            b"in-use" => Self::InUse,
            b"moved" => Self::Moved,
            b"halted" => Self::Halted,
            b"refused" => Self::Refused,
            b"unknown" => Self::Unknown,
            _ => return None,
        })
    }
}

/// The answer of a script, read from the front.
#[derive(Debug)]
pub(super) struct Reply {
    status: Status,
    values: VecDeque<Value>,
}

/// The most characters that a complaint repeats of an answer, which may be a record of a megabyte.
const REPEATED: usize = 200;

pub(super) fn odd(detail: &dyn Display) -> BrokerError {
    BrokerError::Corrupt { what: "an answer", detail: detail.to_string().chars().take(REPEATED).collect() }
}

/// A value of a command's answer.
pub(super) fn read<T: FromRedisValue>(value: Value) -> Result<T, BrokerError> {
    redis::from_redis_value(value).map_err(|error| odd(&error))
}

impl Reply {
    pub(super) fn new(value: Value) -> Result<Self, BrokerError> {
        let Value::Array(values) = value else { return Err(odd(&"no list")) };
        let mut values = VecDeque::from(values);
        let word: Vec<u8> = read(values.pop_front().unwrap_or(Value::Nil))?;
        let status = Status::from_word(&word).ok_or_else(|| odd(&String::from_utf8_lossy(&word)))?;
        Ok(Self { status, values })
    }

    pub(super) fn status(&self) -> Status {
        self.status
    }

    /// The answer, unless the session is not the newest.
    pub(super) fn in_session(self) -> Result<Self, BrokerError> {
        if self.status == Status::SessionLost { Err(BrokerError::SessionLost) } else { Ok(self) }
    }

    /// The next value.
    pub(super) fn take<T: FromRedisValue>(&mut self) -> Result<T, BrokerError> {
        read(self.values.pop_front().ok_or_else(|| odd(&"a value is missing"))?)
    }

    /// The next value, an answer in the answer.
    pub(super) fn part(&mut self) -> Result<Self, BrokerError> {
        Ok(Self { status: self.status, values: self.take::<Vec<Value>>()?.into() })
    }

    /// The next value, an instant.
    pub(super) fn instant(&mut self) -> Result<Timestamp, BrokerError> {
        self.take().map(Timestamp::from_millis)
    }

    /// The next value, an instant or an empty text.
    pub(super) fn maybe_instant(&mut self) -> Result<Option<Timestamp>, BrokerError> {
        Ok(self.maybe_number()?.map(Timestamp::from_millis))
    }

    /// The next value, a number or an empty text.
    pub(super) fn maybe_number(&mut self) -> Result<Option<u64>, BrokerError> {
        let text: String = self.take()?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|error| odd(&error)) }
    }

    /// The next value, a list whose items come in pairs.
    pub(super) fn pairs<A: FromRedisValue, B: FromRedisValue>(&mut self) -> Result<Vec<(A, B)>, BrokerError> {
        let mut items = self.take::<Vec<Value>>()?.into_iter();
        let mut pairs = Vec::with_capacity(items.len() / 2);
        while let Some(first) = items.next() {
            pairs.push((read(first)?, read(items.next().unwrap_or(Value::Nil))?));
        }
        Ok(pairs)
    }

    /// The next value, what a worker holds.
    pub(super) fn held(&mut self) -> Result<Vec<(JobId, Fence)>, BrokerError> {
        let pairs = self.pairs::<String, u64>()?;
        pairs.into_iter().map(|(id, fence)| Ok((job_id(&id)?, Fence::new(fence)))).collect()
    }
}

/// An id that the store kept.
pub(super) fn job_id(text: &str) -> Result<JobId, BrokerError> {
    JobId::new(text).map_err(|error| BrokerError::Corrupt { what: "a job id", detail: error.to_string() })
}

/// The end of a job that the store kept, if it is still to be kept: until when in 6 bytes, then the outcome.
pub(super) fn decode_end(id: &JobId, bytes: &[u8], now: Timestamp) -> Result<Option<Outcome>, BrokerError> {
    let corrupt = |detail: &dyn Display| BrokerError::Corrupt { what: "a result", detail: detail.to_string() };
    let (until, outcome) = bytes.split_at_checked(6).ok_or_else(|| corrupt(&"it is too short"))?;
    let until = until.iter().fold(0, |millis, byte| (millis << 8) | u64::from(*byte));
    if Timestamp::from_millis(until) <= now {
        return Ok(None);
    }
    Outcome::decode(id.clone(), outcome).map(Some).map_err(|error| corrupt(&error))
}

/// The answer of `TIME`.
pub(super) fn read_time(value: Value) -> Result<Timestamp, BrokerError> {
    let (seconds, micros): (u64, u64) = read(value)?;
    Ok(Timestamp::from_millis(seconds.saturating_mul(1000).saturating_add(micros / 1000)))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_reply_is_read_from_the_front() {
        let held = Value::Array(vec![text("a"), text("7")]);
        let mut reply = Reply::new(Value::Array(vec![text("done"), text("5"), text(""), held])).unwrap();
        assert_eq!(reply.status(), Status::Done);
        assert_eq!(reply.instant().unwrap(), Timestamp::from_millis(5));
        assert_eq!(reply.maybe_instant().unwrap(), None);
        assert_eq!(reply.held().unwrap(), [(JobId::new("a").unwrap(), Fence::new(7))]);
        assert!(reply.take::<String>().is_err());
    }

    #[test]
    fn an_unknown_word_is_an_error() {
        assert!(Reply::new(Value::Array(vec![text("maybe")])).is_err());
        assert!(Reply::new(Value::Nil).is_err());
    }

    /// Anything that a server may send, with the words of scripts among it.
    pub(in crate::redis) fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            Just(Value::Okay),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Double),
            any::<bool>().prop_map(Value::Boolean),
            ".{0,9}".prop_map(Value::SimpleString),
            "done|applied|again|gap|session-lost|not-held|0|1|18446744073709551615|".prop_map(|word| text(&word)),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::BulkString),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                4 => prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                1 => prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Set),
                1 => prop::collection::vec((inner.clone(), inner), 0..3).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_answer_panics(
            values in prop::collection::vec(values(), 0..6),
            time: (u64, u64),
            readers in prop::collection::vec(0..9, 0..6),
        ) {
            let _ = read_time(Value::Array(values.clone()));
            let _ = read_time(Value::Array(vec![text(&time.0.to_string()), text(&time.1.to_string())]));
            let said = [Reply::new(Value::Array(values.clone())).err(), values.first().cloned().and_then(|value| Reply::new(value).err())];
            let Ok(mut reply) = Reply::new(Value::Array([vec![text("done")], values].concat())) else { panic!("done is a word") };
            let mut errors: Vec<BrokerError> = said.into_iter().flatten().collect();
            for reader in readers {
                errors.extend(match reader {
                    0 => reply.instant().err(),
                    1 => reply.maybe_instant().err(),
                    2 => reply.maybe_number().err(),
                    3 => reply.pairs::<String, Vec<u8>>().err(),
                    4 => reply.held().err(),
                    5 => reply.take::<String>().err(),
                    6 => reply.take::<bool>().err(),
                    7 => reply.take::<Vec<Value>>().err(),
                    _ => reply.part().map(|part| reply = part).err(),
                });
            }
            for error in errors {
                prop_assert!(error.to_string().len() < 1000, "{}", error);
            }
        }

        #[test]
        fn no_kept_end_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode_end(&JobId::new("a").unwrap(), &bytes, Timestamp::default());
        }
    }
}
