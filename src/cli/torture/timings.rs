//! How long it took to recover, and how many jobs ran again: figures, not promises.

use std::collections::BTreeMap;

use super::evidence::{Evidence, Fault, Run};

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Timings {
    /// Jobs whose handler came to a success more than once.
    pub(super) twice: usize,
    /// Runs that were begun and broken off, and begun again.
    pub(super) again: usize,
    /// Jobs that ran.
    pub(super) ran: usize,
    /// Runs of handlers.
    pub(super) runs: usize,
    /// For each kind of fault how long each interrupted job waited for its next run, in nanoseconds, in order.
    pub(super) recovery: BTreeMap<&'static str, Vec<u64>>,
}

/// Counts.
pub(super) fn measure(evidence: &Evidence) -> Timings {
    let mut timings = Timings::default();
    for story in evidence.stories().values().filter(|story| !story.runs.is_empty()) {
        timings.ran += 1;
        timings.runs += story.runs.len();
        let successes = story.runs.iter().filter(|run| matches!(run.answered, Some((_, true)))).count();
        timings.twice += usize::from(successes > 1);
        for pair in story.runs.windows(2) {
            timings.again += usize::from(pair[0].answered.is_none());
            interruption(&mut timings, evidence, &pair[0], &pair[1]);
        }
    }
    for (kind, waits) in store_recoveries(evidence) {
        timings.recovery.entry(kind).or_default().extend(waits);
    }
    timings.recovery.values_mut().for_each(|waits| waits.sort_unstable());
    timings
}

/// From the fault that broke a run off to the next run.
fn interruption(timings: &mut Timings, evidence: &Evidence, run: &Run, next: &Run) {
    if run.answered.is_some() {
        return;
    }
    let broke = |fault: &&Fault| {
        fault.target.as_deref() == Some(&run.worker) && fault.from >= run.began && fault.from <= next.began
    };
    if let Some(fault) = evidence.faults.iter().find(broke) {
        timings.recovery.entry(fault.kind).or_default().push(next.began - fault.from);
    }
}

/// From the beginning of a fault of the server until the first handler began after it had come back.
fn store_recoveries(evidence: &Evidence) -> BTreeMap<&'static str, Vec<u64>> {
    let mut began: Vec<u64> = evidence.ledger.iter().map(|line| line.at).collect();
    began.sort_unstable();
    let mut recoveries: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    for fault in evidence.faults.iter().filter(|fault| matches!(fault.kind, "restart" | "freeze")) {
        let place = began.partition_point(|at| *at < fault.healed);
        if let Some(first) = began.get(place) {
            recoveries.entry(fault.kind).or_default().push(first - fault.healed);
        }
    }
    recoveries
}

/// The value below which a part of sorted values lies; 0 of none.
pub(super) fn quantile(sorted: &[u64], part: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a slice")]
    let place = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
    sorted.get(place).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values = [1, 2, 3, 4, 100];
        assert_eq!([0.0, 0.5, 1.0].map(|part| quantile(&values, part)), [1, 3, 100]);
        assert_eq!(quantile(&[], 0.5), 0);
    }
}
