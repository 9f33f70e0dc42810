//! The workers of one phase: started together, watched until all jobs have run, stopped, and checked.

use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::Instant;

use super::check::once_each;
use super::place::Place;
use super::protocol::{Report, Role, Work};
use super::record::Ran;
use super::spawned::Spawned;
use crate::cli::exit::{Exit, Failure};

/// How often the workers' progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long nothing may run before the store is asked whether anything is left.
const STALL: Duration = Duration::from_secs(2);

/// How long nothing may run before the phase is given up; longer than jobs of a worker that died take to run elsewhere.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long a worker has to register before it counts as waiting for work.
const REGISTRATION: Duration = Duration::from_secs(30);

/// How a phase's workers differ from those of others.
#[derive(Debug, Clone, Default)]
pub(super) struct CrewOptions {
    pub(super) results: bool,
    pub(super) starts: bool,
    pub(super) concurrency: usize,
    pub(super) queues: Vec<String>,
    /// Whether the store may be asked how much is left; not while its commands are counted.
    pub(super) unobserved: bool,
}

pub(super) struct Crew<'p> {
    place: &'p Place,
    workers: Vec<Spawned>,
    jobs: u64,
    unobserved: bool,
}

/// What a crew did.
pub(super) struct Done {
    pub(super) reports: Vec<Report>,
    pub(super) ran: Ran,
}

impl<'p> Crew<'p> {
    /// Starts workers, which wait for the word.
    pub(super) async fn start(
        place: &'p Place,
        size: usize,
        jobs: u64,
        options: &CrewOptions,
    ) -> Result<Self, Failure> {
        let mut workers = Vec::new();
        for index in 0..size {
            let role = Role::Work(Work {
                concurrency: options.concurrency,
                results: options.results,
                queues: options.queues.clone(),
                record: record(place, index),
                starts: options.starts,
            });
            workers.push(Spawned::start(place, role, jobs, 0).await?);
        }
        Ok(Self { place, workers, jobs, unobserved: options.unobserved })
    }

    pub(super) async fn go(&mut self) -> Result<(), Failure> {
        for worker in &mut self.workers {
            worker.go().await?;
        }
        Ok(())
    }

    /// Waits until every worker is registered and has had the time to find its queues empty.
    pub(super) async fn wait_idle(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + REGISTRATION;
        while self.place.store.ask(self.place.broker().workers()).await?.len() < self.workers.len() {
            self.must_run()?;
            if Instant::now() > deadline {
                return Err(Failure::new(Exit::Failed, "the workers of the benchmark did not register"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    }

    /// Waits until every job has run and the store has nothing left, or nothing more will come.
    pub(super) async fn until_all_ran(&mut self, bar: &ProgressBar) -> Result<(), Failure> {
        let (mut moved, mut last) = (Instant::now(), 0);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.must_run()?;
            let ran = self.workers.iter().map(Spawned::done).sum();
            bar.set_position(ran);
            if ran != last {
                (moved, last) = (Instant::now(), ran);
            }
            let stalled = moved.elapsed() > STALL;
            if (ran >= self.jobs && self.unobserved) || ((ran >= self.jobs || stalled) && self.is_empty().await?) {
                return Ok(());
            }
            if moved.elapsed() > PATIENCE {
                let text = format!("no job has run for {} s; {ran} of {} have", PATIENCE.as_secs(), self.jobs);
                return Err(Failure::new(Exit::Failed, text));
            }
        }
    }

    /// Stops the workers.
    pub(super) async fn stop(mut self) -> Result<Done, Failure> {
        for worker in &mut self.workers {
            worker.stop().await?;
        }
        let mut done = Done { reports: Vec::new(), ran: Ran::none_of(self.jobs) };
        for (index, worker) in self.workers.iter_mut().enumerate() {
            done.reports.push(worker.report().await?);
            let path = record(self.place, index);
            let added = done.ran.add(&path);
            added.map_err(|error| Failure::new(Exit::Failed, format!("cannot read {}: {error}", path.display())))?;
        }
        Ok(done)
    }

    fn must_run(&mut self) -> Result<(), Failure> {
        self.workers.iter_mut().try_for_each(Spawned::must_run)
    }

    async fn is_empty(&self) -> Result<bool, Failure> {
        let queues = self.place.store.ask(self.place.broker().queues()).await?;
        Ok(queues.iter().all(|queue| queue.ready + queue.running + queue.scheduled == 0))
    }
}

impl Done {
    /// Fails loudly unless every job ran exactly once.
    pub(super) fn check(&self, phase: &str) -> Result<(), Failure> {
        once_each(&self.ran).map_err(|wrong| Failure::new(Exit::Failed, format!("{phase}: {wrong}")))
    }

    /// When the last job had ended.
    pub(super) fn ended(&self) -> u64 {
        self.reports.iter().map(|report| report.span.ended).max().unwrap_or(0)
    }

    /// When the first worker began.
    pub(super) fn began(&self) -> u64 {
        self.reports.iter().map(|report| report.span.began).min().unwrap_or(0)
    }

    /// The processor time of all workers.
    pub(super) fn cpu(&self) -> u64 {
        self.reports.iter().map(|report| report.span.cpu).sum()
    }
}

fn record(place: &Place, index: usize) -> std::path::PathBuf {
    place.file(&format!("worker-{index}"))
}
