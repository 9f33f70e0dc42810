//! Plain functions that run tasks: for work that computes or blocks.

use std::marker::PhantomData;

use celeriac_core::{Task, TaskError, TaskResult};

use crate::context::Context;
use crate::handler::{Runnable, Started, written};
use crate::state::{FromContext, Need, States};

/// A plain function that runs a task on a thread of its own: its first parameter is the task's arguments, the others are injected.
///
/// It is implemented for functions and closures with up to five injected parameters; nobody implements it by hand. How many run at once is
/// limited by [`WorkerBuilder::blocking`](crate::WorkerBuilder::blocking).
///
/// A thread cannot be ended from outside. At a time limit the attempt fails and the thread goes on to its end, and so it does when the worker
/// ends or the job is revoked: a function that takes long should look at [`Context::is_cancelled`] now and then.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle a blocking task",
    label = "not a blocking handler",
    note = "a blocking handler is a plain fn: `fn(T, …) -> Result<T::Output, E>` where T implements Task, the other parameters are Context or State<S>, and E is a standard error, anyhow::Error, String or TaskError"
)]
pub trait BlockingHandler<Parameters>: Clone + Send + Sync + 'static {
    /// The task it runs.
    type Task: Task;

    /// What its injected parameters need.
    fn needs() -> Vec<Need>;

    /// Runs one attempt.
    ///
    /// # Errors
    /// What the function answers.
    fn call(
        &self,
        arguments: Self::Task,
        context: &Context,
        states: &States,
    ) -> Result<<Self::Task as Task>::Output, TaskError>;
}

macro_rules! blocking_handler {
    ($($parameter:ident),*) => {
        impl<F, Answer, T, $($parameter,)*> BlockingHandler<(T, $($parameter,)*)> for F
        where
            F: Fn(T, $($parameter),*) -> Answer + Clone + Send + Sync + 'static,
            Answer: TaskResult<Output = T::Output>,
            T: Task,
            $($parameter: FromContext + 'static,)*
        {
            type Task = T;

            fn needs() -> Vec<Need> {
                [$($parameter::need()),*].into_iter().flatten().collect::<Vec<Need>>()
            }

            #[expect(non_snake_case, reason = "the names of the type parameters name the values too")]
            fn call(&self, arguments: T, context: &Context, states: &States) -> Result<T::Output, TaskError> {
                // A worker refuses to start while a state is missing, so this error needs a handler that is called otherwise.
                let missing = || TaskError::permanent("a State that the handler needs was not given to Tasks::state");
                $(let $parameter = $parameter::from_context(context, states).ok_or_else(missing)?;)*
                self(arguments, $($parameter),*).into_task_result()
            }
        }
    };
}

/// The same for a handler without injected parameters; a macro arm would produce unused variables.
impl<F, Answer, T> BlockingHandler<(T,)> for F
where
    F: Fn(T) -> Answer + Clone + Send + Sync + 'static,
    Answer: TaskResult<Output = T::Output>,
    T: Task,
{
    type Task = T;

    fn needs() -> Vec<Need> {
        Vec::new()
    }

    fn call(&self, arguments: T, _context: &Context, _states: &States) -> Result<T::Output, TaskError> {
        self(arguments).into_task_result()
    }
}

blocking_handler!(A);
blocking_handler!(A, B);
blocking_handler!(A, B, C);
blocking_handler!(A, B, C, D);
blocking_handler!(A, B, C, D, E);

/// A blocking handler without its types.
pub(crate) struct ErasedBlocking<H, Parameters> {
    handler: H,
    parameters: PhantomData<fn() -> Parameters>,
}

impl<H, Parameters> ErasedBlocking<H, Parameters> {
    pub(crate) fn new(handler: H) -> Self {
        Self { handler, parameters: PhantomData }
    }
}

impl<H, Parameters> Runnable for ErasedBlocking<H, Parameters>
where
    H: BlockingHandler<Parameters>,
    Parameters: 'static,
{
    fn needs(&self) -> Vec<Need> {
        H::needs()
    }

    fn is_heavy(&self) -> bool {
        true
    }

    fn start(&self, payload: &[u8], context: Context, states: &States) -> Result<Started, String> {
        let arguments: H::Task = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        let (handler, states) = (self.handler.clone(), states.clone());
        Ok(Started::Blocking(Box::new(move || written(&handler.call(arguments, &context, &states)?))))
    }
}
