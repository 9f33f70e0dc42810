//! The contract of a task: what producers and workers share.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::options::TaskOptions;

/// A task's definition, carried by the type of its arguments.
///
/// A producer needs this and no handler. `derive(Task)` writes the impl; by hand it is three lines, see the crate's
/// example. `NAME` is a literal on purpose: jobs outlive deployments, and a name that follows a module path would change with it.
pub trait Task: Serialize + DeserializeOwned + Send + 'static {
    /// The stable name: 1 to 200 of letters, digits and `._:/-`.
    const NAME: &'static str;

    /// What the handler answers, and what a waiting caller gets.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Queue, retries, time limit and how long results are kept.
    fn options() -> TaskOptions {
        TaskOptions::default()
    }
}

/// What a handler may return: a `Result` whose error becomes a [`TaskError`](crate::TaskError).
///
/// It exists so that `#[task]` and the handler trait read the output type from the type system and not from how a
/// return type is spelled: `anyhow::Result<T>` and an own alias work alike.
#[diagnostic::on_unimplemented(
    message = "a task must return a `Result`, and `{Self}` is not one with a suitable error",
    label = "this return type",
    note = "return `Result<T, E>` where `E` is a standard error, `anyhow::Error`, `String`, or `TaskError`"
)]
pub trait TaskResult {
    /// The type of the result.
    type Output;

    /// The result, or the error with its verdict.
    ///
    /// # Errors
    /// Whatever the handler answered.
    fn into_task_result(self) -> Result<Self::Output, crate::TaskError>;
}

impl<T, E: Into<crate::TaskError>> TaskResult for Result<T, E> {
    type Output = T;

    fn into_task_result(self) -> Result<T, crate::TaskError> {
        self.map_err(Into::into)
    }
}
