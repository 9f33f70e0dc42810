//! A task that can be stopped: at its soft time limit, when somebody revokes its job, and when its worker ends.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use celeriac::{CancelReason, Client, Context, State, TaskError, Tasks, Worker};
use tokio::sync::Notify;

/// Works step by step until it is told to stop, and makes the best of it.
#[celeriac::task("crawl", retries = 0)]
async fn crawl(site: String, context: Context, began: State<Arc<Notify>>) -> Result<usize, TaskError> {
    began.notify_one();
    let mut pages = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(3600)) => pages += 1,
            () = context.cancelled() => break,
        }
    }
    let Some(reason) = context.cancel_reason() else { return Ok(pages) };
    println!("{site}: {reason:?}");
    match reason {
        // There is time until the hard limit: keep what there is.
        CancelReason::SoftTimeout => Ok(pages),
        // Whatever is answered now, the job is revoked, or handed back for another worker.
        _ => Err(TaskError::retry("stopped")),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    let began = Arc::new(Notify::new());
    let worker = Worker::builder(&client, Tasks::new().task::<crawl>().state(Arc::clone(&began))).build()?;
    let handle = worker.handle();
    let worker = tokio::spawn(worker.run());
    let crawl = |site: &str| client.enqueue(crawl { site: site.into() });

    let slow = crawl("slow.example").soft_timeout(Duration::from_millis(50)).await?;
    println!("it kept {} pages", slow.result().await?);
    began.notified().await;

    let unwanted = crawl("unwanted.example").await?;
    began.notified().await;
    unwanted.revoke().await?;
    println!("{}", if unwanted.result().await.is_err() { "there is no result" } else { "it was too late" });

    let unfinished = crawl("unfinished.example").await?;
    began.notified().await;
    handle.stop_now();
    println!("{} handed back", worker.await??.handed_back);
    unfinished.revoke().await?;
    Ok(())
}
