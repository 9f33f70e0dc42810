//! Jobs that run later: after a delay, or at an instant.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::{Duration, SystemTime};

use celeriac::{Client, Tasks, Worker};

#[celeriac::task("remind")]
async fn remind(of: String) -> Result<(), String> {
    println!("do not forget: {of}");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    // The store's clock counts a delay, so it does not matter whether this machine's clock is right.
    let tea = client.enqueue(remind { of: "the tea".into() }).delay(Duration::from_secs(1)).await?;
    // An instant is compared with the store's clock.
    let train = SystemTime::now() + Duration::from_secs(2);
    client.enqueue(remind { of: "the train".into() }).at(train).await?;
    client.enqueue(remind { of: "to look around".into() }).await?;
    if let Some(job) = tea.status().await? {
        println!("the tea is {}", job.state);
    }
    // A burst waits for what is due within a minute.
    Worker::builder(client, Tasks::new().task::<remind>()).burst(true).build()?.run().await?;
    Ok(())
}
