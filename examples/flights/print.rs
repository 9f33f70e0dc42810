//! Writes the report to standard output: as a table for people, as JSON for programs.

use std::io::{Write as _, stdout};

use serde::Serialize;

use crate::join::{Airline, Report};
use crate::tally::Delay;

/// One object of the JSON form.
#[derive(Serialize)]
struct Line<'a> {
    carrier: &'a str,
    name: Option<&'a str>,
    flights: u64,
    cancelled: u64,
    mean_dep_delay: Option<f64>,
    mean_arr_delay: Option<f64>,
    worst_route: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn new(airline: &'a Airline) -> Self {
        Self {
            carrier: &airline.carrier,
            name: airline.name.as_deref(),
            flights: airline.flights,
            cancelled: airline.cancelled,
            mean_dep_delay: hundredths(airline.departure).map(|mean| mean as f64 / 100.0),
            mean_arr_delay: hundredths(airline.arrival).map(|mean| mean as f64 / 100.0),
            worst_route: airline.worst_route.as_deref(),
        }
    }
}

pub(crate) fn json(report: &Report) -> anyhow::Result<()> {
    let lines: Vec<_> = report.airlines.iter().map(Line::new).collect();
    text(&format!("{}\n", serde_json::to_string_pretty(&lines)?))
}

pub(crate) fn table(report: &Report) -> anyhow::Result<()> {
    let names = report.airlines.iter().filter_map(|airline| airline.name.as_deref());
    let width = names.map(|name| name.chars().count()).chain(["airline".len()]).max().unwrap_or(0);
    let mut table = format!(
        "{:8}{:width$}{:>9}{:>11}{:>12}{:>12}  {}\n",
        "carrier", "airline", "flights", "cancelled", "dep. delay", "arr. delay", "worst route"
    );
    for airline in &report.airlines {
        table.push_str(&format!(
            "{:8}{:width$}{:>9}{:>11}{:>12}{:>12}  {}\n",
            airline.carrier,
            airline.name.as_deref().unwrap_or("-"),
            airline.flights,
            airline.cancelled,
            decimal(airline.departure),
            decimal(airline.arrival),
            airline.worst_route.as_deref().unwrap_or("-"),
        ));
    }
    table.push_str("Delays are means in minutes.\n");
    text(&table)
}

/// Writes to standard output. A reader that has seen enough, such as `head`, is no error.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    match stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// The mean in hundredths of a minute, rounded half away from zero; `None` without flights.
fn hundredths(delay: Delay) -> Option<i64> {
    if delay.flights == 0 {
        return None;
    }
    let twice = delay.minutes.abs() * 200 + delay.flights;
    Some(twice / (2 * delay.flights) * delay.minutes.signum())
}

fn decimal(delay: Delay) -> String {
    hundredths(delay).map_or_else(
        || "-".to_owned(),
        |mean| format!("{}{}.{:02}", if mean < 0 { "-" } else { "" }, mean.abs() / 100, mean.abs() % 100),
    )
}
