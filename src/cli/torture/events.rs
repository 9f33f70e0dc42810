//! What happened, as the processes of a torture wrote it down: a line of JSON for each event, appended in one write.
//!
//! Producers write what they asked for and what they were told; the driver writes the faults. Handlers write the *ledger*,
//! a file of its own: what really ran, told by nobody that is under test. Instants are nanoseconds of the machine's
//! monotonic clock, the same in every process.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::Mutex;

use celeriac_core::State;
use serde::{Deserialize, Serialize};

use super::jobs::Act;
use crate::cli::process::monotonic_ns;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    /// When.
    pub(super) at: u64,
    /// The life of a process that wrote it.
    pub(super) by: String,
    /// The job it is about.
    pub(super) job: String,
    #[serde(flatten)]
    pub(super) event: Event,
}

/// What happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// A producer is about to enqueue it.
    Asked {
        queue: String,
        /// How long it must wait, in milliseconds.
        delay: u64,
        /// Whether it may expire.
        expires: bool,
        unique: Option<String>,
        act: Act,
    },
    /// The store has accepted it.
    Accepted,
    /// The store said for sure that it did not take it.
    Refused,
    /// Nobody knows whether the store took it.
    InDoubt,
    /// A producer is about to revoke it.
    Revoking,
    /// It was revoked, and this was the answer.
    Revoked { answer: Revoked },
    /// A waiting caller was told its end.
    Told { state: State, attempt: u32 },
    /// Ledger: the handler began.
    Began { attempt: u32, fence: u64 },
    /// Ledger: the handler is about to answer success.
    Ended { attempt: u32, fence: u64 },
    /// Ledger: the handler is about to fail.
    Failed { attempt: u32, fence: u64 },
}

/// What the store answered to a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Revoked {
    /// It waited, and has ended.
    Ended,
    /// It ran, and its worker is told.
    Told,
    /// It had ended, or was never there.
    TooLate,
    /// The store did not answer.
    InDoubt,
}

/// A file that many processes append to.
#[derive(Debug)]
pub(super) struct Pen {
    file: Mutex<File>,
    by: String,
}

impl Pen {
    /// Opens a file to append to, and makes it if it is not there.
    pub(super) fn open(path: &Path, by: &str) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: Mutex::new(file), by: by.to_owned() })
    }

    /// Writes a line, whole or not at all: a process that is killed leaves no half of one.
    pub(super) fn write(&self, job: &str, event: Event) -> io::Result<()> {
        self.write_at(monotonic_ns(), job, event)
    }

    /// Writes a line about another instant.
    pub(super) fn write_at(&self, at: u64, job: &str, event: Event) -> io::Result<()> {
        let line = Line { at, by: self.by.clone(), job: job.to_owned(), event };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(&text)
    }
}

/// Reads every line; none if there is no file.
pub(super) fn read(path: &Path) -> io::Result<Vec<Line>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let lines = BufReader::new(file).lines();
    lines.map(|line| serde_json::from_str(&line?).map_err(io::Error::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        assert_eq!(read(&path).unwrap(), []);
        let events = [
            Event::Accepted,
            Event::Began { attempt: 1, fence: 7 },
            Event::Told { state: State::Succeeded, attempt: 2 },
        ];
        for (place, event) in events.iter().enumerate() {
            Pen::open(&path, &format!("p{place}")).unwrap().write("job", event.clone()).unwrap();
        }
        let lines = read(&path).unwrap();
        assert_eq!(lines.iter().map(|line| line.event.clone()).collect::<Vec<_>>(), events);
        assert_eq!(lines[2].by, "p2");
        assert!(lines[0].at <= lines[1].at);
    }
}
