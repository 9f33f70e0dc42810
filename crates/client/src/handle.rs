//! A job that was enqueued: its id, its state and its result.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::{Broker, BrokerError, JobView, Revocation};
use celeriac_core::{JobId, Notes, Outcome, State};
use serde::de::DeserializeOwned;

use crate::error::ResultError;
use crate::wait;

/// A job whose result is a `T`.
///
/// It is a name and a way to the store and holds nothing: dropping it changes nothing about the job, and it
/// outlives its client.
pub struct JobHandle<T> {
    id: JobId,
    broker: Arc<dyn Broker>,
    result: PhantomData<fn() -> T>,
}

impl<T> JobHandle<T> {
    pub(crate) fn new(id: JobId, broker: Arc<dyn Broker>) -> Self {
        Self { id, broker, result: PhantomData }
    }

    /// The id of the job.
    #[must_use]
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// The job as it is now; `None` if the store knows neither it nor its end.
    ///
    /// # Errors
    /// What the store, or the way to it, said.
    pub async fn status(&self) -> Result<Option<JobView>, BrokerError> {
        self.broker.job(&self.id).await
    }
}

impl<T> JobHandle<T> {
    /// What the job's handler has told so far: how far it is, and the newest lines of its log.
    ///
    /// # Errors
    /// What the store, or the way to it, said.
    pub async fn notes(&self) -> Result<Notes, BrokerError> {
        self.broker.notes(&self.id).await
    }

    /// Revokes the job: it never starts, or its handler is told to stop and the job is not run again. See
    /// [`Inspector::revoke`](celeriac_broker::Inspector::revoke).
    ///
    /// # Errors
    /// What the store, or the way to it, said.
    pub async fn revoke(&self) -> Result<Revocation, BrokerError> {
        let answers = self.broker.revoke(std::slice::from_ref(&self.id), "a client").await?;
        Ok(answers.into_iter().next().unwrap_or(Revocation::Unknown))
    }
}

impl<T: DeserializeOwned> JobHandle<T> {
    /// Waits for the end of the job, for ever if need be, and answers its result.
    ///
    /// Waiting costs the store next to nothing: it tells when the job has ended. A lost connection is mended meanwhile.
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// [`ResultError::Failed`] if the job ended without a result, [`ResultError::NotKept`] if its end cannot be known,
    /// [`ResultError::Decode`] if the result is no `T`, [`ResultError::Store`] if the store does not let us ask.
    pub async fn result(&self) -> Result<T, ResultError> {
        self.decode(self.outcome().await?)
    }

    /// Waits like [`JobHandle::result`], but not longer than `limit`.
    ///
    /// # Errors
    /// [`ResultError::NotYet`] if the job has not ended by then, and those of [`JobHandle::result`].
    pub async fn result_within(&self, limit: Duration) -> Result<T, ResultError> {
        match tokio::time::timeout(limit, self.outcome()).await {
            Ok(outcome) => self.decode(outcome?),
            Err(_) => Err(ResultError::NotYet { id: self.id.clone(), waited: limit }),
        }
    }

    async fn outcome(&self) -> Result<Outcome, ResultError> {
        let is_open = || async { Ok(self.broker.job(&self.id).await?.is_some()) };
        match wait::outcome(self.broker.as_ref(), &self.id, is_open).await {
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => Err(ResultError::NotKept { id: self.id.clone() }),
            Err(source) => Err(ResultError::Store { id: self.id.clone(), source }),
        }
    }

    fn decode(&self, outcome: Outcome) -> Result<T, ResultError> {
        if outcome.state != State::Succeeded {
            return Err(ResultError::Failed {
                id: self.id.clone(),
                state: outcome.state,
                error: outcome.error.unwrap_or_else(|| "no error was recorded".to_owned()),
                attempts: outcome.attempt,
                worker: outcome.worker.to_string(),
            });
        }
        let json = outcome.result.as_deref().map_or("null", |result| result.get());
        serde_json::from_str(json).map_err(|error| ResultError::Decode { id: self.id.clone(), source: error.into() })
    }
}

impl<T> Clone for JobHandle<T> {
    fn clone(&self) -> Self {
        Self::new(self.id.clone(), self.broker.clone())
    }
}

impl<T> fmt::Debug for JobHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobHandle").field(&self.id).finish()
    }
}
