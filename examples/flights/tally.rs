//! The task that checks and adds up the flights of one airline on one day.

use std::collections::BTreeMap;

use celeriac::TaskError;
use serde::{Deserialize, Serialize};

use crate::rejected::Rejected;

pub(crate) const QUEUE: &str = "flights";

/// What the source writes where a value is missing.
const MISSING: &str = "NA";

/// Line, origin, destination, departure time, departure delay and arrival delay, as they stand in the file.
///
/// A tuple, because names in each row would double the size of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row(
    pub(crate) u64,
    pub(crate) String,
    pub(crate) String,
    pub(crate) String,
    pub(crate) String,
    pub(crate) String,
);

/// Minutes of delay, added up: whole numbers, so that no order of adding changes the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delay {
    pub(crate) minutes: i64,
    pub(crate) flights: i64,
}

impl Delay {
    pub(crate) fn add(&mut self, other: Self) {
        self.minutes += other.minutes;
        self.flights += other.flights;
    }

    fn add_flight(&mut self, minutes: Option<i32>) {
        if let Some(minutes) = minutes {
            self.add(Self { minutes: minutes.into(), flights: 1 });
        }
    }
}

/// The flights of one airline.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) carrier: String,
    pub(crate) flights: u64,
    pub(crate) cancelled: u64,
    pub(crate) departure: Delay,
    pub(crate) arrival: Delay,
    /// Arrivals by route, as in `EWR-ATL`.
    pub(crate) routes: BTreeMap<String, Delay>,
    pub(crate) rejected: Rejected,
}

impl Tally {
    pub(crate) fn merge(&mut self, other: Self) {
        self.flights += other.flights;
        self.cancelled += other.cancelled;
        self.departure.add(other.departure);
        self.arrival.add(other.arrival);
        for (route, delay) in other.routes {
            self.routes.entry(route).or_default().add(delay);
        }
        self.rejected.merge(other.rejected);
    }

    /// Adds a flight, or nothing at all if one of its values makes no sense.
    fn add(&mut self, row: &Row) -> Result<(), String> {
        let Row(_, origin, dest, dep_time, dep_delay, arr_delay) = row;
        for airport in [origin, dest] {
            check(airport.len() == 3 && airport.bytes().all(|byte| byte.is_ascii_uppercase()), "airport", airport)?;
        }
        let departed = number("dep_time", dep_time)?;
        // 2400 is midnight at the end of the day.
        check(departed.is_none_or(|time| (0..=2400).contains(&time) && time % 100 < 60), "dep_time", dep_time)?;
        let departure = number("dep_delay", dep_delay)?;
        let arrival = number("arr_delay", arr_delay)?;
        self.flights += 1;
        self.cancelled += u64::from(departed.is_none());
        self.departure.add_flight(departure);
        self.arrival.add_flight(arrival);
        self.routes.entry(format!("{origin}-{dest}")).or_default().add_flight(arrival);
        Ok(())
    }
}

/// Adds up the flights of one airline on one day; rows that make no sense are left out and named.
#[celeriac::task("flights.tally", queue = "flights", retries = 3, timeout = "60s")]
pub(crate) async fn tally(date: String, carrier: String, rows: Vec<Row>) -> Result<Tally, TaskError> {
    let airline = is_date(&date)
        .then_some(())
        .ok_or_else(|| format!("{date} is no date"))
        .and_then(|()| check((1..=3).contains(&carrier.len()) && is_word(&carrier), "carrier", &carrier));
    let mut tally = Tally { carrier, ..Tally::default() };
    for row in rows {
        if let Err(reason) = airline.clone().and_then(|()| tally.add(&row)) {
            tally.rejected.add(row.0, reason);
        }
    }
    Ok(tally)
}

fn check(good: bool, what: &str, value: &str) -> Result<(), String> {
    if good { Ok(()) } else { Err(format!("{what} {value:?} makes no sense")) }
}

/// A whole number, or `None` where it is missing.
fn number(column: &str, value: &str) -> Result<Option<i32>, String> {
    if value == MISSING {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| format!("{column} {value:?} is neither a whole number nor {MISSING}"))
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Whether it is a date of the form year-month-day, without the zeros that the source leaves out.
fn is_date(text: &str) -> bool {
    let parts: Vec<u32> = text.split('-').map_while(|part| part.parse().ok()).collect();
    let &[year, month, day] = parts.as_slice() else { return false };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}
