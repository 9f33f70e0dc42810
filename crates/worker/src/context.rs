//! What a handler can know about the attempt it runs in, and how the worker tells it to stop.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use celeriac_broker::Delivery;
use celeriac_core::{Fence, Headers, JobId, JobOptions, Progress, QueueName, TaskName, Timestamp, WorkflowId};
use celeriac_workflow::{Conductor, Inputs, InputsError};
use tokio::sync::Notify;

use crate::notebook::{News, Notebook};

/// The attempt a handler runs in. Cloning is cheap; ask for it with a parameter of this type.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Attempt>,
    notebook: Arc<Notebook>,
    conductor: Arc<Conductor>,
}

/// Why a handler should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelReason {
    /// Somebody revoked the job. The attempt is given up 5 s later, and the job is not run again.
    Revoked,
    /// The worker ends, and its grace is over: the job is handed back.
    Shutdown,
    /// The time limit, or the job's deadline, is over and the attempt has failed. Only a blocking function, or a task that the handler
    /// spawned, lives to see it.
    TimedOut,
    /// The soft time limit is over. The handler may clean up until the hard one.
    SoftTimeout,
    /// The worker cannot reach its store and may have lost its lease: another worker may begin the job soon.
    LeaseAtRisk,
}

/// What an attempt was told, as bits: what was told once stays told.
pub(crate) mod order {
    /// The handler should stop; it may go on.
    pub(crate) const STOP: u8 = 1;
    /// The attempt is given up, and the job handed back.
    pub(crate) const HAND_BACK: u8 = 2;
    /// The job is not ours any more and must not be settled.
    pub(crate) const LOST: u8 = 4;
    /// Somebody revoked the job: the handler should stop, and the attempt is given up soon.
    pub(crate) const REVOKED: u8 = 8;
    /// The soft time limit is over: the handler should stop; it may go on to the hard one.
    pub(crate) const SOFT_LIMIT: u8 = 16;
    /// The time limit or the deadline is over: the attempt has failed, and what still runs of it runs in vain.
    pub(crate) const OVER: u8 = 32;
}

/// The facts behind a [`Context`], and what the attempt was told. One allocation for each job, shared by its handler, the
/// table of held jobs and the executor.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) job_id: JobId,
    pub(crate) task: TaskName,
    pub(crate) queue: QueueName,
    pub(crate) attempt: u32,
    pub(crate) fence: Fence,
    pub(crate) suspect: bool,
    options: JobOptions,
    enqueued_at: Timestamp,
    orders: AtomicU8,
    told: Notify,
    /// When the poll under way began, in ticks of the coarse clock; 0 between polls.
    polled: AtomicU32,
    news: OnceLock<Box<Mutex<News>>>,
}

impl Attempt {
    /// The attempt that begins with a hand-out.
    pub(crate) fn of(delivery: &Delivery) -> Arc<Self> {
        let record = &delivery.record;
        Arc::new(Self {
            job_id: record.id.clone(),
            task: record.task.clone(),
            queue: record.queue.clone(),
            attempt: record.attempt + 1,
            fence: delivery.lease.fence,
            suspect: record.suspect,
            options: record.options.clone(),
            enqueued_at: record.enqueued_at,
            orders: AtomicU8::new(0),
            told: Notify::new(),
            polled: AtomicU32::new(0),
            news: OnceLock::new(),
        })
    }

    /// A poll of its handler begins.
    pub(crate) fn enter(&self, epoch: u32) {
        self.polled.store(epoch, Ordering::Relaxed);
    }

    /// The poll has ended.
    pub(crate) fn leave(&self) {
        self.polled.store(0, Ordering::Relaxed);
    }

    /// When the poll under way began; 0 if none is.
    pub(crate) fn polled_since(&self) -> u32 {
        self.polled.load(Ordering::Relaxed)
    }

    /// What it has told and the store does not have yet.
    pub(crate) fn news(&self) -> MutexGuard<'_, News> {
        self.news.get_or_init(Box::default).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it ever told anything.
    pub(crate) fn has_told(&self) -> bool {
        self.news.get().is_some()
    }

