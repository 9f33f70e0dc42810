//! Workflows as data: jobs that wait for each other, described, checked, and what each of them is given.
//!
//! A [`Workflow`] is a description: a tree of parts, read from JSON or put together in Rust, and nothing in it is checked yet.
//! [`compile`] checks it and makes a [`Plan`], a flat list of nodes with the edges between them; a [`SpecError`] names the place of what
//! is wrong. What a job is given is put together by [`Node::payload`]; the job of a step carries a [`StepLink`], by which a store moves
//! the workflow on in the commit that ends it. [`evaluate`] carries a plan out in one thread, to compare with.
//!
//! ```
//! use celeriac_core::WorkflowId;
//! use celeriac_core::canvas::{Limits, Workflow, compile};
//!
//! let json = r#"{
//!     "chain": [
//!         {"task": "images.list", "args": {"album": "norway"}, "feeds": false},
//!         {"chord": [{"task": "images.resize", "args": [200]}, {"task": "images.resize", "args": [800]}],
//!          "body": {"task": "images.publish", "retries": 3, "timeout": "30s"}}
//!     ],
//!     "on_failure": {"task": "alarm", "takes": "arguments"}
//! }"#;
//! let workflow: Workflow = json.parse()?;
//! let plan = compile(&workflow, &WorkflowId::new("norway")?, &Limits::default())?;
//! let list = plan.find("chain/0").unwrap();
//! assert_eq!(list.id().unwrap().as_str(), "norway:chain/0");
//! assert_eq!(list.followers().len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The JSON form
//! docs/workflow-format.md describes it. In short: a part is an object with one of the keys `task` (a step, with `args`, `queue`,
//! `priority`, `retries`, `timeout`, `soft_timeout`, `expires`, `deadline`, `result_ttl`, `headers`), `chain` (a list), `group` (a list),
//! `chord` (a list, and a `body`) and `steps` (an object of parts, each with `deps`). Any part may have a `name`, say what it `takes`, and
//! that it `feeds` nothing. The whole may have `on_success`, `on_failure` and `when_dead`.
//!
//! # Invariants
//! * A dependency has a smaller index than what waits for it, so a plan has no cycle and its order of indices is one in which it can run.
//! * Every step and join ends before [`Plan::output`], so the workflow has succeeded exactly when that has.
//! * A plan has no more edges than the description has parts and dependencies: never one for each pair of members of two groups.

mod compile;
mod evaluate;
mod feeds;
mod fields;
mod link;
mod link_bytes;
mod part;
mod payload;
mod place;
mod plan;
mod read;
mod refusal;
mod status;
mod workflow;
mod write;

pub use compile::compile;
pub use evaluate::{Evaluation, evaluate};
pub use feeds::Feeds;
pub use link::{Counts, EndKind, MAX_INLINE, MAX_INLINE_BYTES, Next, Policy, StepEnd, StepLink, WaitingStep};
pub use part::{Canvas, Graph, Step, Takes};
pub use payload::{Failure, MissingValue};
pub use place::Place;
pub use plan::{Fill, Gather, Node, NodeKind, Plan, Template};
pub use refusal::{Refusal, SpecError};
pub use status::Status;
pub use workflow::{Limits, MAX_DEPTH, WhenDead, Workflow};
