//! The smallest program: a task, a job, a worker.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use celeriac::{Client, Tasks, Worker};

/// Leaves the function as it is, and makes a task of it that is called `greet` too.
#[celeriac::task("greet")]
async fn greet(name: String) -> Result<String, String> {
    Ok(format!("Hello, {name}!"))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // `sqlite:queue.db` keeps jobs in a file, `redis://127.0.0.1` in Redis.
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    let job = client.enqueue(greet { name: "Ada".into() }).await?;
    // A worker runs until it is stopped; in a burst it ends when nothing is left to do.
    Worker::builder(client, Tasks::new().task::<greet>()).burst(true).build()?.run().await?;
    println!("{}", job.result().await?);
    Ok(())
}
