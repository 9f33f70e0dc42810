//! The last task: puts the tallies of all jobs together.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::path::Path;

use celeriac::Context;
use serde::{Deserialize, Serialize};

use crate::input_error::InputError;
use crate::rejected::Rejected;
use crate::tally::{Delay, Tally};

/// Routes with fewer arrivals say little about an airline.
const MIN_ARRIVALS: i64 = 10;

/// Everything that is printed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// By carrier.
    pub(crate) airlines: Vec<Airline>,
    pub(crate) rejected: Rejected,
}

/// One line of the report. Delays stay sums until they are printed: a mean that travels as a decimal number is rounded twice.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Airline {
    pub(crate) carrier: String,
    pub(crate) name: Option<String>,
    pub(crate) flights: u64,
    pub(crate) cancelled: u64,
    pub(crate) departure: Delay,
    pub(crate) arrival: Delay,
    pub(crate) worst_route: Option<String>,
}

/// How many tallies are read at once.
const PAGE: usize = 200;

/// Reads what the jobs before it have answered, page by page, and makes the report.
///
/// The tallies could be its argument too. But those of a busy month are about as much as an argument may be.
#[celeriac::task("flights.join", queue = "flights", retries = 3, timeout = "10m")]
pub(crate) async fn join(airlines: BTreeMap<String, String>, context: Context) -> anyhow::Result<Report> {
    let mut tallies = BTreeMap::<String, Tally>::new();
    let mut inputs = context.inputs().await?;
    while let Some(page) = inputs.next_page::<Tally>(PAGE).await? {
        for part in page {
            tallies.entry(part.carrier.clone()).or_default().merge(part);
        }
    }
    let mut report = Report { airlines: Vec::new(), rejected: Rejected::default() };
    for (carrier, tally) in tallies {
        report.rejected.merge(tally.rejected);
        if tally.flights > 0 {
            report.airlines.push(Airline {
                name: airlines.get(&carrier).cloned(),
                carrier,
                flights: tally.flights,
                cancelled: tally.cancelled,
                departure: tally.departure,
                arrival: tally.arrival,
                worst_route: worst(tally.routes),
            });
        }
    }
    Ok(report)
}

/// The route with the highest mean delay on arrival; of equal ones the first by name.
fn worst(routes: BTreeMap<String, Delay>) -> Option<String> {
    let busy = routes.into_iter().filter(|(_, delay)| delay.flights >= MIN_ARRIVALS);
    busy.max_by_key(|(name, delay)| (Mean(*delay), Reverse(name.clone()))).map(|(name, _)| name)
}

/// Orders delays by their exact means, without dividing.
#[derive(PartialEq, Eq)]
struct Mean(Delay);

impl Ord for Mean {
    fn cmp(&self, other: &Self) -> Ordering {
        let cross = |minutes: i64, flights: i64| i128::from(minutes) * i128::from(flights);
        cross(self.0.minutes, other.0.flights).cmp(&cross(other.0.minutes, self.0.flights))
    }
}

impl PartialOrd for Mean {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Reads the names of the airlines.
pub(crate) fn read_airlines(path: &Path) -> Result<BTreeMap<String, String>, InputError> {
    let failed = |error| InputError::new(format!("cannot read {}: {error}", path.display()));
    let mut reader = csv::Reader::from_path(path).map_err(failed)?;
    reader.deserialize().collect::<Result<_, _>>().map_err(failed)
}
