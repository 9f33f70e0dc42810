//! Workflows, with types and without.
//!
//! Without types a workflow is data: [`Canvas`] and [`Workflow`], from JSON or put together by the names of tasks. With types the
//! compiler checks that each step can take what the one before it answers:
//!
//! ```
//! use celeriac_client::canvas::{Workflow, next, step};
//! use celeriac_core::Task;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Fetch {
//!     url: String,
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Count {
//!     page: String,
//! }
//!
//! impl Task for Fetch {
//!     const NAME: &'static str = "fetch";
//!     type Output = Count; // the arguments of the next step
//! }
//!
//! impl Task for Count {
//!     const NAME: &'static str = "count";
//!     type Output = u64;
//! }
//!
//! let url = "http://example.org".to_owned();
//! let part = step(Fetch { url }).then(next::<Count>().with(|step| step.retries(3)));
//! let workflow = Workflow::new(part.into_canvas()?);
//! # assert!(workflow.to_json().contains(r#"{"task":"count","queue":"default","retries":3,"takes":"arguments"}"#));
//! # Ok::<(), celeriac_client::Invalid>(())
//! ```
//!
//! A step that cannot take it does not compile:
//!
//! ```compile_fail,E0277
//! # use celeriac_client::canvas::{next, step};
//! # use celeriac_core::Task;
//! # #[derive(serde::Serialize, serde::Deserialize)]
//! # struct Count { page: String }
//! # impl Task for Count {
//! #     const NAME: &'static str = "count";
//! #     type Output = u64;
//! # }
//! step(Count { page: String::new() }).then(next::<Count>());
//! ```
//!
//! For a task that `#[celeriac::task]` makes of a function with one argument, the type of that argument is what it takes; for any other, the
//! arguments as a whole, as above, or what an impl of [`Feeds`] says. [`Client::run`](crate::Client::run) begins a workflow.
//!
//! Under [`WhenDead::Continue`] results say `ok` or `error`, so the types of the results are not those of the tasks: use a [`Canvas`].

mod typed;

pub use crate::workflow::{Callback, IntoWorkflow};
pub use celeriac_core::canvas::{
    Canvas, EndKind, Evaluation, Failure, Feeds, Fill, Gather, Graph, Limits, MAX_DEPTH, MissingValue, Node, NodeKind,
    Place, Plan, Policy, Refusal, SpecError, Status, Step, StepEnd, StepLink, Takes, Template, WhenDead, Workflow,
    compile, evaluate,
};
pub use typed::{Follows, Job, Next, Part, group, next, step};
