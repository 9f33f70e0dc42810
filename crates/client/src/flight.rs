//! One batch under way, with the callers who wait for it.
//!
//! A flight exists from the first time its batch is sent until it is known what became of it, and its content never
//! changes in between. Whatever happens, each caller is answered: if the flight is dropped, because the runtime ended or a
//! store panicked, they are told that nobody knows.

use std::mem;
use std::sync::Arc;

use celeriac_broker::{Acceptance, Batch, Broker, BrokerError, Lane};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::coalescer::{Answer, Request};
use crate::error::EnqueueError;
use crate::send::{Earlier, Fate, in_doubt, send};
use crate::unknown::UnknownBatch;

/// What became of a flight, for its lane.
pub(crate) enum Landing {
    /// It was applied, and the callers know.
    Applied,
    /// Nobody knows, and the callers were told so. The number is never used for other content.
    Unknown,
    /// Nothing was applied on this lane, and nothing ever can be. The callers still wait.
    Gap(Vec<Request>),
    /// Nothing was applied and no copy is in doubt. The callers still wait.
    Refused(Vec<Request>, BrokerError),
}

/// Someone who waits for some jobs of a batch.
struct Waiter {
    jobs: usize,
    deadline: Instant,
    reply: oneshot::Sender<Answer>,
}

/// A batch and its callers.
pub(crate) struct Flight<'a> {
    broker: &'a dyn Broker,
    batch: Batch,
    waiters: Vec<Waiter>,
}

impl<'a> Flight<'a> {
    /// Makes one batch of all requests.
    pub(crate) fn new(broker: &'a dyn Broker, lane: Lane, number: u64, requests: Vec<Request>) -> Self {
        let mut batch = Batch { lane, number, jobs: Vec::with_capacity(requests.iter().map(|r| r.jobs.len()).sum()) };
        let mut waiters = Vec::with_capacity(requests.len());
        for Request { jobs, deadline, reply } in requests {
            waiters.push(Waiter { jobs: jobs.len(), deadline, reply });
            batch.jobs.extend(jobs);
        }
        Self { broker, batch, waiters }
    }

    /// Sends the batch until its fate is known or `deadline` has come.
    pub(crate) async fn fly(mut self, deadline: Instant) -> Landing {
        match send(self.broker, &self.batch, Earlier::None, deadline).await {
            Fate::Applied(answers) => {
                self.deliver(answers);
                Landing::Applied
            }
            Fate::Gap => Landing::Gap(self.recall()),
            Fate::Refused(error) => Landing::Refused(self.recall(), error),
            Fate::Unknown(error) => {
                tracing::warn!(%error, lane = self.batch.lane.index, number = self.batch.number,
                    jobs = self.batch.jobs.len(), "jobs may have been stored");
                self.give_up(error);
                Landing::Unknown
            }
        }
    }

    /// Gives each caller its own answers.
    fn deliver(&mut self, answers: Vec<Acceptance>) {
        let mut answers = answers.into_iter();
        for waiter in self.waiters.drain(..) {
            let own = answers.by_ref().take(waiter.jobs).collect();
            // A caller that is gone does not want to know.
            let _ = waiter.reply.send(Ok(own));
        }
    }

    /// Makes the batch requests again: allowed only while no copy of it can be applied any more.
    fn recall(&mut self) -> Vec<Request> {
        let mut jobs = mem::take(&mut self.batch.jobs).into_iter();
        let request = |waiter: Waiter| Request {
            jobs: jobs.by_ref().take(waiter.jobs).collect(),
            deadline: waiter.deadline,
            reply: waiter.reply,
        };
        mem::take(&mut self.waiters).into_iter().map(request).collect()
    }

    /// Tells each caller that nobody knows, and gives it the batch to send again.
    fn give_up(&mut self, error: BrokerError) {
        let jobs = mem::take(&mut self.batch.jobs);
        let batch = Arc::new(Batch { lane: self.batch.lane.clone(), number: self.batch.number, jobs });
        let source = Arc::new(error);
        let mut start = 0;
        for waiter in self.waiters.drain(..) {
            let own = start..start + waiter.jobs;
            start = own.end;
            let batch = UnknownBatch::new(batch.clone(), own);
            let _ = waiter.reply.send(Err(EnqueueError::Unknown { batch, source: source.clone() }));
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.waiters.is_empty() {
            let error = in_doubt(self.broker, "the runtime of the client ended before the answer came");
            self.give_up(error);
        }
    }
}
