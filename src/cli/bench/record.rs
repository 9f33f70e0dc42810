//! What ran, and when it started: counted by a worker for each job's number, and left in a file for the benchmark to add up.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::cli::process::monotonic_ns;

/// Counts runs while a worker works.
#[derive(Debug)]
pub(super) struct Recorder {
    runs: Vec<AtomicU32>,
    /// Empty unless starts are noted.
    starts: Vec<AtomicU64>,
    total: AtomicU64,
}

impl Recorder {
    pub(super) fn new(jobs: u64, note_starts: bool) -> Self {
        let jobs = usize::try_from(jobs).unwrap_or(usize::MAX);
        let mut starts = Vec::new();
        starts.resize_with(if note_starts { jobs } else { 0 }, AtomicU64::default);
        let mut runs = Vec::new();
        runs.resize_with(jobs, AtomicU32::default);
        Self { runs, starts, total: AtomicU64::new(0) }
    }

    /// Job `n` has started. Numbers that were never enqueued count in the total, where they are missed elsewhere.
    pub(super) fn ran(&self, n: u64) {
        let index = usize::try_from(n).unwrap_or(usize::MAX);
        if let Some(start) = self.starts.get(index) {
            start.store(monotonic_ns(), Ordering::Relaxed);
        }
        if let Some(runs) = self.runs.get(index) {
            runs.fetch_add(1, Ordering::Relaxed);
        }
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let runs = self.runs.iter().flat_map(|runs| runs.load(Ordering::Relaxed).to_le_bytes());
        let starts = self.starts.iter().flat_map(|start| start.load(Ordering::Relaxed).to_le_bytes());
        std::fs::write(path, runs.chain(starts).collect::<Vec<u8>>())
    }
}

/// What all workers of a phase ran.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// Runs of each job.
    pub(super) runs: Vec<u32>,
    /// When each job started last; empty unless that was noted.
    pub(super) starts: Vec<u64>,
}

impl Ran {
    pub(super) fn none_of(jobs: u64) -> Self {
        Self { runs: vec![0; usize::try_from(jobs).unwrap_or(0)], starts: Vec::new() }
    }

    /// Adds what one worker left.
    pub(super) fn add(&mut self, path: &Path) -> io::Result<()> {
        let bytes = std::fs::read(path)?;
        let (runs, starts) = bytes.split_at_checked(self.runs.len() * 4).ok_or(io::ErrorKind::UnexpectedEof)?;
        for (sum, bytes) in self.runs.iter_mut().zip(runs.as_chunks::<4>().0) {
            *sum += u32::from_le_bytes(*bytes);
        }
        self.starts = starts.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runs_of_all_workers_are_added_up() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut ran = Ran::none_of(3);
        for numbers in [[0, 1], [1, 2]] {
            let recorder = Recorder::new(3, true);
            numbers.into_iter().for_each(|n| recorder.ran(n));
            assert_eq!(recorder.total(), 2);
            recorder.write(file.path()).unwrap();
            ran.add(file.path()).unwrap();
        }
        assert_eq!(ran.runs, [1, 2, 1]);
        assert!(ran.starts[0] == 0 && ran.starts[1] > 0);
    }

    #[test]
    fn a_file_that_is_cut_off_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Ran::none_of(1).add(file.path()).is_err());
    }
}
