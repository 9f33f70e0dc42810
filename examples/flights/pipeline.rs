//! From the open file to the report: enqueue a job for each day and airline, wait for all, enqueue the one that joins them.

use std::collections::BTreeMap;

use anyhow::ensure;
use celeriac::Client;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use crate::extract::Flights;
use crate::input_error::InputError;
use crate::join::{Report, join};

/// How many days the reader may be ahead of the store.
const DAYS_AHEAD: usize = 4;

pub(crate) async fn run(
    client: &Client,
    flights: Flights,
    airlines: BTreeMap<String, String>,
) -> anyhow::Result<Report> {
    let progress = progress_bar()?;
    let (sender, mut days) = mpsc::channel(DAYS_AHEAD);
    let reader = tokio::task::spawn_blocking(move || flights.read(|day| sender.blocking_send(day).is_ok()));
    let mut parts = Vec::new();
    while let Some(day) = days.recv().await {
        progress.inc_length(day.len() as u64);
        parts.extend(client.enqueue_many(day).await?);
    }
    // Also when the file turned out to be damaged half-way: what was enqueued runs to its end, so that no job is left behind.
    for part in &parts {
        part.result().await?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    let extracted = reader.await??;
    let ids = parts.iter().map(|part| part.id().clone()).collect();
    let mut report = client.enqueue(join { parts: ids, airlines }).await?.result().await?;
    report.rejected.merge(extracted.rejected);
    let flights: u64 = report.airlines.iter().map(|airline| airline.flights).sum();
    ensure!(
        flights + report.rejected.count == extracted.rows,
        "{} rows were read, but {flights} counted and {} skipped",
        extracted.rows,
        report.rejected.count
    );
    if flights == 0 {
        return Err(InputError::new(format!("no row is a flight; {}", report.rejected.example())).into());
    }
    Ok(report)
}

/// A bar on standard error; it draws nothing when that is no terminal.
fn progress_bar() -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} jobs, {elapsed}")?;
    Ok(ProgressBar::new(0).with_style(style))
}
