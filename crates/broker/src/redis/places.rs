//! The queues (or tasks) that one call touches, each once, with the place by which a script's arguments name it.

use std::collections::HashMap;

use celeriac_core::{JobId, QueueName, Record};

/// Names in the order in which they were first seen; places count from 1, as in Lua.
#[derive(Debug)]
pub(super) struct Places<T> {
    names: Vec<T>,
    by_name: HashMap<T, usize>,
}

impl<T: Clone + Eq + std::hash::Hash> Places<T> {
    pub(super) fn new() -> Self {
        Self { names: Vec::new(), by_name: HashMap::new() }
    }

    /// The place of a name.
    pub(super) fn of(&mut self, name: &T) -> usize {
        if let Some(place) = self.by_name.get(name) {
            return *place;
        }
        self.names.push(name.clone());
        self.by_name.insert(name.clone(), self.names.len());
        self.names.len()
    }

    /// The place of a name that is among them; 0 for another.
    pub(super) fn place(&self, name: &T) -> usize {
        self.by_name.get(name).copied().unwrap_or_default()
    }

    pub(super) fn names(&self) -> &[T] {
        &self.names
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}

/// A record as a store keeps it, or what can be said of bytes that are none.
#[derive(Debug)]
pub(super) enum Stored {
    /// The bytes could be decoded.
    Readable(Record),
    /// They could not; the queue is what the header says, or the default queue.
    Unreadable(QueueName),
}

impl Stored {
    /// Decodes a record's bytes.
    pub(super) fn decode(id: &JobId, mut bytes: Vec<u8>) -> Self {
        match Record::decode_from(id.clone(), &mut bytes) {
            Ok(record) => Self::Readable(record),
            Err(error) => {
                tracing::error!(job = %id, %error, "a record in the store cannot be read; it is kept aside");
                Self::Unreadable(claimed_queue(&bytes).unwrap_or_default())
            }
        }
    }

    pub(super) fn queue(&self) -> &QueueName {
        match self {
            Self::Readable(record) => &record.queue,
            Self::Unreadable(queue) => queue,
        }
    }
}

/// The queue's name where the header has it; the bytes need not be a record.
fn claimed_queue(bytes: &[u8]) -> Option<QueueName> {
    let first = 22 + usize::from(*bytes.get(20)?);
    let name = bytes.get(first..first + usize::from(*bytes.get(21)?))?;
    QueueName::new(std::str::from_utf8(name).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use celeriac_core::TaskName;

    #[test]
    fn each_name_has_one_place_from_1() {
        let mut places = Places::new();
        assert_eq!([places.of(&"b"), places.of(&"a"), places.of(&"b")], [1, 2, 1]);
        assert_eq!(places.names(), ["b", "a"]);
    }

    #[test]
    fn a_damaged_record_still_says_its_queue() {
        let id = JobId::new("job").unwrap();
        let queue = QueueName::new("images").unwrap();
        let mut bytes = Record::new(id.clone(), TaskName::new("t").unwrap(), queue.clone(), Vec::new()).encode();
        bytes[12] = b'9';
        assert!(matches!(Stored::decode(&id, bytes), Stored::Unreadable(name) if name == queue));
        assert!(matches!(Stored::decode(&id, b"x".to_vec()), Stored::Unreadable(name) if name.is_default()));
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_record_have_a_queue_all_the_same(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Stored::decode(&JobId::new("job").unwrap(), bytes).queue();
        }
    }
}
