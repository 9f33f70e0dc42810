//! Turns plain functions into something a worker can run by name.

use std::any::TypeId;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use celeriac_core::{RetryPolicy, Task, TaskError, TaskResult};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::context::Context;
use crate::state::{FromContext, Need, States};

/// The result of an attempt: JSON, or what went wrong.
pub(crate) type RunResult = Result<Box<RawValue>, TaskError>;
/// Blocking work about to begin.
pub(crate) type Work = Box<dyn FnOnce() -> RunResult + Send>;
/// A started attempt.
pub(crate) type Run = Pin<Box<dyn Future<Output = RunResult> + Send>>;

/// An async function that runs a task: its first parameter is the task's arguments, the others are injected.
///
/// It is implemented for functions and closures with up to five injected parameters; nobody implements it by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle a task",
    label = "not a handler",
    note = "a handler is an async fn: `async fn(T, …) -> Result<T::Output, E>` where T implements Task, the other parameters are Context or State<S>, and E is a standard error, anyhow::Error, String or TaskError"
)]
pub trait Handler<Parameters>: Clone + Send + Sync + 'static {
    /// The task it runs.
    type Task: Task;

    /// What its injected parameters need.
    fn needs() -> Vec<Need>;

    /// Runs one attempt.
    fn call(
        &self,
        arguments: Self::Task,
        context: &Context,
        states: &States,
    ) -> impl Future<Output = Result<<Self::Task as Task>::Output, TaskError>> + Send + use<Self, Parameters>;
}

macro_rules! handler {
    ($($parameter:ident),*) => {
        impl<F, Answer, T, $($parameter,)*> Handler<(T, $($parameter,)*)> for F
        where
            F: Fn(T, $($parameter),*) -> Answer + Clone + Send + Sync + 'static,
            Answer: Future + Send,
            Answer::Output: TaskResult<Output = T::Output>,
            T: Task,
            $($parameter: FromContext + 'static,)*
        {
            type Task = T;

            fn needs() -> Vec<Need> {
                [$($parameter::need()),*].into_iter().flatten().collect::<Vec<Need>>()
            }

            #[expect(non_snake_case, reason = "the names of the type parameters name the values too")]
            fn call(
                &self,
                arguments: T,
                context: &Context,
                states: &States,
            ) -> impl Future<Output = Result<T::Output, TaskError>> + Send + use<F, Answer, T, $($parameter,)*> {
                let injected = (|| Some(($($parameter::from_context(context, states)?,)*)))();
                // A worker refuses to start while a state is missing, so this error needs a handler that is called otherwise.
                let started = injected
                    .map(|($($parameter,)*)| self(arguments, $($parameter),*))
                    .ok_or_else(|| TaskError::permanent("a State that the handler needs was not given to Tasks::state"));
                async move { started?.await.into_task_result() }
            }
        }
    };
}

/// The same for a handler without injected parameters; a macro arm would produce unused variables.
impl<F, Answer, T> Handler<(T,)> for F
where
    F: Fn(T) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future + Send,
    Answer::Output: TaskResult<Output = T::Output>,
    T: Task,
{
    type Task = T;

    fn needs() -> Vec<Need> {
        Vec::new()
    }

    fn call(
        &self,
        arguments: T,
        _context: &Context,
        _states: &States,
    ) -> impl Future<Output = Result<T::Output, TaskError>> + Send + use<F, Answer, T> {
        let started = self(arguments);
        async move { started.await.into_task_result() }
    }
}

handler!(A);
handler!(A, B);
handler!(A, B, C);
handler!(A, B, C, D);
handler!(A, B, C, D, E);

/// The result as JSON. Many tasks answer nothing, and that is written without the buffer that others need.
fn to_json<T: Serialize + 'static>(answer: &T) -> serde_json::Result<Box<RawValue>> {
    if TypeId::of::<T>() == TypeId::of::<()>() { Ok(RawValue::NULL.to_owned()) } else { to_raw_value(answer) }
}

/// The result of a handler, written down.
pub(crate) fn written<T: Serialize + 'static>(answer: &T) -> RunResult {
    to_json(answer).map_err(|error| TaskError::permanent(format!("the result cannot be written as JSON: {error}")))
}

/// How a task behaves, as the worker that runs it knows it.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) queue: String,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Option<Duration>,
    pub(crate) soft_timeout: Option<Duration>,
    pub(crate) aliases: Vec<String>,
    pub(crate) result_ttl: Duration,
    pub(crate) dead_ttl: Duration,
}

/// An attempt that was decoded, and can run.
pub(crate) enum Started {
    /// A future.
    Async(Run),
    /// Work that blocks its thread.
    Blocking(Work),
}

/// A task without its types.
pub(crate) trait Runnable: Send + Sync {
    /// What its handler needs.
    fn needs(&self) -> Vec<Need>;

    /// Whether an attempt has a thread or a process to itself, so that more of them than cores bring nothing.
    fn is_heavy(&self) -> bool {
        false
    }

    /// Decodes the arguments and makes one attempt; the error says what is wrong with the arguments.
    fn start(&self, payload: &[u8], context: Context, states: &States) -> Result<Started, String>;
}

/// A handler without its types.
pub(crate) struct Erased<H, Parameters> {
    handler: H,
    parameters: PhantomData<fn() -> Parameters>,
}

impl<H, Parameters> Erased<H, Parameters> {
    pub(crate) fn new(handler: H) -> Self {
        Self { handler, parameters: PhantomData }
    }
}

impl<H, Parameters> Runnable for Erased<H, Parameters>
where
    H: Handler<Parameters>,
    Parameters: 'static,
{
    fn needs(&self) -> Vec<Need> {
        H::needs()
    }

    fn start(&self, payload: &[u8], context: Context, states: &States) -> Result<Started, String> {
        let arguments: H::Task = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        // The call itself runs inside the future, so that a panic before the first await fails the attempt like any other.
        let handler = self.handler.clone();
        let states = states.clone();
        Ok(Started::Async(Box::pin(async move { written(&handler.call(arguments, &context, &states).await?) })))
    }
}
