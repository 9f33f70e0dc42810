//! What a handler can know about the attempt it runs in.

use std::fmt;
use std::sync::Arc;

use celeriac_core::{Fence, JobId, QueueName, TaskName};
use tokio_util::sync::CancellationToken;

/// The attempt a handler runs in. Cloning is cheap; ask for it with a parameter of this type.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Attempt>,
}

/// The facts behind a [`Context`].
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) job_id: JobId,
    pub(crate) task: TaskName,
    pub(crate) queue: QueueName,
    pub(crate) attempt: u32,
    pub(crate) fence: Fence,
    pub(crate) cancel: CancellationToken,
}

impl Context {
    pub(crate) fn new(attempt: Attempt) -> Self {
        Self { inner: Arc::new(attempt) }
    }

    /// The id of the job.
    #[must_use]
    pub fn job_id(&self) -> &JobId {
        &self.inner.job_id
    }

    /// The name of the task.
    #[must_use]
    pub fn task(&self) -> &TaskName {
        &self.inner.task
    }

    /// The queue the job came from.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.inner.queue
    }

    /// Which attempt this is, counted from 1. Attempts that failed, were lost or snoozed all count.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.inner.attempt
    }

    /// The fencing token of this attempt: larger than that of any earlier one.
    ///
    /// Hand it to an outside system that can refuse the smaller of two, and a worker that was paused for too long can do no harm there.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.inner.fence
    }

    /// Whether the handler should stop: the worker shuts down and its grace has ended, or its lease may have been lost.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancel.is_cancelled()
    }

    /// Waits until the handler should stop, see [`Context::is_cancelled`].
    pub async fn cancelled(&self) {
        self.inner.cancel.cancelled().await;
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("job_id", &self.inner.job_id)
            .field("task", &self.inner.task)
            .field("attempt", &self.inner.attempt)
            .finish_non_exhaustive()
    }
}
