//! Which job comes first: the more urgent one, and among equals the older one.
//!
//! Run it with `cargo run --example priorities`; the URL of a store may follow after `--`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use celeriac::{Client, Tasks, Worker};

#[celeriac::task("mail.send")]
async fn send(subject: String) -> Result<(), String> {
    println!("sent: {subject}");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    let mail = |subject: &str| client.enqueue(send { subject: subject.into() });
    // 0 to 9, and 9 is the most urgent. What says nothing has 5.
    mail("the newsletter").priority(1).await?;
    mail("your receipt").await?;
    mail("reset your password").priority(9).await?;
    mail("your invoice").await?;
    mail("the alarm went off").priority(9).await?;
    // One at a time shows the order. A worker with room for many begins them in this order too, and then they run side by side.
    let tasks = Tasks::new().task::<send>();
    Worker::builder(client, tasks).concurrency(1).burst(true).build()?.run().await?;
    Ok(())
}
