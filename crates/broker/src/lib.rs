//! The store seam of celeriac and the stores behind it.
//!
//! [`Broker`] is the contract between the rules in `celeriac-core` and a store: what producers, workers and their
//! services ask of it. [`Inspector`] is what people ask: which jobs, which queues, what is dead.
//! [`Schedules`] is what beats use, [`Workflows`] what carries out jobs that wait for each other. Redis and SQLite implement both
//! and run one conformance suite. What is deliberately absent: connections, transactions, SQL and Redis types.
//!
//! ```
//! # async fn example() -> Result<(), celeriac_broker::BrokerError> {
//! use celeriac_broker::{Inspector as _, StoreUrl};
//!
//! let url: StoreUrl = "sqlite::memory:".parse()?;
//! let broker = celeriac_broker::connect(&url).await?;
//! assert!(broker.queues().await?.is_empty());
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```

mod batch;
mod broker;
mod checkup;
mod clock;
mod control;
mod delivery;
mod error;
#[cfg(feature = "conformance")]
mod faulty;
mod inspector;
mod schedules;
mod store_url;
mod views;
mod worker_session;
mod workflows;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use batch::{
    Acceptance, Batch, BatchAnswer, IdOrigin, LANE_TTL, Lane, MAX_BATCH_BYTES, MAX_BATCH_JOBS, NewJob, Start,
};
pub use broker::{Broker, connect};
pub use checkup::{Checkup, Finding, Grade};
pub use clock::StoreClock;
pub use control::{Purged, Retried, Revocation};
pub use delivery::{
    Condemned, Delivery, Exchanged, FetchRequest, Fetched, NOTES_TTL, Note, Promoted, Pruned, Settled, Settlement,
};
pub use error::{BrokerError, Refusal};
#[cfg(feature = "conformance")]
pub use faulty::{Fault, FaultyBroker, Operation};
pub use inspector::Inspector;
pub use schedules::{
    DueSchedules, Fired, Firing, MAX_SCHEDULES, Owner, Put, ScheduleEntry, ScheduleMark, ScheduleView, Schedules,
};
pub use store_url::{StoreKind, StoreUrl};
pub use views::{JobFilter, JobPage, JobView, PageMark, QueueView, WorkerView};
pub use worker_session::{DEFAULT_LEASE, Holder, Pulse, Reconciled, Registration, Session, StoreLife};
pub use workflows::{
    Advance, Advanced, Begun, KeptEnd, MAX_STEPS, NewWorkflow, REVIEW, ROOT, Submitted, UNSTARTED_TTL, WorkflowEvent,
    WorkflowMark, WorkflowRevoked, WorkflowView, Workflows,
};
