//! A task that computes: a plain function runs on a thread of its own, and no async task waits for it.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use celeriac::{CancelReason, Client, Context, Tasks, Worker};

/// Not `async`: that alone makes it a blocking task. It may compute, call C, or use a library that knows no async.
#[celeriac::task("primes.count", timeout = "1m")]
fn count_primes(below: u64, context: Context) -> Result<usize, String> {
    let mut primes: Vec<u64> = Vec::new();
    for number in 2..below {
        // Nobody can end a thread from outside, so a function that takes long looks up now and then.
        if number % 1000 == 0 && context.is_cancelled() {
            let reason = context.cancel_reason().unwrap_or(CancelReason::Shutdown);
            return Err(format!("stopped at {number}: {reason:?}"));
        }
        let mut small = primes.iter().take_while(|prime| **prime * **prime <= number);
        if small.all(|prime| number % prime != 0) {
            primes.push(number);
        }
    }
    Ok(primes.len())
}

#[celeriac::task("greet")]
async fn greet(name: String) -> Result<String, String> {
    Ok(format!("Hello, {name}!"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    let primes = client.enqueue(count_primes { below: 50_000 }).await?;
    let greeting = client.enqueue(greet { name: "Ada".into() }).await?;
    // The runtime has one thread, and still both run at once. No more than two functions compute at a time.
    let tasks = Tasks::new().task::<count_primes>().task::<greet>();
    Worker::builder(client, tasks).blocking(2).burst(true).build()?.run().await?;
    println!("{}", greeting.result().await?);
    println!("{} primes", primes.result().await?);
    Ok(())
}