    /// Tells it something.
    pub(crate) fn tell(&self, orders: u8) {
        self.orders.fetch_or(orders, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    /// What it was told of these.
    pub(crate) fn told(&self, orders: u8) -> u8 {
        self.orders.load(Ordering::SeqCst) & orders
    }

    /// Waits until it was told one of these.
    pub(crate) async fn until_told(&self, orders: u8) -> u8 {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            // Registered before the look, so that an order between look and wait is not missed.
            told.as_mut().enable();
            match self.told(orders) {
                0 => told.await,
                found => return found,
            }
        }
    }
}

impl Context {
    pub(crate) fn new(attempt: Arc<Attempt>, notebook: Arc<Notebook>, conductor: Arc<Conductor>) -> Self {
        Self { inner: attempt, notebook, conductor }
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

    /// The headers that the job was enqueued with, a W3C `traceparent` for example.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.inner.options.headers
    }

    /// The workflow whose step the job is, if it is one.
    #[must_use]
    pub fn workflow(&self) -> Option<&WorkflowId> {
        self.inner.options.step.as_deref().map(|step| &step.workflow)
    }

    /// When the job must have ended, by the store's clock; the attempt is given up then. `None` if it may take any time.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let after = self.inner.options.deadline_ms.map(Duration::from_millis);
        after.map(|after| self.inner.enqueued_at.after(after))
    }

    /// Tells how far the job is: so much is done, of so much if that is known. Whoever asks for the job sees it.
    ///
    /// It costs next to nothing to call often: the last word of each quarter of a second goes to the store.
    pub fn progress(&self, done: u64, total: impl Into<Option<u64>>, message: impl AsRef<str>) {
        self.notebook.progress(&self.inner, Progress::new(done, total.into(), message.as_ref()));
    }

    /// Adds a line to the job's log, which is kept with the job for a day: the newest 100 lines, of at most 1 KiB each.
    pub fn log(&self, line: impl Into<String>) {
        self.notebook.line(&self.inner, line.into());
    }

    /// The results that this step of a workflow waits for, to be read page by page: for those that are too many to be arguments.
    ///
    /// They are read from the store when they are asked for. A step that reads them need not take them, see
    /// [`Takes::Nothing`](celeriac_core::canvas::Takes::Nothing).
    ///
    /// ```
    /// use celeriac_core::Task;
    /// use celeriac_worker::{Context, InputsError, Tasks};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Sum {}
    ///
    /// impl Task for Sum {
    ///     const NAME: &'static str = "sum";
    ///     type Output = u64;
    /// }
    ///
    /// async fn sum(_: Sum, context: Context) -> Result<u64, InputsError> {
    ///     let mut inputs = context.inputs().await?;
    ///     let mut sum = 0;
    ///     while let Some(page) = inputs.next_page::<u64>(500).await? {
    ///         sum += page.iter().sum::<u64>();
    ///     }
    ///     Ok(sum)
    /// }
    ///
    /// let tasks = Tasks::new().handle(sum);
    /// ```
    ///
    /// # Errors
    /// [`InputsError::NoStep`] for a job that is no step of a workflow, and what the store says.
    pub async fn inputs(&self) -> Result<Inputs, InputsError> {
        let step = self.inner.options.step.as_deref().ok_or(InputsError::NoStep)?;
        self.conductor.inputs(step).await
    }

    /// Whether the handler should stop: see [`Context::cancel_reason`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.told(u8::MAX) != 0
    }

    /// Why the handler should stop; `None` while it need not. With several reasons, the one that counts most.
    #[must_use]
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        let told = |orders| self.inner.told(orders) != 0;
        if told(order::REVOKED) {
            Some(CancelReason::Revoked)
        } else if told(order::HAND_BACK) {
            Some(CancelReason::Shutdown)
        } else if told(order::OVER) {
            Some(CancelReason::TimedOut)
        } else if told(order::STOP | order::LOST) {
            Some(CancelReason::LeaseAtRisk)
        } else if told(order::SOFT_LIMIT) {
            Some(CancelReason::SoftTimeout)
        } else {
            None
        }
    }

    /// Waits until the handler should stop, see [`Context::is_cancelled`].
    pub async fn cancelled(&self) {
        self.inner.until_told(u8::MAX).await;
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
