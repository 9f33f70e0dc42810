//! A workflow that was begun: its id, how far it is, its result, and what people order for it.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::{Broker, BrokerError, WorkflowRevoked};
use celeriac_core::{JobId, Outcome, State, WorkflowId};
use celeriac_workflow::{RetryError, Sight};
use serde::de::DeserializeOwned;

use super::WorkflowError;
use crate::wait;

/// A workflow whose result is an `O`.
///
/// It is a name and a way to the store and holds nothing: dropping it changes nothing about the workflow, and it outlives its client.
pub struct WorkflowHandle<O> {
    id: WorkflowId,
    broker: Arc<dyn Broker>,
    result: PhantomData<fn() -> O>,
}

impl<O> WorkflowHandle<O> {
    pub(crate) fn new(id: WorkflowId, broker: Arc<dyn Broker>) -> Self {
        Self { id, broker, result: PhantomData }
    }

    /// The id of the workflow.
    #[must_use]
    pub fn id(&self) -> &WorkflowId {
        &self.id
    }

    /// The same workflow, with a result of this type: for a workflow of which only the id is known.
    #[must_use]
    pub fn returns<R>(self) -> WorkflowHandle<R> {
        WorkflowHandle::new(self.id, self.broker)
    }

    /// The workflow and where each of its steps is; `None` if the store does not know it.
    ///
    /// # Errors
    /// What the store, or the way to it, said.
    pub async fn sight(&self) -> Result<Option<Sight>, BrokerError> {
        celeriac_workflow::sight(self.broker.as_ref(), &self.id).await
    }

    /// Gives the workflow up for good, in the name of `by`: nothing of it begins any more, what waits ends as revoked, and what runs is told to
    /// stop. No failure handler is run.
    ///
    /// # Errors
    /// What the store, or the way to it, said; the workflow may have been revoked all the same.
    pub async fn revoke(&self, by: &str) -> Result<WorkflowRevoked, BrokerError> {
        celeriac_workflow::revoke(self.broker.as_ref(), &self.id, by).await
    }

    /// Lets the steps that have ended without success begin anew, or the one of this name, and the workflow go on. Answers how many were
    /// retried.
    ///
    /// # Errors
    /// [`RetryError`] says why nothing was.
    pub async fn retry(&self, step: Option<&str>) -> Result<usize, RetryError> {
        celeriac_workflow::retry(self.broker.as_ref(), &self.id, step).await
    }

    async fn outcome(&self) -> Result<Outcome, WorkflowError> {
        let is_open = || async {
            let view = self.broker.workflow(&self.id).await?;
            Ok(view.is_some_and(|view| view.ended_at.is_none()))
        };
        match wait::outcome(self.broker.as_ref(), &JobId::from(&self.id), is_open).await {
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => Err(WorkflowError::NotKept { id: self.id.clone() }),
            Err(source) => Err(WorkflowError::Store { id: self.id.clone(), source }),
        }
    }
}

impl<O: DeserializeOwned> WorkflowHandle<O> {
    /// Waits for the end of the workflow, for ever if need be, and answers its result. Under [`WhenDead::Wait`](crate::canvas::WhenDead::Wait) a
    /// workflow with a dead step ends when somebody has retried it.
    ///
    /// # Errors
    /// [`WorkflowError::Failed`] names the step that has failed; [`WorkflowError`] has the other reasons.
    pub async fn result(&self) -> Result<O, WorkflowError> {
        self.decode(self.outcome().await?)
    }

    /// Waits like [`WorkflowHandle::result`], but not longer than `limit`.
    ///
    /// # Errors
    /// [`WorkflowError::NotYet`] if it has not ended by then, and those of [`WorkflowHandle::result`].
    pub async fn result_within(&self, limit: Duration) -> Result<O, WorkflowError> {
        match tokio::time::timeout(limit, self.outcome()).await {
            Ok(outcome) => self.decode(outcome?),
            Err(_) => Err(WorkflowError::NotYet { id: self.id.clone(), waited: limit }),
        }
    }

    fn decode(&self, outcome: Outcome) -> Result<O, WorkflowError> {
        let id = self.id.clone();
        let error = outcome.error.unwrap_or_else(|| "no error was recorded".to_owned());
        match (outcome.state, outcome.result) {
            (State::Succeeded, Some(result)) => {
                serde_json::from_str(result.get()).map_err(|error| WorkflowError::Decode { id, source: error.into() })
            }
            (State::Succeeded, None) => Err(WorkflowError::TooLarge { id }),
            (State::Revoked, _) => Err(WorkflowError::Revoked { id, error }),
            _ => Err(WorkflowError::Failed { id, error }),
        }
    }
}

impl<O> Clone for WorkflowHandle<O> {
    fn clone(&self) -> Self {
        Self::new(self.id.clone(), self.broker.clone())
    }
}

impl<O> fmt::Debug for WorkflowHandle<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WorkflowHandle").field(&self.id).finish()
    }
}
