//! Carries workflows out: between the rules in `celeriac_core::canvas` and a store.
//!
//! [`submit`] checks a workflow and stores it. From then on a store moves it on with each commit that ends a step, as far as that can be
//! done without the plan; for everything else it leaves an *event*. Workers have a [`Conductor`], which takes events and goes on from the
//! plan. [`sight`] shows how far a workflow is, [`retry`] and [`revoke`] are what people order, and [`Inputs`] reads the results that a step
//! waits for page by page.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use celeriac_workflow::{Conductor, sight, submit};
//!
//! let broker = celeriac_broker::connect(&"sqlite:queue.db".parse()?).await?;
//! let workflow = r#"{"chain": [{"task": "orders.list"}, {"task": "orders.sum"}]}"#.parse()?;
//! let id = "nightly".parse()?;
//! submit(broker.as_ref(), &workflow, &id, |_| None).await?;
//! // A worker does this by itself.
//! Conductor::new(broker.clone()).conduct(50).await?;
//! let sight = sight(broker.as_ref(), &id).await?.expect("it was submitted");
//! println!("{}", sight.status);
//! # Ok(())
//! # }
//! ```
//!
//! One file is one thing that is done: `submit`, `conductor`, `advance` (followers of a node that has ended go on), `begin` (jobs are made),
//! `halt` (a failure, a revocation), `review` (all nodes are looked at), `finish`. What is to be done for a node is decided in `decide`, without a
//! store.
//!
//! # Invariants
//! * The ends of steps in the store are the truth, and the count of a node is the size of such a set. A bell, an event only say where to look.
//! * Everything may be done twice, and by several processes at once.
//! * No call is larger for a larger workflow: what concerns many nodes is done in pages.

mod advance;
mod begin;
mod conductor;
mod decide;
mod finish;
mod flow;
mod halt;
mod inputs;
mod plans;
mod retry;
mod review;
mod revoke;
mod sight;
mod submit;
mod values;

pub use conductor::Conductor;
pub use inputs::{Input, Inputs, InputsError};
pub use plans::{PLAN_VERSION, Plans};
pub use retry::{RetryError, retry};
pub use revoke::revoke;
pub use sight::{MAX_DETAILED, NodeSight, NodeState, Sight, sight};
pub use submit::{NewId, SubmitError, submit};
