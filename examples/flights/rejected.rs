//! Rows that were left out: how many, and the first of them with line and reason.

use serde::{Deserialize, Serialize};

/// How many rows are kept with their reason. A file of another kind would otherwise fill results with a line for each of its rows.
const KEPT: usize = 20;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Rejected {
    pub(crate) count: u64,
    first: Vec<(u64, String)>,
}

impl Rejected {
    pub(crate) fn add(&mut self, line: u64, reason: impl Into<String>) {
        self.merge(Self { count: 1, first: vec![(line, reason.into())] });
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first.extend(other.first);
        self.first.sort();
        self.first.truncate(KEPT);
    }

    /// The first row in one sentence.
    pub(crate) fn example(&self) -> String {
        self.first.first().map_or_else(String::new, |(line, reason)| format!("line {line}: {reason}"))
    }

    /// Tells the person at the terminal.
    pub(crate) fn tell(&self) {
        for (line, reason) in &self.first {
            eprintln!("line {line}: {reason}; row skipped");
        }
        let more = self.count - self.first.len() as u64;
        if more > 0 {
            eprintln!("and {more} more rows skipped");
        }
    }
}
