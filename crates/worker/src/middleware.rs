//! Code of the application around every attempt: for metrics, traces, checks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use celeriac_core::TaskError;
use serde_json::value::RawValue;

use crate::context::Context;
use crate::handler::Run;

/// The result of an attempt as JSON, or what went wrong; still on its way.
pub type AttemptFuture = Pin<Box<dyn Future<Output = Result<Box<RawValue>, TaskError>> + Send>>;

/// Code around every attempt of a worker's tasks, async, blocking and command ones alike.
///
/// It runs inside the attempt: its time counts against the time limit, its panic fails the attempt, and what it answers is what the attempt
/// ends with. It may run `next`, or answer in its place; `next` can run only once. The first that was added is the outermost.
///
/// ```
/// use celeriac_worker::{AttemptFuture, Context, Middleware, Next, Tasks};
///
/// struct Timing;
///
/// impl Middleware for Timing {
///     fn call(&self, context: Context, next: Next) -> AttemptFuture {
///         Box::pin(async move {
///             let began = std::time::Instant::now();
///             let answer = next.run().await;
///             println!("{} took {:?}, went well: {}", context.task(), began.elapsed(), answer.is_ok());
///             answer
///         })
///     }
/// }
///
/// let tasks = Tasks::new().middleware(Timing);
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Runs one attempt.
    fn call(&self, context: Context, next: Next) -> AttemptFuture;
}

impl<F, Answer> Middleware for F
where
    F: Fn(Context, Next) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<Box<RawValue>, TaskError>> + Send + 'static,
{
    fn call(&self, context: Context, next: Next) -> AttemptFuture {
        Box::pin(self(context, next))
    }
}

/// What comes after a middleware: the next one, or the handler.
#[must_use = "the handler runs only if this is run"]
pub struct Next {
    rest: Arc<[Arc<dyn Middleware>]>,
    at: usize,
    context: Context,
    run: Run,
}

impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("context", &self.context).finish_non_exhaustive()
    }
}

impl Next {
    /// Runs what comes next, and answers what it answered.
    ///
    /// # Errors
    /// What the handler, or a middleware before it, answered.
    pub async fn run(self) -> Result<Box<RawValue>, TaskError> {
        self.begin().await
    }

    fn begin(mut self) -> Run {
        let Some(middleware) = self.rest.get(self.at).cloned() else { return self.run };
        self.at += 1;
        middleware.call(self.context.clone(), self)
    }
}

/// The middleware of a set of tasks, outermost first.
#[derive(Clone, Default)]
pub(crate) struct Layers(Vec<Arc<dyn Middleware>>);

impl Layers {
    pub(crate) fn add(&mut self, middleware: impl Middleware) {
        self.0.push(Arc::new(middleware));
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// An attempt inside all of them; itself if there are none. None is called before the first poll, where a panic fails the attempt.
    pub(crate) fn wrap(&self, context: Context, run: Run) -> Run {
        if self.0.is_empty() {
            return run;
        }
        let outermost = Next { rest: self.0.clone().into(), at: 0, context, run };
        Box::pin(outermost.run())
    }
}
