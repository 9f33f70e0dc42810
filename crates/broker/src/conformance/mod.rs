//! The conformance suite: the contract of a store as cases that every store passes.
//!
//! Each case is an async function over a [`Context`]. [`conformance_suite!`](crate::conformance_suite) makes one test
//! of each. The store is empty, on a manual clock, and used by nobody else. A new sentence in the contract is a new case here.
//!
//! ```text
//! async fn make_store() -> Fixture { … }
//! celeriac_broker::conformance_suite!(make_store);
//! ```

mod cases;
mod context;
pub mod control;
pub mod drain;
pub mod due;
pub mod enqueue;
pub mod exchange;
pub mod fetch;
mod flow;
pub mod followers;
pub mod inspect;
pub mod leases;
pub mod notes;
pub mod payloads;
pub mod priorities;
pub mod results;
pub mod schedules;
pub mod sessions;
pub mod settle;
pub mod steps;
pub mod unique;
pub mod upkeep;
pub mod waiting;
mod worker;
pub mod workflows;

pub use context::{
    Context, Fixture, Outcome, delayed, expect_session_lost, given, job, job_of, queue_name, seconds, task_name,
    unregistered, with_payload, within,
};
pub use flow::{
    FLOW, Flow, died, flow_end, link, link_before, link_counting, new_flow, step, step_id, under, waiting, workflow_id,
};
pub use schedules::{firing_at, schedule_entry};
pub use worker::{
    Load, TestWorker, death, death_kept, hand_back, lost, parking, registration, request, retry, revocation,
    settlement, success, success_kept,
};
