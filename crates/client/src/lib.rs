//! The producer of celeriac: enqueue jobs and wait for their results.
//!
//! ```no_run
//! use celeriac_client::Client;
//! use celeriac_core::Task;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Summarise {
//!     month: String,
//! }
//!
//! impl Task for Summarise {
//!     const NAME: &'static str = "reports.summarise";
//!     type Output = u64;
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("sqlite:queue.db").await?;
//! let job = client.enqueue(Summarise { month: "2013-01".into() }).queue("reports").retries(3).await?;
//! let pages: u64 = job.result().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What an enqueue promises
//! * `Ok` means that the store has the job.
//! * [`EnqueueError::NotApplied`] means that it has not, and never will.
//! * [`EnqueueError::Unknown`] means that nobody knows. It carries the batch that was sent, and [`Client::resend`] sends
//!   the very same again, which stores it once at most.
//!
//! Calls made at the same time travel together: see the module `coalescer` for how they are gathered, `lane` for how
//! they are numbered, and `send` for what happens when an answer is lost.

pub mod canvas;
mod client;
mod coalescer;
mod enqueue;
mod enqueue_many;
mod error;
mod flight;
mod handle;
mod lane;
mod send;
mod settings;
mod signature;
mod unknown;
mod wait;
mod workflow;

pub use celeriac_broker::{Acceptance, WorkflowRevoked};
pub use celeriac_workflow::{NodeSight, NodeState, RetryError, Sight};
pub use client::{Client, ClientBuilder};
pub use enqueue::Enqueue;
pub use enqueue_many::EnqueueMany;
pub use error::{EnqueueError, EnqueueManyError, Invalid, ResultError};
pub use handle::JobHandle;
pub use signature::Signature;
pub use unknown::UnknownBatch;
pub use workflow::{Run, RunError, WorkflowError, WorkflowHandle};
