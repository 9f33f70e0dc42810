//! The command line of the example, and where its data is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::input_error::InputError;

pub(crate) const HELP: &str = "\
usage: flights [MONTH.csv.gz] [--broker URL] [--json]

MONTH.csv.gz   flights in the columns of nycflights13; the month in examples/data unless given
--broker URL   sqlite:PATH or redis://HOST:PORT; a temporary SQLite file unless given
--json         print a JSON array instead of a table
";

/// What the caller wants.
pub(crate) enum Wish {
    Help,
    Run(Arguments),
}

pub(crate) struct Arguments {
    pub(crate) month: PathBuf,
    pub(crate) airlines: PathBuf,
    pub(crate) broker: Option<String>,
    pub(crate) json: bool,
}

pub(crate) fn parse(given: impl Iterator<Item = OsString>) -> Result<Wish, InputError> {
    let (mut month, mut broker, mut json) = (None, None, false);
    let mut given = given;
    while let Some(argument) = given.next() {
        match argument.to_str() {
            Some("-h" | "--help") => return Ok(Wish::Help),
            Some("--json") => json = true,
            Some("--broker") => broker = Some(url(given.next())?),
            Some(text) if text.starts_with("--broker=") => broker = Some(text["--broker=".len()..].to_owned()),
            Some(text) if text.starts_with('-') => {
                return Err(InputError::new(format!("unknown option {text}\n{HELP}")));
            }
            _ if month.is_some() => return Err(InputError::new(format!("one file at a time, please\n{HELP}"))),
            _ => month = Some(PathBuf::from(argument)),
        }
    }
    let month = month.unwrap_or_else(|| data("flights-2013-01.csv.gz"));
    let airlines = beside(&month).unwrap_or_else(|| data("airlines.csv"));
    Ok(Wish::Run(Arguments { month, airlines, broker, json }))
}

fn url(argument: Option<OsString>) -> Result<String, InputError> {
    argument
        .and_then(|url| url.into_string().ok())
        .ok_or_else(|| InputError::new("--broker needs a URL, as in --broker redis://127.0.0.1:6379"))
}

/// The names of the airlines that belong to the month's file, if there are any.
fn beside(month: &Path) -> Option<PathBuf> {
    let airlines = month.with_file_name("airlines.csv");
    airlines.is_file().then_some(airlines)
}

/// A file of examples/data: in the source tree this was built from, or in the working directory if that tree has moved.
fn data(name: &str) -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data").join(name);
    if built.is_file() { built } else { Path::new("examples/data").join(name) }
}
