//! Threads for blocking tasks: how many there may be, and which of them nobody waits for any more.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use celeriac_core::TaskError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::handler::{Run, Work};

/// The threads that a worker may have for blocking tasks.
#[derive(Debug)]
pub(crate) struct Threads {
    limit: usize,
    free: Arc<Semaphore>,
    /// Those whose attempt is over while their function goes on.
    left_alone: Arc<AtomicUsize>,
}

impl Threads {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, free: Arc::new(Semaphore::new(limit)), left_alone: Arc::default() }
    }

    /// Waits until a thread may be started. The permit is free when the thread has ended, not when its attempt was given up: so there are
    /// never more threads than permits.
    pub(crate) async fn acquire(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        let thread = Arc::new(Thread { life: AtomicU8::new(WATCHED), left_alone: Arc::clone(&self.left_alone) });
        Some(Permit { _permit: permit, thread })
    }

    /// Why no blocking task can run any more; `None` while one can.
    pub(crate) fn stuck(&self) -> Option<String> {
        let left_alone = self.left_alone.load(Ordering::SeqCst);
        let why =
            || format!("all {} threads for blocking tasks are kept by functions whose attempts are over", self.limit);
        (self.limit > 0 && left_alone >= self.limit).then(why)
    }
}

/// The life of a thread: its attempt waits for it, or is over, or the thread has ended.
const WATCHED: u8 = 0;
const LEFT_ALONE: u8 = 1;
const ENDED: u8 = 2;

#[derive(Debug)]
struct Thread {
    life: AtomicU8,
    left_alone: Arc<AtomicUsize>,
}

impl Thread {
    fn leave_alone(&self) {
        let left = self.life.compare_exchange(WATCHED, LEFT_ALONE, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if left {
            self.left_alone.fetch_add(1, Ordering::SeqCst);
            // Somebody will wonder what the process still does.
            tracing::warn!("the attempt is over, but its function goes on and keeps its thread until it returns");
        }
    }
}

/// Allows one thread.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
    thread: Arc<Thread>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.thread.life.swap(ENDED, Ordering::SeqCst) == LEFT_ALONE {
            self.thread.left_alone.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Runs blocking work on a thread of its own; dropping the run leaves the thread to its end.
///
/// The threads are not the runtime's, because a runtime waits for its own at the end, however long they take.
pub(crate) fn on_a_thread(work: Work, permit: Permit) -> Run {
    Box::pin(async move {
        let (sender, answer) = oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let thread = Arc::clone(&permit.thread);
        let body = move || {
            // Blocking code may use the runtime it was started from, to spawn or to block on.
            let _guard = runtime.enter();
            let answer = catch_unwind(AssertUnwindSafe(work));
            drop(permit);
            // Nobody waits any more for a run that was given up.
            let _ = sender.send(answer);
        };
        let started = std::thread::Builder::new().name("celeriac-blocking".to_owned()).spawn(body);
        if let Err(error) = started {
            return Err(TaskError::retry(format!("the system has no thread for a blocking task: {error}")));
        }
        let _watch = Watch(thread);
        match answer.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(TaskError::retry("the thread of a blocking task broke down")),
        }
    })
}

/// Leaves a thread alone when it is dropped before the thread has ended.
struct Watch(Arc<Thread>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.leave_alone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn threads_that_nobody_waits_for_are_counted_until_they_end() {
        let threads = Threads::new(2);
        let (first, second) = (threads.acquire().await.unwrap(), threads.acquire().await.unwrap());
        first.thread.leave_alone();
        assert_eq!(threads.stuck(), None, "one is left");
        second.thread.leave_alone();
        assert!(threads.stuck().is_some_and(|why| why.contains("all 2 threads")));
        drop(first);
        assert_eq!(threads.stuck(), None);
        let thread = Arc::clone(&second.thread);
        drop(second);
        thread.leave_alone();
        assert_eq!(threads.left_alone.load(Ordering::SeqCst), 0, "it had ended before");
    }
}
