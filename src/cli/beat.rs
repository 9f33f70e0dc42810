//! `beat`: enqueues the jobs of schedules until a signal ends it; and the same beside a worker.

use celeriac_beat::{Beat, BeatError, BeatHandle, BeatStats};
use celeriac_worker::WorkerHandle;
use serde_json::json;
use tokio::task::{JoinError, JoinHandle};

use crate::cli::args::BeatArgs;
use crate::cli::config::{self, Config};
use crate::cli::exit::{Exit, Failure, chain};
use crate::cli::health::HealthService;
use crate::cli::output::print_json;
use crate::cli::own_schedules::gather;
use crate::cli::reach::reach;
use crate::cli::run::Setting;
use crate::cli::signals::Signals;

pub(crate) async fn run(args: BeatArgs, setting: Setting) -> Result<(), Failure> {
    let Config { tasks, schedules } = config::read(setting.tasks, args.config.as_deref(), &setting.url)?;
    let own = gather(setting.schedules, schedules, args.owner, &tasks)?;
    let mut signals = Signals::install()?;
    let health = args.health.map(HealthService::start).transpose()?;
    let Some(broker) = reach(&setting.url, &mut signals).await? else {
        return report(BeatStats::default(), setting.json);
    };
    let beat = own.beat(broker)?;
    if let Some(health) = &health {
        health.show_beat(beat.handle());
    }
    let ended = beat.run_until(signals.next()).await;
    report(ended.map_err(|error| failure(&setting.url.to_string(), &error))?, setting.json)
}

fn report(stats: BeatStats, json: bool) -> Result<(), Failure> {
    log(stats);
    if !json {
        return Ok(());
    }
    let BeatStats { fired, missed, skipped, errors, .. } = stats;
    print_json(&json!({ "fired": fired, "missed": missed, "skipped": skipped, "errors": errors }))
}

fn log(stats: BeatStats) {
    let BeatStats { fired, missed, skipped, errors, .. } = stats;
    tracing::info!(fired, missed, skipped, errors, "beat ended");
}

fn failure(store: &str, error: &BeatError) -> Failure {
    match error {
        BeatError::Store(error) => Failure::store(store, error),
        error => Failure::usage(chain(error)),
    }
}

/// A beat beside a worker, in its process.
///
/// It ends when the worker has ended. If it cannot go on before that, the worker is stopped in order and the process ends with the beat's
/// failure: a worker that runs on would look well while no schedule comes any more. Whoever keeps the process running starts it again.
pub(crate) struct Companion {
    handle: BeatHandle,
    task: JoinHandle<Result<Result<BeatStats, BeatError>, JoinError>>,
}

impl Companion {
    pub(crate) fn start(beat: Beat, worker: WorkerHandle) -> Self {
        let handle = beat.handle();
        let task = tokio::spawn(async move {
            // In a task of its own, so that a panic stops the worker too.
            let ended = tokio::spawn(beat.run()).await;
            if !matches!(ended, Ok(Ok(_))) {
                tracing::error!(
                    "the beat cannot go on; the worker stops, and its process ends with what the beat says"
                );
                worker.stop();
            }
            ended
        });
        Self { handle, task }
    }

    /// Ends the beat. What it failed of, it failed of before.
    pub(crate) async fn end(self, store: &str) -> Result<(), Failure> {
        self.handle.stop();
        let broken = |error: JoinError| Failure::new(Exit::Failed, format!("the beat broke off: {error}"));
        let ended = self.task.await.map_err(broken)?.map_err(broken)?;
        log(ended.map_err(|error| failure(store, &error).after("the beat beside the worker"))?);
        Ok(())
    }
}
