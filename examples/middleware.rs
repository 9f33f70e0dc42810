//! Code around every attempt: here it counts how they end, and guards against what must not run.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use celeriac::{AttemptFuture, Client, Context, Middleware, Next, TaskError, Tasks, Worker};

/// A middleware with something of its own. It stands for metrics, or a trace.
#[derive(Clone, Default)]
struct Tally {
    succeeded: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
}

impl Middleware for Tally {
    fn call(&self, _context: Context, next: Next) -> AttemptFuture {
        let tally = self.clone();
        Box::pin(async move {
            let answer = next.run().await;
            let count = if answer.is_ok() { &tally.succeeded } else { &tally.failed };
            count.fetch_add(1, Ordering::Relaxed);
            answer
        })
    }
}

#[celeriac::task("mail.send", retries = 0)]
async fn send(to: String) -> Result<(), String> {
    println!("mail to {to}");
    Ok(())
}

#[celeriac::task("files.delete_all", retries = 0)]
async fn delete_all() -> Result<(), String> {
    println!("all is gone");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    client.enqueue(send { to: "Ada".into() }).await?;
    client.enqueue(send { to: "Grace".into() }).await?;
    client.enqueue(delete_all {}).await?;
    let tally = Tally::default();
    // A closure will do as well. What it answers without `next` is the end of the attempt.
    let guard = |context: Context, next: Next| async move {
        if context.task().as_str().starts_with("files.") {
            return Err(TaskError::permanent("no files are touched on a Sunday"));
        }
        next.run().await
    };
    // The first is the outermost, so the tally counts what the guard refuses.
    let tasks = Tasks::new().task::<send>().task::<delete_all>().middleware(tally.clone()).middleware(guard);
    Worker::builder(client, tasks).burst(true).build()?.run().await?;
    println!("{} succeeded, {} failed", tally.succeeded.load(Ordering::Relaxed), tally.failed.load(Ordering::Relaxed));
    Ok(())
}
