//! A worker as the cases see it: it fetches, and settles by the rules of `celeriac-core`.

use std::sync::Arc;
use std::time::Duration;

use celeriac_core::{Cause, Ending, Fence, Incarnation, JobId, Rules, TaskError, Timestamp, Transition, decide};

use super::context::{Outcome, queue_name, task_name};
use crate::{Broker, BrokerError, Delivery, FetchRequest, Fetched, Holder, Registration, Session, Settled, Settlement};

/// A registered worker.
#[derive(Debug, Clone)]
pub struct TestWorker {
    /// The store it works for.
    pub broker: Arc<dyn Broker>,
    /// Its session.
    pub session: Session,
}

impl TestWorker {
    /// Registers a worker.
    pub async fn register(broker: &Arc<dyn Broker>, name: &str, lease: Duration) -> Result<Self, BrokerError> {
        let session = broker.register(&registration(name, lease)).await?;
        Ok(Self { broker: Arc::clone(broker), session })
    }

    /// Takes jobs, without suspects.
    pub async fn fetch(&self, queues: &[&str], max_jobs: usize) -> Result<Vec<Delivery>, BrokerError> {
        Ok(self.fetch_busy(queues, max_jobs).await?.jobs)
    }

    /// Takes one job, which must be there.
    pub async fn fetch_one(&self, queue: &str) -> Result<Delivery, BrokerError> {
        let mut jobs = self.fetch(&[queue], 1).await?;
        Ok(jobs.pop().unwrap_or_else(|| panic!("no job in {queue}")))
    }

    /// Fetches as a worker that holds something.
    pub async fn fetch_busy(&self, queues: &[&str], max_jobs: usize) -> Result<Fetched, BrokerError> {
        self.broker.fetch(&self.session, &request(queues, max_jobs, Load::Busy)).await
    }

    /// Fetches as a worker that holds nothing and may be given a suspect.
    pub async fn fetch_idle(&self, queues: &[&str], max_jobs: usize) -> Result<Fetched, BrokerError> {
        self.broker.fetch(&self.session, &request(queues, max_jobs, Load::Idle)).await
    }

    /// Takes one suspect, which must be there.
    pub async fn fetch_suspect(&self, queue: &str) -> Result<Delivery, BrokerError> {
        let mut jobs = self.fetch_idle(&[queue], 10).await?.jobs;
        assert_eq!(jobs.len(), 1, "a suspect comes alone");
        Ok(jobs.remove(0))
    }

    /// Settles deliveries in one call.
    pub async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        self.broker.settle(&self.holder(), settlements).await
    }

    /// Settles one delivery and expects that it was held.
    pub async fn settle_one(&self, delivery: &Delivery, transition: Transition) -> Outcome {
        assert_eq!(self.settle(&[settlement(delivery, transition)]).await?, [Settled::Done]);
        Ok(())
    }

    /// This worker as the one who settles.
    #[must_use]
    pub fn holder(&self) -> Holder {
        Holder::Session(self.session.clone())
    }

    /// Settles all that this worker, condemned, still holds as lost; the jobs' ids.
    pub async fn drain(&self, now: Timestamp) -> Result<Vec<JobId>, BrokerError> {
        let incarnation = &self.session.incarnation;
        let held = self.broker.held_by(incarnation, 500).await?;
        let settlements: Vec<_> = held.iter().map(|delivery| settlement(delivery, lost(delivery, now))).collect();
        let settled = self.broker.settle(&Holder::Condemned(incarnation.clone()), &settlements).await?;
        assert_eq!(settled, vec![Settled::Done; held.len()]);
        Ok(held.into_iter().map(|delivery| delivery.record.id).collect())
    }

    /// What the store says this worker holds, in the order of the ids.
    pub async fn held(&self) -> Result<Vec<(JobId, Fence)>, BrokerError> {
        let mut held = self.broker.heartbeat(&self.session).await?.held;
        held.sort();
        Ok(held)
    }
}

