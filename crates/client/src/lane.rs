//! Carries requests from the intake to the store, one batch at a time on each lane.
//!
//! The rules of a lane, which make enqueueing idempotent through lost answers:
//! * Numbers count from 1 without gaps, and the next batch gets its number when this one's fate is known.
//! * A number whose batch was refused, with no copy in doubt, is used again. Nothing of it exists anywhere.
//! * A number in doubt is never used for other content: the lane is left, and a fresh one takes its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use celeriac_broker::{Broker, BrokerError, Lane, Refusal};
use celeriac_core::{JobId, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::coalescer::{Intake, Request};
use crate::error::EnqueueError;
use crate::flight::{Flight, Landing};
use crate::send::{Pace, gap};

/// Hands out the lanes of one client. None is handed out twice.
#[derive(Debug)]
pub(crate) struct Lanes {
    producer: String,
    next: AtomicU32,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { producer: JobId::generate().to_string(), next: AtomicU32::new(0) }
    }
}

impl Lanes {
    fn fresh(&self, made_at: Timestamp) -> Lane {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        Lane { producer: self.producer.clone(), index, made_at }
    }
}

/// A lane in use.
struct OpenLane {
    lane: Lane,
    /// The number of the next batch.
    number: u64,
}

/// A lane with a batch under way; it counts also when its task is ended from outside.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(lanes: &Arc<AtomicUsize>) -> Self {
        lanes.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(lanes))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The task of one lane.
pub(crate) struct Carrier {
    broker: Arc<dyn Broker>,
    lanes: Arc<Lanes>,
    /// How many lanes have a batch under way.
    busy: Arc<AtomicUsize>,
    timeout: Duration,
    open: Option<OpenLane>,
}

impl Carrier {
    /// A carrier that has not opened a lane yet: that takes a call, and an idle client makes none.
    pub(crate) fn new(broker: Arc<dyn Broker>, lanes: Arc<Lanes>, busy: Arc<AtomicUsize>, timeout: Duration) -> Self {
        Self { broker, lanes, busy, timeout, open: None }
    }

    /// Carries batches until no more will come.
    pub(crate) async fn run(mut self, intake: Arc<Mutex<Intake>>) {
        loop {
            let requests = intake.lock().await.take(|| self.busy.load(Ordering::SeqCst) == 0).await;
            if requests.is_empty() {
                return;
            }
            let _busy = Busy::new(&self.busy);
            self.carry(requests).await;
        }
    }

    /// Tries until each caller is answered.
    ///
    /// Nothing is in doubt before the first try and between two, so callers may leave there: those that dropped their
    /// future, which cancels what was not sent, and those that have waited long enough, also because all lanes were busy.
    async fn carry(&mut self, mut requests: Vec<Request>) {
        let mut pace = Pace::default();
        let mut setback = None;
        loop {
            requests = self.dismiss(requests, setback.as_ref());
            if requests.is_empty() {
                return;
            }
            let Some((left, error)) = self.try_once(requests).await else { return };
            let error = Arc::new(error);
            if !is_worth_waiting(&error) {
                return refuse(left, &error);
            }
            tracing::debug!(%error, jobs = left.len(), "trying to enqueue again");
            (requests, setback) = (left, Some(error));
            tokio::time::sleep(pace.next_pause()).await;
        }
    }

    /// Sends one batch and answers its callers. If nothing was applied and nothing is in doubt, gives them back with
    /// the reason.
    async fn try_once(&mut self, requests: Vec<Request>) -> Option<(Vec<Request>, BrokerError)> {
        let deadline = Instant::now() + self.timeout;
        let OpenLane { lane, number } = match self.open(deadline).await {
            Ok(open) => open,
            Err(error) => return Some((requests, error)),
        };
        match Flight::new(&*self.broker, lane.clone(), number, requests).fly(deadline).await {
            Landing::Applied => {
                self.open = Some(OpenLane { lane, number: number + 1 });
                None
            }
            Landing::Unknown => None,
            Landing::Refused(requests, error) => {
                self.open = Some(OpenLane { lane, number });
                Some((requests, error))
            }
            Landing::Gap(requests) => {
                if number > 1 {
                    let store = self.broker.describe();
                    tracing::warn!(
                        store,
                        number,
                        "the store does not know this lane's last batch: data was lost, or the lane was idle for a day"
                    );
                }
                Some((requests, gap(&*self.broker)))
            }
        }
    }

    /// Takes the lane out, or makes a fresh one. Whoever takes it puts it back if its next number is known.
    ///
    /// After [`Landing::Unknown`] nobody puts it back, because the number is in doubt. Nor after [`Landing::Gap`]: this store
    /// does not have the batch before, so no late copy of this one can ever be applied on that lane, and sending the same
    /// jobs on a fresh lane cannot double them. That holds even for a copy that was in doubt: had it been applied in
    /// the store's present history, the store would have answered as the first time instead of with a gap.
    async fn open(&mut self, deadline: Instant) -> Result<OpenLane, BrokerError> {
        if let Some(open) = self.open.take() {
            return Ok(open);
        }
        let made_at = match tokio::time::timeout_at(deadline, self.broker.now()).await {
            Ok(answer) => answer?,
            // Only the time was asked for, so nothing of the jobs is in doubt.
            Err(elapsed) => {
                return Err(BrokerError::Unreachable { store: self.broker.describe(), source: elapsed.into() });
            }
        };
        Ok(OpenLane { lane: self.lanes.fresh(made_at), number: 1 })
    }

    /// Lets those go who wait no longer, and answers those who have waited long enough with the last `setback`.
    fn dismiss(&self, requests: Vec<Request>, setback: Option<&Arc<BrokerError>>) -> Vec<Request> {
        let now = Instant::now();
        let waiting = requests.into_iter().filter(|request| !request.reply.is_closed());
        let (overdue, left): (Vec<_>, Vec<_>) = waiting.partition(|request| request.deadline <= now);
        if !overdue.is_empty() {
            refuse(overdue, &setback.cloned().unwrap_or_else(|| Arc::new(self.all_busy())));
        }
        left
    }

    /// Why a request was never tried.
    fn all_busy(&self) -> BrokerError {
        let source = "it did not answer earlier batches in time".into();
        BrokerError::Unreachable { store: self.broker.describe(), source }
    }
}

/// Whether a refusal is likely to pass while the caller waits. A full store is not: whoever enqueues should know soon.
fn is_worth_waiting(error: &BrokerError) -> bool {
    match error {
        BrokerError::Refused { reason, .. } => matches!(reason, Refusal::ReadOnly | Refusal::NotReady),
        _ => error.is_transient(),
    }
}

/// Answers that nothing was stored.
fn refuse(requests: Vec<Request>, error: &Arc<BrokerError>) {
    for request in requests {
        let _ = request.reply.send(Err(EnqueueError::NotApplied { source: error.clone() }));
    }
}
