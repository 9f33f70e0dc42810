//! A month of real flights, from a compressed CSV file to one line for each airline.
//!
//! `cargo run --release --example flights -- [MONTH.csv.gz] [--broker URL] [--json]`
//!
//! The way of a row: `extract` reads the file as a stream and makes one job for each day and airline, `pipeline` makes a workflow of them, `tally`
//! checks and adds up the rows of one job in the worker, `join` is the job behind all of them, which puts their tallies together, `print` shows the
//! result.
//! Client and worker share this process; with a Redis URL other processes of this example would help with the jobs.

mod arguments;
mod extract;
mod input_error;
mod join;
mod pipeline;
mod print;
mod rejected;
mod tally;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use celeriac::broker::BrokerError;
use celeriac::{Client, Tasks, Worker};

use crate::arguments::{Arguments, Wish};
use crate::input_error::InputError;
use crate::join::Report;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flights: {}", sentence(&error));
            ExitCode::from(exit_code(&error))
        }
    }
}

/// The error and its causes, without those that it has told already.
fn sentence(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told.push_str(&format!(": {cause}"));
        }
    }
    told
}

/// 2 for what the caller can mend in arguments and input, 3 for a store that is away, 1 for the rest.
fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<InputError>() {
        return 2;
    }
    match error.chain().find_map(|cause| cause.downcast_ref::<BrokerError>()) {
        Some(BrokerError::Invalid(_)) => 2,
        Some(_) => 3,
        None => 1,
    }
}

async fn run() -> anyhow::Result<()> {
    let arguments = match arguments::parse(std::env::args_os().skip(1))? {
        Wish::Help => return print::text(arguments::HELP),
        Wish::Run(arguments) => arguments,
    };
    // The file is looked at before anything is stored, so that a wrong path costs nothing.
    let flights = extract::open(&arguments.month)?;
    let airlines = join::read_airlines(&arguments.airlines)?;
    // A queue that is gone when the program ends: a first look needs no server and leaves nothing behind.
    let directory = tempfile::Builder::new().prefix("celeriac-flights-").tempdir().context("no temporary directory")?;
    let url = arguments.broker.clone().unwrap_or_else(|| embedded_store(directory.path()));
    let client = Client::connect(&url).await?;
    eprintln!("reading {} with the jobs in {}", arguments.month.display(), client.broker().describe());
    let report = work(&client, pipeline::run(&client, flights, airlines)).await?;
    show(&arguments, &report)
}

fn embedded_store(directory: &Path) -> String {
    format!("sqlite:{}", directory.join("queue.db").display())
}

/// Runs a worker for as long as the pipeline needs one.
async fn work(client: &Client, pipeline: impl Future<Output = anyhow::Result<Report>>) -> anyhow::Result<Report> {
    let tasks = Tasks::new().task::<tally::tally>().task::<join::join>();
    let worker = Worker::builder(client, tasks).name("flights").queues([tally::QUEUE]).build()?;
    let handle = worker.handle();
    let mut worker = std::pin::pin!(worker.run());
    let report = tokio::select! {
        report = pipeline => report,
        // Without a worker the pipeline would wait for ever.
        ended = &mut worker => ended.map_err(anyhow::Error::from).and_then(|_| anyhow::bail!("the worker ended early")),
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    handle.stop();
    worker.await?;
    report
}

fn show(arguments: &Arguments, report: &Report) -> anyhow::Result<()> {
    report.rejected.tell();
    if arguments.json { print::json(report) } else { print::table(report) }
}
