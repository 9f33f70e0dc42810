//! Batches whose fate is not known, and how to learn it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::{Acceptance, Batch, Broker, LANE_TTL};
use celeriac_core::JobId;
use tokio::time::Instant;

use crate::error::EnqueueError;
use crate::send::{Earlier, Fate, send};

/// A batch that was sent and may have been stored, as one of its callers sees it.
///
/// The batch may hold jobs of other callers, because calls made at the same time travel together. Sending it again
/// carries them too and does no harm: whatever was applied stays applied once.
#[derive(Clone)]
pub struct UnknownBatch {
    batch: Arc<Batch>,
    own: Range<usize>,
}

impl UnknownBatch {
    /// The part `own` of a batch.
    pub(crate) fn new(batch: Arc<Batch>, own: Range<usize>) -> Self {
        Self { batch, own }
    }

    /// The ids of the caller's own jobs.
    pub fn ids(&self) -> impl Iterator<Item = &JobId> {
        self.batch.jobs.iter().take(self.own.end).skip(self.own.start).map(|job| &job.record.id)
    }

    /// Sends the same batch under the same number until the store says what became of it.
    pub(crate) async fn resend(
        self,
        broker: &dyn Broker,
        limit: Duration,
    ) -> Result<Vec<(JobId, Acceptance)>, EnqueueError> {
        match send(broker, &self.batch, Earlier::InDoubt, Instant::now() + limit).await {
            Fate::Applied(answers) => {
                let own = answers.into_iter().take(self.own.end).skip(self.own.start);
                Ok(self.ids().cloned().zip(own).collect())
            }
            Fate::Gap => Err(self.fate_of_gap(broker).await),
            Fate::Refused(error) | Fate::Unknown(error) => {
                Err(EnqueueError::Unknown { batch: self, source: Arc::new(error) })
            }
        }
    }

    /// What a gap says about a copy that was sent earlier.
    ///
    /// A store remembers a lane for [`LANE_TTL`] after its last use. A lane that is younger cannot have been forgotten,
    /// so the store has gone back to before this batch, and no copy of it is applied. With an older lane nobody knows.
    async fn fate_of_gap(self, broker: &dyn Broker) -> EnqueueError {
        match broker.now().await {
            Ok(now) if now.since(self.batch.lane.made_at) < LANE_TTL => {
                EnqueueError::NotApplied { source: Arc::new(crate::send::gap(broker)) }
            }
            Ok(_) => EnqueueError::Forgotten,
            Err(error) => EnqueueError::Unknown { batch: self, source: Arc::new(error) },
        }
    }
}

impl fmt::Display for UnknownBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids = self.ids();
        match (ids.next(), self.own.len()) {
            (Some(id), 0..=1) => write!(f, "job {id}"),
            (Some(id), count) => write!(f, "{count} jobs from {id} on"),
            (None, _) => f.write_str("an empty batch"),
        }
    }
}

impl fmt::Debug for UnknownBatch {
    /// Leaves the arguments out: errors are logged, arguments never.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnknownBatch")
            .field("lane", &self.batch.lane)
            .field("number", &self.batch.number)
            .field("ids", &self.ids().collect::<Vec<_>>())
            .finish()
    }
}
