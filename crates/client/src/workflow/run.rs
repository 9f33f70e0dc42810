//! Beginning a workflow: a builder that is sent when it is awaited.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use celeriac_core::WorkflowId;
use celeriac_core::canvas::{Failure, WhenDead, Workflow};
use celeriac_workflow::{NewId, SubmitError};

use super::{Callback, IntoWorkflow, RunError, WorkflowHandle};
use crate::client::Client;
use crate::error::Invalid;

/// A workflow about to begin, whose result is an `O`; made by [`Client::run`] and sent by `.await`.
///
/// Once sent, it is carried out whether anybody waits or not. A step that names no queue goes to that of its task if its task is a type, and to
/// `default` otherwise.
#[must_use = "a workflow begins when this is awaited"]
pub struct Run<O> {
    client: Client,
    workflow: Result<Workflow, Invalid>,
    id: Option<String>,
    result: PhantomData<fn() -> O>,
}

impl<O> Run<O> {
    pub(crate) fn new(client: Client, workflow: impl IntoWorkflow<Output = O>) -> Self {
        Self { client, workflow: workflow.into_workflow(), id: None, result: PhantomData }
    }

    fn with(self, set: impl FnOnce(Workflow) -> Workflow) -> Self {
        Self { workflow: self.workflow.map(set), ..self }
    }

    /// Chooses the id of the workflow. It is refused while a workflow of this id is kept.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets what happens when a step dies.
    ///
    /// Under [`WhenDead::Continue`] all results become objects with `ok` or `error`, the whole one too, so the types of the tasks are not theirs:
    /// say the type of the result with [`Run::returns`].
    pub fn when_dead(self, when_dead: WhenDead) -> Self {
        self.with(|workflow| workflow.when_dead(when_dead))
    }

    /// Runs this step when all others have succeeded. It takes the result of the workflow.
    pub fn on_success(self, step: impl Callback<O>) -> Self {
        let (step, takes) = step.into_step();
        self.with(|workflow| workflow.on_success_taking(takes, step))
    }

    /// Runs this step when the first of the others has died. It takes the [`Failure`].
    pub fn on_failure(self, step: impl Callback<Failure>) -> Self {
        let (step, takes) = step.into_step();
        self.with(|workflow| workflow.on_failure_taking(takes, step))
    }

    /// Says of what type the result is, where the types of the tasks do not.
    pub fn returns<R>(self) -> Run<R> {
        Run { client: self.client, workflow: self.workflow, id: self.id, result: PhantomData }
    }
}

impl<O: 'static> IntoFuture for Run<O> {
    type Output = Result<WorkflowHandle<O>, RunError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { client, workflow, id, .. } = self;
        Box::pin(async move {
            let workflow = workflow?;
            let new = match id {
                Some(id) => WorkflowId::new(id).map_err(Invalid::from)?.into(),
                None => NewId::generate(),
            };
            let id = new.id().clone();
            match celeriac_workflow::submit(client.broker().as_ref(), &workflow, new, |_| None).await {
                Ok(_) => Ok(client.workflow(id).returns()),
                Err(SubmitError::Spec(error)) => Err(RunError::Spec(error)),
                Err(SubmitError::InUse(id)) => Err(RunError::IdInUse { id }),
                Err(SubmitError::Store(source)) if source.is_in_doubt() => Err(RunError::Unknown { id, source }),
                Err(SubmitError::Store(source)) => Err(RunError::NotApplied { id, source }),
            }
        })
    }
}

impl<O> fmt::Debug for Run<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("id", &self.id).field("workflow", &self.workflow).finish_non_exhaustive()
    }
}
