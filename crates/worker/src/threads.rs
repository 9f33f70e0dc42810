//! Threads for blocking tasks: how many there may be, and which of them nobody waits for any more.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use celeriac_core::TaskError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::handler::{Run, Work};

/// The threads that a worker may have for blocking tasks.
#[derive(Debug)]
pub(crate) struct Threads {
    limit: usize,
    /// How long all may be left alone before something must be wrong.
    patience: Duration,
    free: Arc<Semaphore>,
    left_alone: Arc<Mutex<LeftAlone>>,
}

/// The threads whose attempt is over while their function goes on.
#[derive(Debug, Default)]
struct LeftAlone {
    count: usize,
    /// When the newest of them was left.
    newest: Option<Instant>,
}

impl Threads {
    pub(crate) fn new(limit: usize, patience: Duration) -> Self {
        Self { limit, patience, free: Arc::new(Semaphore::new(limit)), left_alone: Arc::default() }
    }

    /// Waits until a thread may be started. The permit is free when the thread has ended, not when its attempt was given up: so there are
    /// never more threads than permits.
    pub(crate) async fn acquire(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        let thread = Arc::new(Thread { life: Mutex::new(Life::Watched), left_alone: Arc::clone(&self.left_alone) });
        Some(Permit { _permit: permit, thread })
    }

    /// Why no blocking task can run any more, for a while already; `None` while one can.
    pub(crate) fn stuck(&self) -> Option<String> {
        let left_alone = lock(&self.left_alone);
        let since = left_alone.newest.filter(|_| left_alone.count >= self.limit && self.limit > 0)?;
        let why =
            || format!("all {} threads for blocking tasks are kept by functions whose attempts are over", self.limit);
        (since.elapsed() >= self.patience).then(why)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Its attempt waits for it.
    Watched,
    /// Its attempt is over.
    LeftAlone,
    Ended,
}

#[derive(Debug)]
struct Thread {
    life: Mutex<Life>,
    left_alone: Arc<Mutex<LeftAlone>>,
}

impl Thread {
    fn leave_alone(&self) {
        let mut life = lock(&self.life);
        if *life == Life::Watched {
            *life = Life::LeftAlone;
            let mut left_alone = lock(&self.left_alone);
            left_alone.count += 1;
            left_alone.newest = Some(Instant::now());
            // Somebody will wonder what the process still does.
            tracing::warn!("the attempt is over, but its function goes on and keeps its thread until it returns");
        }
    }

    fn end(&self) {
        let mut life = lock(&self.life);
        if std::mem::replace(&mut *life, Life::Ended) == Life::LeftAlone {
            lock(&self.left_alone).count -= 1;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Allows one thread.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
    thread: Arc<Thread>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.thread.end();
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
        let mut threads = Threads::new(2, Duration::from_secs(60));
        let (first, second) = (threads.acquire().await.unwrap(), threads.acquire().await.unwrap());
        first.thread.leave_alone();
        assert_eq!(threads.stuck(), None, "one is left");
        second.thread.leave_alone();
        assert_eq!(threads.stuck(), None, "one may return in a moment");
        threads.patience = Duration::ZERO;
        assert!(threads.stuck().is_some_and(|why| why.contains("all 2 threads")));
        drop(first);
        assert_eq!(threads.stuck(), None);
        let thread = Arc::clone(&second.thread);
        drop(second);
        thread.leave_alone();
        assert_eq!(lock(&threads.left_alone).count, 0, "it had ended before");
    }
}
