//! The same without macros: a struct that implements `Task`, and a function that takes it.
//!
//! A producer needs the struct alone, so it can live in a crate that knows nothing of the code that runs it.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::num::ParseIntError;
use std::time::Duration;

use celeriac::{Client, Context, Task, TaskOptions, Tasks, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Sum {
    numbers: Vec<String>,
}

impl Task for Sum {
    const NAME: &'static str = "sum";
    type Output = i64;

    fn options() -> TaskOptions {
        TaskOptions::new().queue("arithmetic").retries(2).timeout(Duration::from_secs(10))
    }
}

/// The first parameter says which task it runs, the others are given by the worker. Any standard error will do.
async fn sum(job: Sum, context: Context) -> Result<i64, ParseIntError> {
    println!("job {} of queue {}", context.job_id(), context.queue());
    job.numbers.iter().map(|number| number.parse::<i64>()).sum()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    let job = client.enqueue(Sum { numbers: vec!["20".into(), "22".into()] }).await?;
    Worker::builder(client, Tasks::new().handle(sum)).burst(true).build()?.run().await?;
    println!("{}", job.result().await?);
    Ok(())
}
