//! Reads a gzip CSV file as a stream and makes jobs of its rows.
//!
//! Only the shape of a row is looked at here; whether its values make sense is checked by the worker, in `tally`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, Terminator, Trim};
use flate2::bufread::MultiGzDecoder;

use crate::input_error::InputError;
use crate::rejected::Rejected;
use crate::tally::{Row, tally};

/// The columns that are used, in the order of [`Fields`].
const COLUMNS: [&str; 9] = ["year", "month", "day", "carrier", "origin", "dest", "dep_time", "dep_delay", "arr_delay"];

/// The longest value that is taken. Together with [`MAX_ROWS`] it keeps a job's arguments below half a MiB.
const MAX_VALUE_BYTES: usize = 20;

/// The most rows of one job. The busiest airline has fewer than 200 flights a day.
const MAX_ROWS: usize = 2000;

type Fields = [String; COLUMNS.len()];

/// A file that looks like what we need.
pub(crate) struct Flights {
    path: PathBuf,
    file: BufReader<File>,
}

/// What was read.
#[derive(Default)]
pub(crate) struct Extracted {
    /// Rows, whether they are good or not.
    pub(crate) rows: u64,
    pub(crate) rejected: Rejected,
}

/// Opens the file and looks whether it is gzip at all.
pub(crate) fn open(path: &Path) -> Result<Flights, InputError> {
    let failed = |error| InputError::new(format!("cannot read {}: {error}", path.display()));
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let start = file.fill_buf().map_err(failed)?;
    if start.is_empty() {
        return Err(InputError::new(format!("{} is empty", path.display())));
    }
    if !start.starts_with(&[0x1f, 0x8b]) {
        return Err(InputError::new(format!("{} is not a gzip file", path.display())));
    }
    Ok(Flights { path: path.to_owned(), file })
}

impl Flights {
    /// Reads to the end and gives the jobs of each day to `sink`.
    ///
    /// A job carries its rows. If it named the file and its slice instead, each of some 460 jobs would decompress the whole file
    /// again, and every worker would need the file; like this a job is about 5 KB of JSON, and at most half of the 1 MiB that a
    /// store takes. A day that turns up again makes another job: tallies add up in any order.
    pub(crate) fn read(self, mut sink: impl FnMut(Vec<tally>)) -> Result<Extracted, InputError> {
        let path = self.path.display().to_string();
        // Lines end with `\n` alone, and a `\r` before it is trimmed: so that the reader's line numbers are those of an editor.
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            .trim(Trim::All)
            .terminator(Terminator::Any(b'\n'))
            .from_reader(MultiGzDecoder::new(self.file));
        let header = reader.byte_headers().map_err(|error| broken(&path, &error))?.clone();
        if header.is_empty() {
            return Err(InputError::new(format!("{path} holds no text")));
        }
        let places = find_columns(&path, &header)?;
        let mut extracted = Extracted::default();
        let mut day = Day::default();
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(|error| broken(&path, &error))? {
            let line = record.position().map_or(0, csv::Position::line);
            extracted.rows += 1;
            if record.iter().any(|value| value.contains(&b'\n')) {
                return Err(InputError::new(format!("{path}, line {line}: a quote is opened and not closed")));
            }
            match fields(&record, header.len(), places) {
                Err(reason) => extracted.rejected.add(line, reason),
                Ok(fields) => {
                    if let Some(jobs) = day.add(line, fields) {
                        sink(jobs);
                    }
                }
            }
        }
        if extracted.rows == 0 {
            return Err(InputError::new(format!("{path} has a header and no flights")));
        }
        sink(day.into_jobs());
        Ok(extracted)
    }
}

/// The rows of one date, by airline.
#[derive(Default)]
struct Day {
    date: String,
    rows: BTreeMap<String, Vec<Row>>,
}

impl Day {
    /// Adds a row, and hands out the jobs of the day before if a new one begins, or one job that has enough.
    fn add(&mut self, line: u64, fields: Fields) -> Option<Vec<tally>> {
        let [year, month, day, carrier, origin, dest, dep_time, dep_delay, arr_delay] = fields;
        let date = format!("{year}-{month}-{day}");
        let row = Row(line, origin, dest, dep_time, dep_delay, arr_delay);
        if self.date != date {
            let before = std::mem::replace(self, Self { date, rows: BTreeMap::from([(carrier, vec![row])]) });
            return Some(before.into_jobs());
        }
        let rows = self.rows.entry(carrier.clone()).or_default();
        rows.push(row);
        if rows.len() < MAX_ROWS {
            return None;
        }
        let rows = std::mem::take(rows);
        Some(vec![tally { date, carrier, rows }])
    }

    fn into_jobs(self) -> Vec<tally> {
        let jobs = self.rows.into_iter().filter(|(_, rows)| !rows.is_empty());
        jobs.map(|(carrier, rows)| tally { date: self.date.clone(), carrier, rows }).collect()
    }
}

fn find_columns(path: &str, header: &ByteRecord) -> Result<[usize; COLUMNS.len()], InputError> {
    let mut places = [0; COLUMNS.len()];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        *place = header
            .iter()
            .position(|name| name == column.as_bytes())
            .ok_or_else(|| InputError::new(format!("{path} has no column {column}")))?;
    }
    Ok(places)
}

/// The values that are used, or what is wrong with the row.
fn fields(record: &ByteRecord, columns: usize, places: [usize; COLUMNS.len()]) -> Result<Fields, String> {
    if record.len() != columns {
        return Err(format!("its number of values is {} and not {columns}", record.len()));
    }
    let mut fields = Fields::default();
    for ((field, place), column) in fields.iter_mut().zip(places).zip(COLUMNS) {
        let value = std::str::from_utf8(&record[place]).unwrap_or_default();
        if value.is_empty() || value.len() > MAX_VALUE_BYTES || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{column} is not 1 to {MAX_VALUE_BYTES} plain characters"));
        }
        value.clone_into(field);
    }
    Ok(fields)
}

fn broken(path: &str, error: &csv::Error) -> InputError {
    InputError::new(format!("{path} breaks off or is damaged: {error}"))
}
