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
