//! What people read: tables, fields, times and ages. Results go to standard output, everything else to standard error.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use celeriac_core::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::exit::{Exit, Failure};

/// Writes to standard output. A reader that has gone, as in `… | head -1`, has all it wanted.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failed, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes one JSON value as one line to standard output.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string(value)
        .map_err(|error| Failure::new(Exit::Failed, format!("the answer cannot be written as JSON: {error}")))?;
    text.push('\n');
    print(&text)
}

/// Says something beside the result, on a terminal as a rule: it may repeat an error of a job, or a path, so it is made printable.
/// Nobody may be listening, and that is no reason to fail.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(text));
}

/// Rows in aligned columns under a line of headings.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// Text from a job as it may stand on a terminal: control characters would let it write over what else is there.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// The first line of a text, at most `limit` characters of it.
pub(crate) fn brief(text: &str, limit: usize) -> String {
    let printable = printable(text);
    let line = printable.lines().next().unwrap_or_default();
    if line.chars().count() <= limit && line.len() == printable.trim_end().len() {
        return line.to_owned();
    }
    let kept: String = line.chars().take(limit.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// How long ago something was, in one unit: `4s`, `3m`, `2h`, `5d`.
pub(crate) fn age(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// An instant by the zone of this machine, and how far it is from `now`.
pub(crate) fn when(instant: Timestamp, now: Timestamp) -> String {
    when_in(instant, now, TimeZone::try_system().unwrap_or(TimeZone::UTC))
}

/// The same by a zone of its own.
pub(crate) fn when_in(instant: Timestamp, now: Timestamp, zone: TimeZone) -> String {
    let distance = if instant > now {
        format!("in {}", age(instant.since(now)))
    } else {
        format!("{} ago", age(now.since(instant)))
    };
    format!("{} ({distance})", local(instant, zone))
}

fn local(instant: Timestamp, zone: TimeZone) -> String {
    let known = i64::try_from(instant.as_millis()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    match known {
        Some(instant) => instant.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        None => instant.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["ID", "TASK"]);
        table.row(vec!["long-id".into(), "a".into()]);
        assert_eq!(table.render(), "ID       TASK\nlong-id  a\n");
    }

    #[test]
    fn ages_have_one_unit() {
        let ages = [0, 59, 60, 3_599, 3_600, 172_799, 172_800].map(|s| age(Duration::from_secs(s)));
        assert_eq!(ages, ["0s", "59s", "1m", "59m", "1h", "47h", "2d"]);
    }

    #[test]
    fn times_carry_their_zone() {
        let instant = Timestamp::from_millis(1_357_034_400_250);
        assert_eq!(local(instant, TimeZone::UTC), "2013-01-01 10:00:00 UTC");
        assert!(local(Timestamp::MAX, TimeZone::UTC).ends_with("ms"));
    }

    #[test]
    fn a_job_cannot_write_over_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a [2Jb\nc");
    }

    #[test]
    fn a_brief_text_says_that_it_was_cut() {
        assert_eq!(brief("one\ntwo", 60), "one…");
        assert_eq!(brief("abcdef", 4), "abc…");
        assert_eq!(brief("abcd\n", 4), "abcd");
    }
}
