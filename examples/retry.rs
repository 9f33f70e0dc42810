//! What a handler can answer beside a result: try again, try again later, never try again.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use celeriac::{Client, Context, TaskError, Tasks, Worker};

/// Succeeds at the third attempt. Without `retry_in` the wait would follow the task's back-off.
#[celeriac::task("call", retries = 5, backoff = "1s..1m")]
async fn call(number: String, context: Context) -> Result<String, TaskError> {
    println!("attempt {} to call {number}", context.attempt());
    match context.attempt() {
        1 | 2 => Err(TaskError::retry_in(Duration::from_millis(100), "the line is busy")),
        _ => Ok(format!("{number} answered")),
    }
}

/// Any error is retried, this one three times; but a permanent one is not.
#[celeriac::task("charge", retries = 3)]
async fn charge(card: String, cents: u64) -> Result<u64, TaskError> {
    if card.is_empty() {
        return Err(TaskError::permanent("there is no card to charge"));
    }
    Ok(cents)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    let call = client.enqueue(call { number: "555-0100".into() }).await?;
    let charge = client.enqueue(charge { card: String::new(), cents: 1200 }).await?;
    let tasks = Tasks::new().task::<call>().task::<charge>();
    let summary = Worker::builder(client, tasks).burst(true).build()?.run().await?;
    println!("{}", call.result().await?);
    match charge.result().await {
        Ok(cents) => println!("charged {cents}"),
        Err(error) => println!("{error}"),
    }
    println!("{} succeeded, {} retried, {} dead", summary.succeeded, summary.retried, summary.dead);
    Ok(())
}
