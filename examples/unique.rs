//! A job that must not be there twice: a second one is refused while the first has not ended, and the refusal names it.
//!
//! Run it with `cargo run --example unique`; the URL of a store may follow after `--`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use celeriac::{Client, EnqueueError, Tasks, Worker};

#[celeriac::task("report.monthly")]
async fn report(month: String) -> Result<(), String> {
    println!("the report of {month} is made");
    Ok(())
}

/// What a button in an application would do, whoever presses it and however often.
async fn request(client: &Client, month: &str) -> anyhow::Result<()> {
    let job = report { month: month.into() };
    // The key holds for the whole namespace, so the name of the task is a part of it.
    match client.enqueue(job).unique(format!("report.monthly:{month}")).await {
        Ok(job) => println!("requested: job {}", job.id()),
        Err(EnqueueError::UniqueInUse { holder, .. }) => println!("on its way already: job {holder}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    request(&client, "2026-01").await?;
    request(&client, "2026-01").await?;
    request(&client, "2026-02").await?;
    let tasks = Tasks::new().task::<report>();
    Worker::builder(&client, tasks).concurrency(1).burst(true).build()?.run().await?;
    // The first has ended, and with it its hold on the key.
    request(&client, "2026-01").await?;
    Ok(())
}
