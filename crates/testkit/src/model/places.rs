//! Where a job is.

use celeriac_core::{Fence, Incarnation, JobId, QueueName, Record, State, Timestamp};

/// The one place of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In its queue, or in its queue's suspects if the record says so. The lowest turn is the head.
    Ready { turn: i64 },
    /// Waits until it is due.
    Scheduled { due: Timestamp },
    /// Held by a worker.
    Running { holder: Incarnation, fence: Fence },
    /// Dead and kept until then.
    Dead { until: Timestamp },
    /// Kept aside.
    Parked,
}

/// A job with a record.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) record: Record,
    pub(crate) place: Place,
}

impl Job {
    pub(crate) fn id(&self) -> &JobId {
        &self.record.id
    }

    pub(crate) fn is_ready_in(&self, queue: &QueueName) -> bool {
        matches!(self.place, Place::Ready { .. }) && self.record.queue == *queue
    }

    pub(crate) fn turn(&self) -> i64 {
        match self.place {
            Place::Ready { turn } => turn,
            _ => i64::MAX,
        }
    }

    pub(crate) fn due(&self) -> Option<Timestamp> {
        match self.place {
            Place::Scheduled { due } => Some(due),
            _ => None,
        }
    }

    /// The token, if `incarnation` holds the job.
    pub(crate) fn held_by(&self, incarnation: &Incarnation) -> Option<Fence> {
        match &self.place {
            Place::Running { holder, fence } if holder == incarnation => Some(*fence),
            _ => None,
        }
    }

    /// The state as people see it: a hand-out does not rewrite the record.
    pub(crate) fn state(&self) -> State {
        match self.place {
            Place::Running { .. } => State::Running,
            _ => self.record.state,
        }
    }
}
