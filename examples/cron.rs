//! Work that comes again and again: a cron expression in a time zone, a period, and the beat beside a worker in one process.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use celeriac::{Beat, Client, Overlap, Periodic, State, Tasks, Worker};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Takes longer than the time between two of them.
#[celeriac::task("backup", retries = 0)]
async fn backup(done: State<UnboundedSender<()>>) -> Result<(), String> {
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    done.send(()).map_err(|error| error.to_string())
}

#[celeriac::task("report", retries = 3)]
async fn report(of: String) -> Result<String, String> {
    Ok(format!("a report of {of}"))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    let schedules = [
        // By the clock of Berlin, also when it is put forward or back.
        Periodic::cron("report.daily", "30 7 * * MON-FRI", report { of: "yesterday".into() }).zone("Europe/Berlin"),
        // What is due while the one before still runs is skipped.
        Periodic::every("backup", Duration::from_secs(1), backup {}).overlap(Overlap::Skip),
    ];
    // The owner tells these schedules from those of other applications in the same store.
    let beat = Beat::builder(client.clone()).owner("example").schedules(schedules).build()?;

    let (done, mut backups) = unbounded_channel::<()>();
    let tasks = Tasks::new().task::<backup>().task::<report>().state(done);
    let worker = Worker::builder(client, tasks).build()?;
    let (beat_handle, worker_handle) = (beat.handle(), worker.handle());
    let (beat, worker) = (tokio::spawn(beat.run()), tokio::spawn(worker.run()));

    for number in 1..=3 {
        backups.recv().await;
        println!("backup {number} is done");
    }
    beat_handle.stop();
    worker_handle.stop();
    let (stats, _) = (beat.await??, worker.await??);
    println!("{} were enqueued, {} skipped while one was running", stats.fired, stats.skipped);
    Ok(())
}
