//! The sugar of celeriac: [`macro@task`] for functions and [`derive(Task)`](macro@Task) for structs.
//!
//! ```
//! use celeriac_macros::Task;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, Task)]
//! #[task("images.resize", output = u64, queue = "images", crate = celeriac_core)]
//! struct Resize {
//!     path: String,
//! }
//!
//! assert_eq!(<Resize as celeriac_core::Task>::NAME, "images.resize");
//! ```
//!
//! Both write what a person would write: plain impls of the plain traits, and nothing that needs a macro to be
//! used. Everything is checked where it is written, and every error points at the token that is wrong.
//!
//! # Options
//!
//! The name comes first and is a literal, because jobs outlive deployments: a name that follows a module path would
//! change when the code moves. After it, in any order:
//!
//! | option | value | without it |
//! |---|---|---|
//! | `output` | the result type; `derive(Task)` only, a function has a return type | `()` |
//! | `aliases` | names the task had before, as in `["resize"]`: workers run jobs of these too | none |
//! | `queue` | a queue's name | `"default"` |
//! | `retries` | failures that lead to another attempt | 25 |
//! | `backoff` | the bounds of the first and of the last wait, as in `"1s..10m"` | `"1s..10m"` |
//! | `timeout` | how long one attempt may run, as in `"30s"` | no limit |
//! | `soft_timeout` | after how long an attempt is told to stop, as in `"25s"` | never |
//! | `result_ttl` | how long the end of a job can be read, as in `"2h"`; `"0s"` keeps nothing | `"24h"` |
//! | `dead_ttl` | how long dead jobs are kept, as in `"30d"` | `"90d"` |
//! | `crate` | where celeriac's items are, for crates that link a part of it | `::celeriac` |
//!
//! Durations are `250ms 10s 5m 2h 7d`. Names are 1 to 200 of letters, digits and `._:/-`.

mod derive;
mod diagnostics;
mod function;
mod options;
mod parameters;
mod values;

use proc_macro::TokenStream;

/// Writes the impl of `Task` for a struct: the arguments of a task, without the code that runs it.
///
/// This is what a producer links. The struct derives `Serialize` and `Deserialize` itself. A crate that only defines
/// tasks can link `celeriac-core` alone and say `crate = celeriac_core`.
///
/// The options stand below the derive, see the [list](crate#options):
///
/// ```
/// use celeriac_core::Task as _;
/// use celeriac_macros::Task;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, Task)]
/// #[task("mail.send", retries = 5, timeout = "30s", crate = celeriac_core)]
/// struct Send {
///     to: String,
/// }
///
/// assert_eq!(Send::options().retry.retries, 5);
/// ```
#[proc_macro_derive(Task, attributes(task))]
pub fn derive_task(item: TokenStream) -> TokenStream {
    derive::expand(item.into()).into()
}

/// Makes a task of a function: an async one runs with many others, a plain one blocks a thread of its own.
///
/// The function stays as it was written and can be called as before, in a test for example. Beside it comes a struct
/// of the same name, which a producer enqueues: `client.enqueue(greet { name: "Ada".into() })`. Functions and structs
/// with braces have separate names in Rust, so one `use` imports both.
///
/// * Each parameter is a field of the struct and must be owned: the arguments are stored. `#[serde(…)]` and doc
///   comments on a parameter move to its field; a new parameter needs `#[serde(default)]` while old jobs are queued.
/// * A parameter whose type is called `Context` or `State<…>` is no field: the worker gives it. Any pattern will do
///   for it, as in `State(db): State<Db>`.
/// * In a workflow, a task with one argument can follow any step that answers a value of its type: the macro writes the impl of
///   `canvas::Feeds` that says so, unless `#[serde(…)]` changes the form of the argument. For other tasks write it by hand, or let the step
///   before answer the struct.
/// * The function returns a `Result` whose error becomes a `TaskError`: any standard error does.
///
/// The options are those of `derive(Task)`, see the [list](crate#options).
///
/// ```
/// # extern crate self as celeriac;
/// # pub use celeriac_core::{Task, TaskOptions, TaskResult, canvas};
/// # pub mod __private { pub use serde; }
/// # pub struct Tasks;
/// # impl Tasks { pub fn handle<H>(self, _handler: H) -> Self { self } }
/// # pub trait TaskFn { fn register(tasks: Tasks) -> Tasks; }
/// use celeriac_macros::task;
///
/// /// Greets somebody.
/// #[task("greet", retries = 3)]
/// pub async fn greet(name: String, #[serde(default)] loudly: bool) -> Result<String, String> {
///     Ok(if loudly { format!("HELLO {name}") } else { format!("hello {name}") })
/// }
///
/// fn main() {
///     let arguments: greet = serde_json::from_str(r#"{"name": "Ada"}"#).unwrap();
///     assert!(!arguments.loudly);
///     assert_eq!(greet::NAME, "greet");
/// }
/// ```
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(options.into(), item.into()).into()
}
