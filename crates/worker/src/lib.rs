//! The worker of celeriac: fetches jobs, runs their tasks, settles them.
//!
//! ```no_run
//! use celeriac_core::Task;
//! use celeriac_worker::{Tasks, Worker};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Double { number: u64 }
//!
//! impl Task for Double {
//!     const NAME: &'static str = "double";
//!     type Output = u64;
//! }
//!
//! async fn double(job: Double) -> Result<u64, std::io::Error> {
//!     Ok(job.number * 2)
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = celeriac_broker::connect(&"sqlite:queue.db".parse()?).await?;
//! let worker = Worker::builder(broker, Tasks::new().handle(double)).concurrency(8).build()?;
//! worker.run_until(async { tokio::time::sleep(std::time::Duration::from_secs(60)).await }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The listing of this folder is the architecture. One file is one activity: the [`fetcher`](self) takes jobs and takes ends along, the
//! executor runs what waits in the backlog, the settler reports ends that nobody takes along; promoter, reclaimer and pruner keep the
//! store in order; the heartbeat keeps the leases from a thread of its own, and the session keeper mends what a lost connection left.
//!
//! A worker of short async tasks is cheapest on a runtime of one thread (`#[tokio::main(flavor = "current_thread")]`); several
//! threads serve tasks that compute. Scale out with processes.

mod backlog;
mod blocking;
mod builder;
mod calls;
mod clock;
mod command;
mod conductor;
mod context;
mod elsewhere;
mod ends;
mod executor;
mod fetcher;
mod guard;
mod handler;
mod health;
mod heartbeat;
mod held;
mod limits;
mod meters;
mod metrics;
mod middleware;
mod notebook;
mod post;
mod prefetch;
mod progress;
mod promoter;
mod pruner;
mod reclaimer;
#[cfg(feature = "testing")]
mod rig;
mod session;
mod settler;
mod stalls;
mod state;
mod summary;
mod suspects;
mod tasks;
mod threads;
mod turns;
mod worker;

pub use blocking::BlockingHandler;
pub use builder::{DEFAULT_GRACE, WorkerBuilder, WorkerError, default_concurrency};
pub use celeriac_workflow::{Input, Inputs, InputsError};
pub use command::{CommandTask, EXIT_NOT_NOW};
pub use context::{CancelReason, Context};
pub use handler::Handler;
pub use health::Health;
pub use middleware::{AttemptFuture, Middleware, Next};
#[cfg(feature = "testing")]
pub use rig::{Crash, Rig, Step};
pub use state::{FromContext, Need, State, States};
pub use summary::Summary;
pub use tasks::{TaskFn, Tasks, TasksError};
pub use turns::QueueOrder;
pub use worker::{Worker, WorkerHandle};
