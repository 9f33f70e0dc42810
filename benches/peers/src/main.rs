//! The same workload on celeriac and on other task queues for Rust, so that anyone can repeat the comparison.
//!
//! The program starts itself again for each measured part: [`role`] is the child's side, [`child`] the parent's. [`systems`] has
//! one file for each queue. benches/README.md describes the method.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program with results to print")]

mod child;
mod clock;
mod figures;
mod job;
mod measure;
mod produce;
mod report;
mod role;
mod server;
mod spec;
mod systems;
mod tally;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum as _};
use serde_json::json;

use crate::measure::{Workload, measure};
use crate::report::Runs;
use crate::server::Server;
use crate::systems::{System, Tuning};

/// Compares celeriac with other task queues for Rust.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Jobs in each measurement on Redis.
    #[arg(long, default_value_t = 50_000)]
    jobs: u64,
    /// Jobs in each measurement on SQLite.
    #[arg(long, default_value_t = 20_000)]
    sqlite_jobs: u64,
    /// Bytes of JSON of each job's arguments.
    #[arg(long, default_value_t = 128)]
    payload: usize,
    /// How often everything is measured; the systems take turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Processes where several are measured.
    #[arg(long, default_value_t = 4)]
    processes: usize,
    /// Which systems; all unless named.
    #[arg(long, value_delimiter = ',')]
    systems: Vec<System>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tuning: TuningArguments,
    /// What a child process is to do.
    #[arg(long, hide = true)]
    role: Option<String>,
}

/// Replaces what was found to be fastest, for all named systems: to look for something better.
#[derive(Debug, clap::Args)]
struct TuningArguments {
    /// Threads of a worker's runtime; 0 is a current-thread runtime.
    #[arg(long)]
    threads: Option<usize>,
    /// Jobs at once in a worker.
    #[arg(long)]
    concurrency: Option<usize>,
    /// Jobs fetched at once.
    #[arg(long)]
    batch: Option<usize>,
    /// Jobs in a bulk call.
    #[arg(long)]
    chunk: Option<usize>,
    /// Bulk calls at once.
    #[arg(long)]
    lanes: Option<usize>,
    /// Milliseconds between polls.
    #[arg(long)]
    poll: Option<u64>,
}

impl TuningArguments {
    fn over(&self, tuning: Tuning) -> Tuning {
        Tuning {
            threads: self.threads.unwrap_or(tuning.threads),
            concurrency: self.concurrency.unwrap_or(tuning.concurrency),
            batch: self.batch.unwrap_or(tuning.batch),
            chunk: self.chunk.unwrap_or(tuning.chunk),
            lanes: self.lanes.unwrap_or(tuning.lanes),
            poll: self.poll.unwrap_or(tuning.poll),
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(spec) = &arguments.role {
        return role::play(spec);
    }
    ensure!(arguments.jobs > 1 && arguments.runs > 0 && arguments.processes > 0, "nothing to measure");
    ensure!(arguments.sqlite_jobs >= u64::try_from(arguments.processes)?, "fewer jobs than processes");
    job::check_payload(arguments.jobs.max(arguments.sqlite_jobs), arguments.payload)?;
    let mut systems = arguments.systems.clone();
    if systems.is_empty() {
        systems = System::value_variants().to_vec();
    }
    let mut runs = Runs::new();
    for run in 1..=arguments.runs {
        for system in &systems {
            eprintln!("run {run} of {}: {}", arguments.runs, system.name());
            let jobs = if system.uses_redis() { arguments.jobs } else { arguments.sqlite_jobs };
            let workload = Workload { jobs, payload: arguments.payload, processes: arguments.processes };
            runs.entry(*system).or_default().push(measure(*system, arguments.tuning.over(system.tuning()), &workload)?);
        }
    }
    print(&arguments, &systems, &runs)
}

fn print(arguments: &Arguments, systems: &[System], runs: &Runs) -> Result<()> {
    let server = systems.iter().any(|system| system.uses_redis()).then(|| Server::start()?.version()).transpose()?;
    let tunings: Vec<_> =
        systems.iter().map(|system| json!([system.name(), arguments.tuning.over(system.tuning())])).collect();
    let settings = json!({
        "jobs": arguments.jobs,
        "sqlite_jobs": arguments.sqlite_jobs,
        "payload": arguments.payload,
        "runs": arguments.runs,
        "processes": arguments.processes,
        "redis_server": server,
        "tuning": tunings,
    });
    if arguments.json {
        println!("{:#}", report::json(runs, &settings));
    } else {
        println!("Median (least to most) of {} runs. {settings}\n\n{}", arguments.runs, report::tables(runs));
    }
    Ok(())
}
