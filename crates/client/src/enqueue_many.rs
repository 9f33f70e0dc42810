//! Enqueueing many jobs: from any number of tasks or signatures to batches that are sent one after the other.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use celeriac_broker::{Acceptance, NewJob};
use celeriac_core::{JobId, Task};

use crate::client::Client;
use crate::coalescer::{Load, Posted};
use crate::error::{EnqueueError, EnqueueManyError};
use crate::handle::JobHandle;
use crate::settings::{Settings, setters};
use crate::signature::Signature;

/// Many jobs of one task about to be enqueued; made by [`Client::enqueue_many`] and sent by `.await`.
///
/// The tasks are drawn as they are sent, at most two batches ahead, so they may be more than fit the memory. A batch is sent
/// when the one before is stored, so their order is kept; while it is on its way the next one is drawn.
#[must_use = "jobs are enqueued when this is awaited"]
pub struct EnqueueMany<'i, T> {
    client: Client,
    tasks: Box<dyn Iterator<Item = T> + Send + 'i>,
    settings: Settings,
    progress: Option<Progress<'i>>,
}

/// What is told how many jobs are stored.
type Progress<'i> = Box<dyn FnMut(usize) + Send + 'i>;

impl<'i, T: Task> EnqueueMany<'i, T> {
    setters!();

    pub(crate) fn new(client: Client, tasks: Box<dyn Iterator<Item = T> + Send + 'i>) -> Self {
        Self { client, tasks, settings: Settings::default(), progress: None }
    }

    /// Calls this each time another batch is stored, with the number of jobs that are stored by then.
    pub fn progress(mut self, progress: impl FnMut(usize) + Send + 'i) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    async fn send(self) -> Result<Vec<JobHandle<T::Output>>, EnqueueManyError> {
        let Self { client, tasks, settings, progress } = self;
        let mut many = Many::new(client);
        many.progress = progress;
        for task in tasks {
            let job = Signature::of(&task, settings.clone())
                .map_err(EnqueueError::from)
                .and_then(|signature| signature.into_job(many.client.payload_limit()));
            match job {
                Ok(job) => many.add(job).await?,
                Err(error) => return Err(many.stop_at_next(error).await),
            }
        }
        let Many { client, answers, .. } = many.finish().await?;
        Ok(answers.into_iter().map(|(id, _)| client.handle_to(id)).collect())
    }
}

impl<T> fmt::Debug for EnqueueMany<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnqueueMany").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<'i, T: Task> IntoFuture for EnqueueMany<'i, T> {
    type Output = Result<Vec<JobHandle<T::Output>>, EnqueueManyError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'i>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// Checks all signatures, then sends them in order.
pub(crate) async fn enqueue_all(
    client: Client,
    signatures: Vec<Signature>,
) -> Result<Vec<(JobId, Acceptance)>, EnqueueManyError> {
    let mut jobs = Vec::with_capacity(signatures.len());
    for (index, signature) in signatures.into_iter().enumerate() {
        match signature.into_job(client.payload_limit()) {
            Ok(job) => jobs.push(job),
            Err(source) => return Err(EnqueueManyError { accepted: Vec::new(), index, source }),
        }
    }
    let mut many = Many::new(client);
    for job in jobs {
        many.add(job).await?;
    }
    Ok(many.finish().await?.answers)
}

/// The batch that is being filled, the one that is on its way, and the answers so far.
struct Many<'p> {
    client: Client,
    jobs: Vec<NewJob>,
    load: Load,
    sent: Option<(Vec<JobId>, Posted)>,
    answers: Vec<(JobId, Acceptance)>,
    progress: Option<Progress<'p>>,
}

impl Many<'_> {
    fn new(client: Client) -> Self {
        Self { client, jobs: Vec::new(), load: Load::default(), sent: None, answers: Vec::new(), progress: None }
    }

    /// Adds a job, and sends those before it if it does not fit any more.
    async fn add(&mut self, job: NewJob) -> Result<(), EnqueueManyError> {
        let own = Load::of(std::slice::from_ref(&job));
        if !self.load.try_add(own) {
            self.flush().await?;
            self.load = own;
        }
        self.jobs.push(job);
        Ok(())
    }

    /// Sends what is left and waits until all is stored.
    async fn finish(mut self) -> Result<Self, EnqueueManyError> {
        self.flush().await?;
        self.arrive().await?;
        Ok(self)
    }

    /// Sends the batch, once the one before is stored.
    async fn flush(&mut self) -> Result<(), EnqueueManyError> {
        self.arrive().await?;
        let jobs = std::mem::take(&mut self.jobs);
        if jobs.is_empty() {
            return Ok(());
        }
        let ids = jobs.iter().map(|job| job.record.id.clone()).collect();
        match self.client.post(jobs).await {
            Ok(posted) => self.sent = Some((ids, posted)),
            Err(source) => return Err(self.stopped(source)),
        }
        // On a runtime of one thread it is on its way only when the lane has had its turn.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Waits until the batch that is on its way is stored.
    async fn arrive(&mut self) -> Result<(), EnqueueManyError> {
        let Some((ids, posted)) = self.sent.take() else { return Ok(()) };
        match posted.answer().await {
            Ok(answers) => {
                self.answers.extend(ids.into_iter().zip(answers));
                if let Some(progress) = &mut self.progress {
                    progress(self.answers.len());
                }
                Ok(())
            }
            Err(source) => Err(self.stopped(source)),
        }
    }

    /// The error for the first job that was not answered.
    fn stopped(&self, source: EnqueueError) -> EnqueueManyError {
        EnqueueManyError { accepted: self.accepted(), index: self.answers.len(), source }
    }

    /// The error for the job that comes after those added so far. What is on its way is waited for.
    async fn stop_at_next(&mut self, source: EnqueueError) -> EnqueueManyError {
        match self.arrive().await {
            Ok(()) => {
                let index = self.answers.len() + self.jobs.len();
                EnqueueManyError { accepted: self.accepted(), index, source }
            }
            Err(earlier) => earlier,
        }
    }

    fn accepted(&self) -> Vec<JobId> {
        let accepted = self.answers.iter().filter(|(_, answer)| *answer == Acceptance::Accepted);
        accepted.map(|(id, _)| id.clone()).collect()
    }
}
