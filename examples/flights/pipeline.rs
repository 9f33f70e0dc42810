//! From the open file to the report: a workflow with a job for each day and airline, and one behind them that joins what they answer.

use std::collections::BTreeMap;

use anyhow::ensure;
use celeriac::canvas::{group, step};
use celeriac::{Client, RunError};

use crate::extract::{Extracted, Flights};
use crate::input_error::InputError;
use crate::join::{Report, join};
use crate::tally::tally;

pub(crate) async fn run(
    client: &Client,
    flights: Flights,
    airlines: BTreeMap<String, String>,
) -> anyhow::Result<Report> {
    let (tallies, extracted) = tokio::task::spawn_blocking(move || read(flights)).await??;
    // Nothing is stored if the file is damaged somewhere: the workflow begins as a whole, or not at all.
    let workflow = group(tallies.into_iter().map(step)).before(step(join { airlines }));
    let workflow = client.run(workflow).await.map_err(|error| match error {
        RunError::Spec(error) => InputError::new(format!("the file is more than one month: {error}")).into(),
        error => anyhow::Error::from(error),
    })?;
    let mut report = workflow.result().await?;
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

/// All jobs of the file.
fn read(flights: Flights) -> Result<(Vec<tally>, Extracted), InputError> {
    let mut tallies = Vec::new();
    let extracted = flights.read(|day| tallies.extend(day))?;
    Ok((tallies, extracted))
}
