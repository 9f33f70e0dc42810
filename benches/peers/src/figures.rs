//! What is measured: the list of figures, and the values of one run.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

/// A row of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    /// Digits after the point.
    pub(crate) digits: usize,
    /// Whether it says something about the system, so that a ratio means something.
    pub(crate) compared: bool,
}

/// Rows that belong together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) figures: &'static [Figure],
}

const fn figure(key: &'static str, title: &'static str, digits: usize) -> Figure {
    Figure { key, title, digits, compared: true }
}

const fn context(key: &'static str, title: &'static str) -> Figure {
    Figure { key, title, digits: 0, compared: false }
}

/// All tables. A system that a figure does not apply to has no value and no reason for it.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        title: "Throughput, jobs/s (more is better)",
        figures: &[
            figure("enqueue_64", "enqueue one by one, 64 in flight", 0),
            figure("enqueue_64_processes", "the same from several processes", 0),
            figure("enqueue_bulk", "enqueue in bulk", 0),
            figure("drain_1", "drain, 1 worker process", 0),
            figure("drain_many", "drain, several worker processes", 0),
        ],
    },
    Group {
        title: "Cost of a job (less is better)",
        figures: &[
            figure("server_cpu_1", "server CPU, one by one + 1 worker, us", 2),
            figure("server_cpu_many", "server CPU, bulk + several workers, us", 2),
            figure("worker_cpu_1", "worker CPU, 1 worker, us", 2),
            figure("worker_cpu_many", "worker CPU, several workers, us", 2),
            figure("producer_cpu", "producer CPU, one by one, us", 2),
            figure("producer_cpu_bulk", "producer CPU, bulk, us", 2),
            figure("bytes_queued", "memory or file per queued job, bytes", 0),
        ],
    },
    Group {
        title: "Enqueue to start on an idle worker, us (less is better)",
        figures: &[
            figure("latency_p50", "p50", 0),
            figure("latency_p99", "p99", 0),
            context("ping_p50", "a PING meanwhile, p50"),
            context("ping_p99", "a PING meanwhile, p99"),
        ],
    },
    Group {
        title: "Jobs that did not run exactly once (all drains)",
        figures: &[context("lost", "never ran"), context("doubled", "ran more than once")],
    },
];

/// The values of one system in one run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Run {
    pub(crate) values: BTreeMap<&'static str, f64>,
    /// Why a value is missing.
    pub(crate) missing: BTreeMap<&'static str, String>,
    /// What the reader must know about the store.
    pub(crate) notes: Vec<String>,
}

impl Run {
    pub(crate) fn set(&mut self, key: &'static str, value: f64) {
        self.values.insert(key, value);
    }

    pub(crate) fn add(&mut self, key: &'static str, value: f64) {
        *self.values.entry(key).or_default() += value;
    }

    /// Takes what a phase measured; if it failed, all its figures are missing, for that reason.
    pub(crate) fn phase(&mut self, keys: &[&'static str], phase: impl FnOnce(&mut Self) -> Result<()>) {
        if let Err(error) = phase(self) {
            for key in keys.iter().filter(|key| !self.values.contains_key(*key)) {
                self.missing.insert(key, format!("{error:#}"));
            }
        }
    }
}

/// The value below which this share of the sorted values lies.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index"
    )]
    let at = ((sorted.len().checked_sub(1)?) as f64 * share).round() as usize;
    sorted.get(at).copied()
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(*sorted.get(middle - 1)?, upper)) }
}
