//! How an application tests the code that enqueues: with a queue inside the test, a clock to turn, and a worker that is stepped.
//!
//! Run it with `cargo run --example testing --features testing`. In an application what `main` does stands in tests, under
//! `#[tokio::test]`, and the feature is switched on in `[dev-dependencies]`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use celeriac::testing::TestQueue;
use celeriac::{Client, Context, EnqueueError, JobState, TaskError, Tasks};

#[celeriac::task("mail.welcome", retries = 1, backoff = "10s..10s")]
async fn welcome(user: String, context: Context) -> Result<String, TaskError> {
    match context.attempt() {
        1 => Err("the mail server is away".into()),
        _ => Ok(format!("Welcome, {user}!")),
    }
}

/// The code under test. It knows nothing of tests: it is given a client.
async fn sign_up(client: &Client, user: &str) -> Result<(), EnqueueError> {
    if user.contains('@') {
        client.enqueue(welcome { user: user.into() }).delay(Duration::from_secs(60)).await?;
    }
    Ok(())
}

async fn a_visitor_without_an_address_gets_no_mail() -> anyhow::Result<()> {
    let queue = TestQueue::new(Tasks::new().task::<welcome>()).await;
    sign_up(queue.client(), "nobody").await?;
    queue.assert_not_enqueued::<welcome>().await;
    Ok(())
}

async fn a_user_is_welcomed_after_a_minute() -> anyhow::Result<()> {
    let mut queue = TestQueue::new(Tasks::new().task::<welcome>()).await;
    sign_up(queue.client(), "ada@example.org").await?;
    queue.assert_enqueued::<welcome>(|job| job.user == "ada@example.org").await;
    assert!(queue.run_one().await.is_none(), "a minute has not passed");
    // Nothing sleeps: the test turns the clock.
    queue.advance(Duration::from_secs(60)).await;
    let first = queue.run_one().await.expect("the job is due");
    assert_eq!((first.state, first.error.as_deref()), (JobState::Retry, Some("the mail server is away")));
    queue.advance(Duration::from_secs(20)).await;
    let second = queue.run_one().await.expect("the retry is due");
    assert_eq!(second.state, JobState::Succeeded);
    Ok(())
}

async fn a_worker_that_vanishes_loses_no_mail() -> anyhow::Result<()> {
    let mut queue = TestQueue::new(Tasks::new().task::<welcome>()).await;
    queue.client().enqueue(welcome { user: "ada@example.org".into() }).await?;
    queue.crash_before_run().await.expect("the job is ready");
    // The lost attempt counts, so this is the second one.
    assert_eq!(queue.run_all().await.last().map(|step| step.state), Some(JobState::Succeeded));
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    a_visitor_without_an_address_gets_no_mail().await?;
    a_user_is_welcomed_after_a_minute().await?;
    a_worker_that_vanishes_loses_no_mail().await?;
    println!("3 tests passed");
    Ok(())
}
