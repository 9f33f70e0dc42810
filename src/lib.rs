//! A task queue: typed async tasks on an embedded store or on Redis.
//!
//! A *task* is an async function with a name; a *job* is one request to run it. Producers enqueue jobs, workers run them, and a
//! store keeps them in between: a SQLite file with no server at all, or Redis, by changing one URL.

#[cfg(feature = "cli")]
mod cli;
#[cfg(any(doc, doctest))]
pub mod guides;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "beat")]
pub use celeriac_beat::{
    Beat, BeatBuilder, BeatError, BeatHandle, BeatStats, CatchUp, Overlap, Periodic, PeriodicError, PeriodicProblem,
    ScheduleName, Timetable, TimetableError, Zone,
};
pub use celeriac_broker as broker;
pub use celeriac_client::canvas;
pub use celeriac_client::{
    Client, ClientBuilder, Enqueue, EnqueueError, EnqueueMany, EnqueueManyError, JobHandle, NodeSight, NodeState,
    ResultError, RetryError, Run, RunError, Sight, Signature, UnknownBatch, WorkflowError, WorkflowHandle,
    WorkflowRevoked,
};
pub use celeriac_core::{
    Fence, Headers, JobId, LogLine, Notes, Outcome, Priority, Progress, QueueName, Record, RetryPolicy,
    State as JobState, Task, TaskError, TaskName, TaskOptions, TaskResult, Timestamp, UniqueKey, Verdict, WorkflowId,
};
#[cfg(feature = "macros")]
pub use celeriac_macros::{Task, task};
#[cfg(feature = "worker")]
pub use celeriac_worker::{
    AttemptFuture, BlockingHandler, CancelReason, CommandTask, Context, FromContext, Handler, Health, Inputs,
    InputsError, Middleware, Next, QueueOrder, State, States, Summary, TaskFn, Tasks, TasksError, Worker,
    WorkerBuilder, WorkerError, WorkerHandle,
};
#[cfg(feature = "cli")]
pub use cli::{Cli, cli};

/// What generated code refers to. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use serde;
}