/// Whether a worker holds something when it fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// It does.
    Busy,
    /// It holds nothing.
    Idle,
}

/// A request for jobs.
#[must_use]
pub fn request(queues: &[&str], max_jobs: usize, load: Load) -> FetchRequest {
    let queues = queues.iter().map(|queue| queue_name(queue)).collect();
    FetchRequest { holds_nothing: load == Load::Idle, ..FetchRequest::new(queues, max_jobs) }
}

/// A registration under a new incarnation.
#[must_use]
pub fn registration(name: &str, lease: Duration) -> Registration {
    Registration {
        incarnation: Incarnation::generate(name).expect("the suite uses valid names"),
        host: "host".to_owned(),
        pid: 42,
        version: "0.1.0".to_owned(),
        queues: vec![queue_name("q")],
        tasks: vec![task_name("task")],
        lease,
    }
}

/// A settlement of a delivery under its own token.
#[must_use]
pub fn settlement(delivery: &Delivery, transition: Transition) -> Settlement {
    Settlement { id: delivery.record.id.clone(), fence: delivery.lease.fence, transition }
}

fn decided(delivery: &Delivery, ending: Ending, now: Timestamp) -> Transition {
    decide(delivery.record.clone(), ending, &Rules::new(delivery.lease.holder.worker_name(), now))
}

/// Success with the result `[1]`; the end is kept for a day.
#[must_use]
pub fn success(delivery: &Delivery, now: Timestamp) -> Transition {
    let result = serde_json::value::RawValue::from_string("[1]".to_owned()).expect("it is JSON");
    decided(delivery, Ending::Succeeded(result), now)
}

/// Success whose end is kept this long.
#[must_use]
pub fn success_kept(delivery: &Delivery, now: Timestamp, time: Duration) -> Transition {
    match success(delivery, now) {
        Transition::Finish { outcome, unique, step, .. } => Transition::Finish { outcome, keep: time, unique, step },
        other => panic!("success is {other:?}"),
    }
}

/// A failure that is repeated after `delay`.
#[must_use]
pub fn retry(delivery: &Delivery, now: Timestamp, delay: Duration) -> Transition {
    failure(delivery, now, TaskError::retry_in(delay, "no disk"))
}

/// A failure that is the last one; the end is kept for a day.
#[must_use]
pub fn death(delivery: &Delivery, now: Timestamp) -> Transition {
    failure(delivery, now, TaskError::permanent("bad card"))
}

/// A failure that is the last one; the record is kept for a time, and the end for another.
#[must_use]
pub fn death_kept(delivery: &Delivery, now: Timestamp, retention: Duration, keep: Duration) -> Transition {
    match death(delivery, now) {
        Transition::DeadLetter { record, outcome, .. } => Transition::DeadLetter { record, outcome, keep, retention },
        other => panic!("death is {other:?}"),
    }
}

/// The end of a job that was revoked while it ran.
#[must_use]
pub fn revocation(delivery: &Delivery, now: Timestamp) -> Transition {
    decided(delivery, Ending::Revoked, now)
}

fn failure(delivery: &Delivery, now: Timestamp, error: TaskError) -> Transition {
    decided(delivery, Ending::Failed { cause: Cause::Failed, error }, now)
}

/// A hand-back without a verdict.
#[must_use]
pub fn hand_back(delivery: &Delivery, now: Timestamp) -> Transition {
    decided(delivery, Ending::HandedBack, now)
}

/// What becomes of a job whose worker vanished.
#[must_use]
pub fn lost(delivery: &Delivery, now: Timestamp) -> Transition {
    decided(delivery, Ending::Lost, now)
}

/// What becomes of a job whose task the worker does not know.
#[must_use]
pub fn parking(delivery: &Delivery, now: Timestamp) -> Transition {
    decided(delivery, Ending::NotRunnable { cause: Cause::UnknownTask, error: "no such task".to_owned() }, now)
}
