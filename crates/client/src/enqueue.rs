//! Enqueueing one typed job: a builder that is sent when it is awaited.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use celeriac_core::Task;

use crate::client::Client;
use crate::error::EnqueueError;
use crate::handle::JobHandle;
use crate::settings::{Settings, setters};
use crate::signature::Signature;

/// One job about to be enqueued; made by [`Client::enqueue`] and sent by `.await`.
///
/// Dropping the future before the job was sent cancels it. Once sent, the job is carried out whether anybody waits
/// or not.
#[derive(Debug)]
#[must_use = "a job is enqueued when this is awaited"]
pub struct Enqueue<T> {
    client: Client,
    task: T,
    id: Option<String>,
    unique: Option<String>,
    settings: Settings,
}

impl<T: Task> Enqueue<T> {
    setters!();

    pub(crate) fn new(client: Client, task: T) -> Self {
        Self { client, task, id: None, unique: None, settings: Settings::default() }
    }

    /// Chooses the id of the job. It is refused while a job, or the end of one, has it.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Gives it a unique key: while an unfinished job of the namespace has the key, whatever its task and queue, it is refused with
    /// [`EnqueueError::UniqueInUse`], which names that job.
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        self.unique = Some(key.into());
        self
    }

    async fn send(client: Client, signature: Signature) -> Result<JobHandle<T::Output>, EnqueueError> {
        let id = client.enqueue_job(signature.into_job(client.payload_limit())?).await?;
        Ok(client.handle_to(id))
    }
}

impl<T: Task> IntoFuture for Enqueue<T> {
    type Output = Result<JobHandle<T::Output>, EnqueueError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        // The arguments are written here and not in the future, which would have to hold them across its first await.
        let signature = Signature::of(&self.task, self.settings);
        let Self { client, id, unique, .. } = self;
        Box::pin(async move {
            let signature = signature?;
            let signature = if let Some(id) = id { signature.id(id) } else { signature };
            let signature = if let Some(key) = unique { signature.unique(key) } else { signature };
            Self::send(client, signature).await
        })
    }
}
