//! Runs the application's code so that a panic fails an attempt and nothing else, and notes where it is for the stall detector.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use celeriac_core::{Cause, Ending, MAX_PAYLOAD_BYTES, TaskError};

use crate::context::Attempt;
use crate::handler::{Run, RunResult};
use crate::stalls::Epoch;

/// A run whose code may panic, also while it is dropped: at a time limit, at a shutdown, or after a panic.
pub(crate) struct GuardedRun(Option<Run>);

impl GuardedRun {
    pub(crate) fn new(run: Run) -> Self {
        Self(Some(run))
    }

    /// Runs to the end and turns a panic into a failed attempt. `pend` is called when it has to wait for something.
    pub(crate) async fn run_to_end(mut self, attempt: &Attempt, epoch: &Epoch, mut pend: impl FnMut()) -> Ending {
        let answer = poll_fn(|cx| {
            let Some(run) = self.0.as_mut() else { return Poll::Pending };
            attempt.enter(epoch.now());
            let polled = catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx)));
            attempt.leave();
            match polled {
                Ok(Poll::Pending) => {
                    pend();
                    Poll::Pending
                }
                Ok(Poll::Ready(answer)) => Poll::Ready(Ok(answer)),
                Err(panic) => Poll::Ready(Err(panic)),
            }
        })
        .await;
        match answer {
            Ok(answer) => ending_of(answer),
            Err(panic) => panicked(panic.as_ref()),
        }
    }
}

impl Drop for GuardedRun {
    fn drop(&mut self) {
        let run = self.0.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(move || drop(run))) {
            tracing::warn!(panic = panic_text(panic.as_ref()), "panicked while an attempt was given up");
        }
    }
}

/// Starts an attempt: decoding runs the application's code too.
pub(crate) fn caught<T>(start: impl FnOnce() -> T) -> Result<T, Ending> {
    catch_unwind(AssertUnwindSafe(start)).map_err(|panic| panicked(panic.as_ref()))
}

fn panicked(panic: &(dyn Any + Send)) -> Ending {
    let error = TaskError::retry(format!("panicked: {}", panic_text(panic)));
    Ending::Failed { cause: Cause::Panicked, error }
}

fn ending_of(answer: RunResult) -> Ending {
    match answer {
        Ok(result) if result.get().len() > MAX_PAYLOAD_BYTES => {
            let bytes = result.get().len();
            let text = format!("the result has {bytes} bytes; at most {MAX_PAYLOAD_BYTES} are kept");
            Ending::Failed { cause: Cause::Failed, error: TaskError::permanent(text) }
        }
        Ok(result) => Ending::Succeeded(result),
        Err(error) => Ending::Failed { cause: Cause::Failed, error },
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
