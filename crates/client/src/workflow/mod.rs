//! Workflows as a client sees them: begun by a builder, and followed by a handle.

mod error;
mod handle;
mod into;
mod run;

pub use error::{RunError, WorkflowError};
pub use handle::WorkflowHandle;
pub use into::{Callback, IntoWorkflow};
pub use run::Run;
