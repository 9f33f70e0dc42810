//! What was asked for, checked.

use std::time::Duration;

use serde::Serialize;

use super::noop::smallest_payload;
use crate::cli::args::BenchArgs;
use crate::cli::exit::Failure;

/// How many jobs the latency is measured with: enough for a 99.9th percentile, few enough for some seconds.
const LATENCY_JOBS: u64 = 2000;

/// How many jobs run under MONITOR, which slows the server down.
const MONITORED_JOBS: u64 = 20_000;

/// More processes than that measure how the machine starts processes.
const MOST_PROCESSES: usize = 256;

/// What was asked for.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Settings {
    pub(super) jobs: u64,
    pub(super) payload: usize,
    pub(super) concurrency: usize,
    pub(super) processes: Vec<usize>,
    pub(super) runs: usize,
    pub(super) backlog: Option<u64>,
    #[serde(rename = "idle_seconds", serialize_with = "seconds")]
    pub(super) idle: Duration,
    pub(super) with_results: bool,
}

impl Settings {
    pub(super) fn check(args: &BenchArgs) -> Result<Self, Failure> {
        let jobs = args.jobs.get();
        let backlog = args.backlog.map(std::num::NonZeroU64::get);
        let smallest = smallest_payload(jobs.max(backlog.unwrap_or(0)));
        if args.payload < smallest {
            let asked = args.payload;
            return Err(Failure::usage(format!(
                "a payload of {asked} bytes cannot hold the number of each job; the smallest here is --payload {smallest}"
            )));
        }
        if args.payload > celeriac_core::MAX_PAYLOAD_BYTES {
            let largest = celeriac_core::MAX_PAYLOAD_BYTES;
            return Err(Failure::usage(format!("a payload has at most {largest} bytes, not {}", args.payload)));
        }
        let mut processes: Vec<usize> = args.processes.iter().map(|count| count.get()).collect();
        processes.sort_unstable();
        processes.dedup();
        if let Some(many) = processes.last().filter(|many| **many > MOST_PROCESSES) {
            return Err(Failure::usage(format!(
                "at most {MOST_PROCESSES} worker processes can be measured, not {many}"
            )));
        }
        Ok(Self {
            jobs,
            payload: args.payload,
            concurrency: args.concurrency.get(),
            processes,
            runs: args.runs.get(),
            backlog,
            idle: args.idle,
            with_results: args.with_results,
        })
    }

    pub(super) fn latency_jobs(&self) -> u64 {
        self.jobs.min(LATENCY_JOBS)
    }

    pub(super) fn monitored_jobs(&self) -> u64 {
        self.jobs.min(MONITORED_JOBS)
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
