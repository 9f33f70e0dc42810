//! What every case works with: a store, its clock, and short words for jobs, workers and endings.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use celeriac_core::{JobId, QueueName, State, TaskName, Timestamp};

use super::worker::TestWorker;
use crate::{
    Acceptance, Batch, BatchAnswer, Broker, BrokerError, IdOrigin, JobFilter, JobView, Lane, NewJob, QueueView,
    Session, Start, StoreClock,
};
use celeriac_core::Record;

/// How a case ends: a failed assertion panics, a failed call is handed on.
pub type Outcome = Result<(), BrokerError>;

/// Guards against waiting for ever; no case depends on how long it is.
const PATIENCE: Duration = Duration::from_secs(60);

/// An empty store as the suite needs it.
pub struct Fixture {
    /// The store under test.
    pub broker: Arc<dyn Broker>,
    /// Another namespace of the same store.
    pub stranger: Arc<dyn Broker>,
    /// The manual clock of both.
    pub clock: StoreClock,
    /// What must live as long as the store, as a temporary directory.
    pub guard: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("broker", &self.broker).field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// A store with what a case does to it.
#[derive(Debug)]
pub struct Context {
    /// The store under test.
    pub broker: Arc<dyn Broker>,
    /// Another namespace of the same store.
    pub stranger: Arc<dyn Broker>,
    fixture: Fixture,
    lane: Lane,
    sent: AtomicU64,
}

impl Context {
    /// Begins with an empty store.
    #[must_use]
    pub fn new(fixture: Fixture) -> Self {
        let (broker, stranger) = (Arc::clone(&fixture.broker), Arc::clone(&fixture.stranger));
        let lane = lane(fixture.clock.manual_now().unwrap_or_default());
        Self { broker, stranger, fixture, lane, sent: AtomicU64::new(0) }
    }

    /// Now, by the clock that drives the store.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.fixture.clock.manual_now().expect("the suite needs a manual clock")
    }

    /// Turns the clock forward.
    pub fn advance(&self, by: Duration) {
        self.fixture.clock.advance_to(self.now().after(by));
    }

    /// Turns the clock back.
    pub fn set_back(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.fixture.clock.advance_to(Timestamp::from_millis(self.now().as_millis().saturating_sub(millis)));
    }

    /// A lane that was made now.
    #[must_use]
    pub fn lane(&self) -> Lane {
        lane(self.now())
    }

    /// Sends jobs in one batch and expects each to be accepted; their ids in order.
    pub async fn enqueue(&self, jobs: impl IntoIterator<Item = NewJob>) -> Result<Vec<JobId>, BrokerError> {
        let jobs: Vec<_> = jobs.into_iter().collect();
        let ids: Vec<_> = jobs.iter().map(|job| job.record.id.clone()).collect();
        assert_eq!(self.offer(jobs).await?, vec![Acceptance::Accepted; ids.len()]);
        Ok(ids)
    }

    /// Sends one job and expects it to be accepted.
    pub async fn enqueue_one(&self, job: NewJob) -> Result<JobId, BrokerError> {
        let id = job.record.id.clone();
        self.enqueue([job]).await?;
        Ok(id)
    }

    /// Sends jobs as the next batch of the context's own lane and expects it to be applied.
    pub async fn offer(&self, jobs: Vec<NewJob>) -> Result<Vec<Acceptance>, BrokerError> {
        let number = self.sent.fetch_add(1, Ordering::SeqCst) + 1;
        let batch = Batch { lane: self.lane.clone(), number, jobs };
        match self.broker.enqueue(&batch).await? {
            BatchAnswer::Applied(answers) => Ok(answers),
            BatchAnswer::Gap => panic!("batch {number} met a gap"),
        }
    }

    /// Registers a worker with a lease of 20 s.
    pub async fn worker(&self) -> Result<TestWorker, BrokerError> {
        TestWorker::register(&self.broker, "worker", Duration::from_secs(20)).await
    }

    /// Lets the worker's lease end and condemns it.
    pub async fn condemn(&self, worker: &TestWorker) -> Outcome {
        self.advance(worker.session.lease + Duration::from_millis(1));
        let condemned = self.broker.condemn_expired(100).await?.incarnations;
        assert!(condemned.contains(&worker.session.incarnation), "{condemned:?}");
        Ok(())
    }

    /// Lets a worker vanish: condemns it and drains what it held, so that its jobs become suspects.
    pub async fn lose(&self, worker: &TestWorker) -> Outcome {
        self.condemn(worker).await?;
        worker.drain(self.now()).await?;
        assert!(self.broker.finish_drain(&worker.session.incarnation).await?);
        Ok(())
    }

