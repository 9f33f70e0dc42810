//! What a job tells while it runs: how far it is, and lines of a log, for whoever asks.
//!
//! Run it with `cargo run --example progress`; the URL of a store may follow after `--`. From outside `celeriac job get ID` shows the same.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use celeriac::{Client, Context, ResultError, Tasks, Worker};

/// Telling never waits and costs next to nothing. What was told within a quarter of a second goes to the store together.
#[celeriac::task("import")]
async fn import(files: Vec<String>, context: Context) -> Result<usize, String> {
    for (done, file) in (0..).zip(&files) {
        context.progress(done, files.len() as u64, file);
        context.log(format!("reading {file}"));
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    context.progress(files.len() as u64, files.len() as u64, "");
    Ok(files.len())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    let worker = Worker::builder(&client, Tasks::new().task::<import>()).burst(true).build()?;
    let files = ["stars.csv", "planets.csv", "moons.csv"].map(str::to_owned).to_vec();
    let job = client.enqueue(import { files }).await?;
    let worker = tokio::spawn(worker.run());

    let mut shown = 0;
    let imported = loop {
        // Wait for the result, and look around now and then.
        let answer = job.result_within(Duration::from_millis(100)).await;
        let notes = job.notes().await?;
        let percent = notes.progress.and_then(|progress| progress.percent()).unwrap_or(0);
        for line in &notes.lines[shown..] {
            println!("{percent:>3} % {}", line.text);
        }
        shown = notes.lines.len();
        match answer {
            Err(ResultError::NotYet { .. }) => {}
            ended => break ended?,
        }
    };
    println!("{imported} files imported");
    worker.await??;
    Ok(())
}
