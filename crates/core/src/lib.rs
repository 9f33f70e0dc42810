//! The words and rules of celeriac: names, ids, records, options, states and decisions.
//!
//! Nothing here does I/O and nothing here knows a store or a runtime, so every rule can be tested in microseconds.
//! A crate that only defines tasks for producers needs this crate alone.
//!
//! ```
//! use celeriac_core::{Task, TaskOptions};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Resize {
//!     path: String,
//! }
//!
//! impl Task for Resize {
//!     const NAME: &'static str = "images.resize";
//!     type Output = u64;
//!
//!     fn options() -> TaskOptions {
//!         TaskOptions::new().queue("images")
//!     }
//! }
//!
//! assert_eq!(Resize::NAME, "images.resize");
//! ```

pub mod canvas;
mod decide;
mod duration;
mod excerpt;
mod headers;
mod history;
mod id;
mod lease;
mod name;
mod notes;
mod options;
mod outcome;
mod record;
mod retry;
mod schedule;
mod state;
mod task;
mod task_error;
mod time;
mod unique;

pub use decide::{Ending, Rules, Transition, decide};
pub use duration::{DurationError, format_duration, parse_duration};
pub use excerpt::excerpt;
pub use headers::{HeaderError, Headers, MAX_HEADER_BYTES};
pub use history::{Cause, Incident, MAX_ERROR_BYTES, MAX_INCIDENTS};
pub use id::{JobId, JobIdError};
pub use lease::{Fence, Generation, Incarnation, Lease};
pub use name::{
    MAX_NAME_BYTES, MAX_SCHEDULE_NAME_BYTES, MAX_WORKFLOW_ID_BYTES, NameError, Namespace, QueueName, ScheduleName,
    TaskName, WorkflowId,
};
pub use notes::{LogLine, MAX_LOG_LINE_BYTES, MAX_LOG_LINES, Notes, Progress};
pub use options::{
    DEFAULT_DEAD_TTL, DEFAULT_RESULT_TTL, JobOptions, MAX_PAYLOAD_BYTES, OptionError, Overrides, Priority,
    PriorityError, TaskOptions,
};
pub use outcome::{Outcome, OutcomeError};
pub use record::{Record, RecordError};
pub use retry::{DEFAULT_RETRIES, RetryPolicy};
pub use schedule::{CatchUp, Overlap, Schedule};
pub use state::State;
pub use task::{Task, TaskResult};
pub use task_error::{TaskError, Verdict};
pub use time::Timestamp;
pub use unique::{MAX_UNIQUE_BYTES, UniqueKey, UniqueKeyError};
