//! Sends one batch until it is known what became of it: the only place that calls the store's `enqueue`.

use std::error::Error;
use std::time::Duration;

use celeriac_broker::{Acceptance, Batch, BatchAnswer, Broker, BrokerError, Refusal};
use tokio::time::Instant;

/// What is known of earlier copies of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Earlier {
    /// None was sent.
    None,
    /// One was sent, and its answer did not come: it may be applied now or later.
    InDoubt,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Fate {
    /// The store has it.
    Applied(Vec<Acceptance>),
    /// The store does not know the batch before it.
    Gap,
    /// It was not applied and never will be: no copy of it is in doubt.
    Refused(BrokerError),
    /// Some copy of it is in doubt, and time is up.
    Unknown(BrokerError),
}

/// Sends `batch`, and after an answer was lost sends the same value again until `deadline`.
///
/// A refusal counts only if no earlier copy is in doubt: the store refused this copy, and may still apply the other.
pub(crate) async fn send(broker: &dyn Broker, batch: &Batch, mut earlier: Earlier, deadline: Instant) -> Fate {
    let mut pace = Pace::default();
    loop {
        let error = match tokio::time::timeout_at(deadline, broker.enqueue(batch)).await {
            Ok(Ok(BatchAnswer::Applied(answers))) if answers.len() == batch.jobs.len() => {
                return Fate::Applied(answers);
            }
            Ok(Ok(BatchAnswer::Gap)) => return Fate::Gap,
            Ok(Ok(answer)) => in_doubt(broker, format!("it answered {answer:?} to {} jobs", batch.jobs.len())),
            Ok(Err(error)) if earlier == Earlier::None && !error.is_in_doubt() => return Fate::Refused(error),
            Ok(Err(error)) => error,
            Err(elapsed) => in_doubt(broker, elapsed),
        };
        earlier = Earlier::InDoubt;
        let pause = pace.next_pause();
        if Instant::now() + pause >= deadline {
            return Fate::Unknown(error);
        }
        tracing::debug!(%error, lane = batch.lane.index, number = batch.number, "sending a batch in doubt again");
        tokio::time::sleep(pause).await;
    }
}

/// An error after which a batch may have been applied.
pub(crate) fn in_doubt(broker: &dyn Broker, source: impl Into<Box<dyn Error + Send + Sync>>) -> BrokerError {
    BrokerError::InDoubt { store: broker.describe(), source: source.into() }
}

/// A gap in the words of an error: nothing was stored, and on a fresh lane it may be.
pub(crate) fn gap(broker: &dyn Broker) -> BrokerError {
    BrokerError::Refused {
        store: broker.describe(),
        reason: Refusal::NotReady,
        detail: "it does not know what this producer sent before".to_owned(),
    }
}

/// The pauses between attempts: 50 ms doubling to 1 s, each shortened by up to a half so that producers which failed
/// together do not come back together.
#[derive(Debug)]
pub(crate) struct Pace {
    bound: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { bound: Duration::from_millis(50) }
    }
}

impl Pace {
    /// The next pause.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let pause = self.bound.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.bound = (self.bound * 2).min(Duration::from_secs(1));
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_50_ms_to_a_second() {
        let mut pace = Pace::default();
        for bound in [50, 100, 200, 400, 800, 1000, 1000] {
            let pause = pace.next_pause();
            assert!(pause >= Duration::from_millis(bound / 2) && pause <= Duration::from_millis(bound), "{pause:?}");
        }
    }
}
