//! The job that is measured: a number, filled up to the size that was asked for, and a task that does nothing but count.

use std::time::Duration;

use celeriac_core::{Task, TaskOptions};
use serde::{Deserialize, Serialize};

/// `{"n":` and `,"pad":""}`: what the arguments hold beside the digits and the filling.
const FRAME: usize = r#"{"n":,"pad":""}"#.len();

/// The arguments. `KEEP` says whether the worker keeps results: it is a property of the task, so that the stored jobs are
/// the same in both cases and carry no options.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Noop<const KEEP: bool> {
    pub(super) n: u64,
    pad: String,
}

impl<const KEEP: bool> Task for Noop<KEEP> {
    const NAME: &'static str = "noop";
    type Output = u64;

    fn options() -> TaskOptions {
        if KEEP { TaskOptions::new() } else { TaskOptions::new().result_ttl(Duration::ZERO) }
    }
}

impl<const KEEP: bool> Noop<KEEP> {
    /// Job `n`, whose arguments are `payload` bytes of JSON.
    pub(super) fn new(n: u64, payload: usize) -> Self {
        Self { n, pad: "x".repeat(payload.saturating_sub(FRAME + digits(n))) }
    }
}

/// The fewest bytes that hold the number of each of `jobs` jobs.
pub(super) fn smallest_payload(jobs: u64) -> usize {
    FRAME + digits(jobs.saturating_sub(1))
}

fn digits(n: u64) -> usize {
    n.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(n: u64, payload: usize) -> String {
        serde_json::to_string(&Noop::<false>::new(n, payload)).unwrap()
    }

    #[test]
    fn arguments_have_exactly_the_size_that_was_asked_for() {
        assert_eq!(json(123, 23), r#"{"n":123,"pad":"xxxxx"}"#);
        for n in [0, 9, 10, 99_999, 100_000] {
            assert_eq!(json(n, 128).len(), 128, "{n}");
        }
    }

    #[test]
    fn the_smallest_payload_holds_every_number() {
        assert_eq!(smallest_payload(1), 16);
        assert_eq!(smallest_payload(10), 16);
        assert_eq!(smallest_payload(11), 17);
        assert_eq!(json(99_999, smallest_payload(100_000)).len(), smallest_payload(100_000));
    }

    #[test]
    fn only_jobs_whose_results_are_kept_keep_them() {
        assert_eq!(Noop::<false>::options().result_ttl, Duration::ZERO);
        assert_eq!(Noop::<true>::options(), TaskOptions::default());
    }
}
