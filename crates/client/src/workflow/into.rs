//! What can be run as a workflow, and what may follow its end.

use celeriac_core::Task;
use celeriac_core::canvas::{Canvas, Feeds, Graph, Step, Takes, Workflow};
use serde_json::value::RawValue;

use crate::canvas::{Job, Next, Part};
use crate::error::Invalid;

/// What [`Client::run`](crate::Client::run) takes.
pub trait IntoWorkflow {
    /// The type of the result; JSON where no type is known.
    type Output: 'static;

    /// The workflow.
    ///
    /// # Errors
    /// [`Invalid::Arguments`] if the arguments of a step have no JSON form.
    fn into_workflow(self) -> Result<Workflow, Invalid>;
}

impl<O: 'static> IntoWorkflow for Part<O> {
    type Output = O;
    fn into_workflow(self) -> Result<Workflow, Invalid> {
        self.into_canvas().map(Workflow::new)
    }
}

impl<T: Task<Output: 'static>> IntoWorkflow for Job<T> {
    type Output = T::Output;
    fn into_workflow(self) -> Result<Workflow, Invalid> {
        Part::from(self).into_workflow()
    }
}

impl IntoWorkflow for Workflow {
    type Output = Box<RawValue>;
    fn into_workflow(self) -> Result<Workflow, Invalid> {
        Ok(self)
    }
}

/// Parts by the names of their tasks.
macro_rules! untyped {
    ($($part:ty),*) => {$(
        impl IntoWorkflow for $part {
            type Output = Box<RawValue>;
            fn into_workflow(self) -> Result<Workflow, Invalid> {
                Ok(Workflow::new(self))
            }
        }
    )*};
}

untyped!(Canvas, Graph, Step);

/// A step that runs at the end of a workflow and takes an `R`: [`next`](crate::canvas::next) for a task that can take it, or a [`Step`] by name,
/// whose first argument it is.
pub trait Callback<R> {
    /// The step, and what it takes.
    fn into_step(self) -> (Step, Takes);
}

impl<N: Task, R: Feeds<N>> Callback<R> for Next<N> {
    fn into_step(self) -> (Step, Takes) {
        (self.into_step(), <R as Feeds<N>>::TAKES)
    }
}

impl<R> Callback<R> for Step {
    fn into_step(self) -> (Step, Takes) {
        (self, Takes::Result)
    }
}
