//! A worker that is turned by hand: for the test kit, which runs one job at a time and lets workers crash where it likes.
//!
//! It runs a job the way a worker does (the same executor decodes, guards, runs and decides) and has none of the activities around it.

use std::sync::Arc;
use std::time::Instant;

use celeriac_broker::{Broker, BrokerError, Delivery, FetchRequest, Holder, MAX_BATCH_JOBS, Settlement};
use celeriac_core::{Ending, JobId, State, decide};
use tokio_util::task::TaskTracker;

use crate::builder::WorkerError;
use crate::executor::Executor;
use crate::post::Post;
use crate::reclaimer::end_revoked;
use crate::session::Backoff;
use crate::tasks::Tasks;
use crate::worker::Worker;
use crate::{conductor, pruner};

/// Where a worker vanishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Crash {
    /// The job was handed out, and its handler does not begin.
    BeforeTheHandler,
    /// The handler has ended, and its end was not settled: the job comes again though its work is done.
    AfterTheHandler,
}

/// What became of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The job.
    pub id: JobId,
    /// The name of its task.
    pub task: String,
    /// Its state afterwards.
    pub state: State,
    /// The error of the attempt, if it failed.
    pub error: Option<String>,
}

/// A worker that is turned by hand.
pub struct Rig {
    post: Arc<Post>,
    tasks: Tasks,
}

impl std::fmt::Debug for Rig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rig").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

impl Rig {
    /// Registers a worker for these tasks and the queues they name.
    ///
    /// # Errors
    /// [`WorkerError`] as for [`WorkerBuilder::build`](crate::WorkerBuilder::build), or what the store says.
    pub async fn new(broker: Arc<dyn Broker>, tasks: Tasks) -> Result<Self, WorkerError> {
        let post = Self::register(broker, tasks.clone()).await?;
        Ok(Self { post, tasks })
    }

    async fn register(broker: Arc<dyn Broker>, tasks: Tasks) -> Result<Arc<Post>, WorkerError> {
        let post = Worker::builder(broker, tasks).name("test").build()?.into_post();
        post.register(&mut Backoff::until(&post.signals.stop)).await?;
        pruner::release_parked(&post).await;
        Ok(post)
    }

    /// Runs the next ready job, of any queue, to the end of its attempt; `None` if nothing is ready.
    ///
    /// # Errors
    /// What the store says, and [`WorkerError`] if a new worker cannot be made after a crash.
    pub async fn step(&mut self, crash: Option<Crash>) -> Result<Option<Step>, WorkerError> {
        self.stay_registered().await?;
        self.conduct().await?;
        let Some((id, task)) = self.fetch().await? else { return Ok(None) };
        if crash == Some(Crash::BeforeTheHandler) {
            self.vanish().await?;
            return self.report(id, task).await.map(Some);
        }
        self.executor().run_backlog().await;
        let ends = self.post.ends.take();
        if crash == Some(Crash::AfterTheHandler) {
            self.vanish().await?;
        } else {
            self.settle(ends).await?;
        }
        self.conduct().await?;
        self.report(id, task).await.map(Some)
    }

    /// Nobody renews the registration while a test turns the clock. A worker that holds nothing may just as well begin anew.
    async fn stay_registered(&mut self) -> Result<(), WorkerError> {
        let session = self.post.session.current().ok_or(BrokerError::SessionLost)?;
        match self.post.broker.heartbeat(&session).await {
            Ok(_) => {}
            Err(BrokerError::SessionLost) => {
                self.post = Self::register(Arc::clone(&self.post.broker), self.tasks.clone()).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn fetch(&self) -> Result<Option<(JobId, String)>, WorkerError> {
        let post = &self.post;
        let session = post.session.current().ok_or(BrokerError::SessionLost)?;
        let request = FetchRequest { holds_nothing: true, ..FetchRequest::new(post.settings.queues.clone(), 1) };
        let asked = Instant::now();
        let fetched = post.broker.fetch(&session, &request).await?;
        post.clock.note_answer(fetched.now, asked);
        let jobs = fetched.jobs;
        let Some(first) = jobs.first() else { return Ok(None) };
        let job = (first.record.id.clone(), first.record.task.to_string());
        let attempts = post.held.insert(&jobs);
        // The one runner it asks for runs right here.
        let _ = post.backlog.add(jobs, attempts);
        Ok(Some(job))
    }

    fn executor(&self) -> Executor {
        Executor { post: Arc::clone(&self.post), running: TaskTracker::new() }
    }

    async fn settle(&self, mut settlements: Vec<Settlement>) -> Result<(), WorkerError> {
        let session = self.post.session.current().ok_or(BrokerError::SessionLost)?;
        while !settlements.is_empty() {
            let answers = self.post.broker.settle(&Holder::Session(session.clone()), &settlements).await?;
            // What was revoked meanwhile is left once more, as that.
            self.post.conclude(&settlements, &answers, false);
            settlements = self.post.ends.take();
        }
        Ok(())
    }

    /// The worker vanishes with what it holds: its jobs are lost as if its lease had ended, and another worker goes on in its place.
    async fn vanish(&mut self) -> Result<(), WorkerError> {
        let gone = Arc::clone(&self.post);
        let session = gone.session.current().ok_or(BrokerError::SessionLost)?;
        let lost = gone.broker.held_by(&session.incarnation, MAX_BATCH_JOBS).await?;
        let settle = |delivery: Delivery| {
            let (id, fence) = (delivery.record.id.clone(), delivery.lease.fence);
            let rules = gone.rules(&delivery.record.task, Arc::clone(&gone.settings.name));
            Settlement { id, fence, transition: decide(delivery.record, Ending::Lost, &rules) }
        };
        let settlements: Vec<_> = lost.into_iter().map(settle).collect();
        let holder = Holder::Session(session.clone());
        let settled = gone.broker.settle(&holder, &settlements).await?;
        end_revoked(&gone, &holder, &settlements, &settled).await?;
        gone.broker.deregister(&session).await?;
        self.post = Self::register(Arc::clone(&gone.broker), self.tasks.clone()).await?;
        Ok(())
    }

    async fn report(&self, id: JobId, task: String) -> Result<Step, WorkerError> {
        let view = self.post.broker.job(&id).await?;
        let (state, error) = view.map_or((State::Succeeded, None), |view| (view.state, view.error));
        Ok(Step { id, task, state, error })
    }

    /// Carries workflows on, as far as that goes now.
    ///
    /// # Errors
    /// What the store says.
    pub async fn conduct(&self) -> Result<(), BrokerError> {
        conductor::conduct(&self.post.conductor).await
    }

    /// Makes ready what is due.
    ///
    /// # Errors
    /// What the store says.
    pub async fn promote(&self) -> Result<usize, BrokerError> {
        let mut promoted = 0;
        loop {
            let step = self.post.broker.promote_due(MAX_BATCH_JOBS).await?.count;
            promoted += step;
            if step == 0 {
                return Ok(promoted);
            }
        }
    }
}
