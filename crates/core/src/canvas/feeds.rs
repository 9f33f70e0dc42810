//! Which results may be given to which tasks: what the compiler checks of a workflow whose tasks are types.

use super::part::Takes;
use crate::task::Task;

/// A result that can be given to the task `N`, and how.
///
/// A result that is the task's own type is all of its arguments. A task that `#[task]` makes of a function with one argument takes a result of
/// that argument's type. For any other, one line says that it is the first argument, or what else it is; the compiler cannot know, because
/// results are handed on as JSON and no conversion runs in between.
///
/// ```
/// use celeriac_core::canvas::{Feeds, Takes};
/// use celeriac_core::Task;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Publish {
///     pages: Vec<String>,
/// }
///
/// impl Task for Publish {
///     const NAME: &'static str = "publish";
///     type Output = ();
/// }
///
/// impl Feeds<Publish> for Vec<String> {
///     const TAKES: Takes = Takes::Result;
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a result of type `{Self}` is no argument of the task `{N}`",
    label = "takes the result of the step before, which is `{Self}`",
    note = "a task takes the type of its only argument, or its own type `{N}`; `impl Feeds<{N}> for {Self}` says that it takes others"
)]
pub trait Feeds<N: Task> {
    /// What the task takes.
    const TAKES: Takes;
}

impl<N: Task> Feeds<N> for N {
    const TAKES: Takes = Takes::Arguments;
}