    /// Every job that has a record.
    pub async fn jobs(&self) -> Result<Vec<JobView>, BrokerError> {
        self.broker.jobs(&JobFilter { limit: 1000, ..JobFilter::default() }).await
    }

    /// One queue.
    pub async fn queue(&self, queue: &str) -> Result<QueueView, BrokerError> {
        let name = queue_name(queue);
        let known = self.broker.queues().await?.into_iter().find(|view| view.name == name);
        Ok(known.unwrap_or_else(|| QueueView::empty(name)))
    }

    /// One job, which must be known.
    pub async fn job(&self, id: &JobId) -> Result<JobView, BrokerError> {
        Ok(self.broker.job(id).await?.unwrap_or_else(|| panic!("no job {id}")))
    }

    /// Expects the job, the only one of its queue, in one place: in the listing, in the counters and by its id.
    pub async fn expect_only_in(&self, id: &JobId, state: State) -> Result<JobView, BrokerError> {
        let view = self.job(id).await?;
        assert_eq!(view.state, state);
        let listed: Vec<_> = self.jobs().await?.into_iter().filter(|job| job.id == *id).map(|job| job.state).collect();
        let has_record = !state.is_terminal() || state == State::Dead;
        assert_eq!(listed, if has_record { vec![state] } else { vec![] }, "where the listing has it");
        let queue = self.queue(view.queue.as_str()).await?;
        let count = |states: &[State]| u64::from(states.contains(&state));
        let counted = [queue.ready, queue.scheduled, queue.running, queue.dead, queue.parked];
        let expected = [
            count(&[State::Queued]),
            count(&[State::Scheduled, State::Retry]),
            count(&[State::Running]),
            count(&[State::Dead]),
            count(&[State::Parked]),
        ];
        assert_eq!(counted, expected, "ready, scheduled, running, dead and parked of the queue");
        Ok(view)
    }

    /// Waits until the store has forgotten the end of a job: its clock goes on, and so does the machine's, because a
    /// store may let ends expire by itself.
    pub async fn until_forgotten(&self, id: &JobId) -> Outcome {
        within(async {
            while self.broker.result(id).await?.is_some() {
                self.advance(Duration::from_secs(1));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        })
        .await
    }
}

fn lane(made_at: Timestamp) -> Lane {
    Lane { producer: JobId::generate().to_string(), index: 0, made_at }
}

/// Awaits what must happen.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(answer) => answer,
        Err(_) => panic!("it did not happen in {PATIENCE:?}"),
    }
}

/// A queue's name.
#[must_use]
pub fn queue_name(name: &str) -> QueueName {
    QueueName::new(name).expect("the suite uses valid names")
}

/// A task's name.
#[must_use]
pub fn task_name(name: &str) -> TaskName {
    TaskName::new(name).expect("the suite uses valid names")
}

/// A job of task `task` for a queue.
#[must_use]
pub fn job(queue: &str) -> NewJob {
    job_of("task", queue)
}

/// A job of a task for a queue.
#[must_use]
pub fn job_of(task: &str, queue: &str) -> NewJob {
    let record = Record::new(JobId::generate(), task_name(task), queue_name(queue), b"{}".to_vec());
    NewJob { record, start: Start::Now, id_origin: IdOrigin::Generated }
}

/// A job with an id that the caller chose.
#[must_use]
pub fn given(id: &str, queue: &str) -> NewJob {
    let mut job = job(queue);
    job.record.id = JobId::new(id).expect("the suite uses valid ids");
    job.id_origin = IdOrigin::Given;
    job
}

/// A job that is due after a delay.
#[must_use]
pub fn delayed(delay: Duration, queue: &str) -> NewJob {
    NewJob { start: Start::After(delay), ..job(queue) }
}

/// A job with arguments.
#[must_use]
pub fn with_payload(payload: Vec<u8>, queue: &str) -> NewJob {
    let mut job = job(queue);
    job.record.payload = payload;
    job
}

/// Whole seconds.
#[must_use]
pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Expects that a call was refused because the session is not the newest of a registered worker.
pub fn expect_session_lost<T: fmt::Debug>(answer: &Result<T, BrokerError>) {
    assert!(matches!(answer, Err(BrokerError::SessionLost)), "{answer:?}");
}

/// A session that nobody registered.
#[must_use]
pub fn unregistered(session: &Session) -> Session {
    let incarnation = celeriac_core::Incarnation::generate("nobody").expect("a valid name");
    Session { incarnation, ..session.clone() }
}
