//! `worker`: runs jobs until a signal ends it.

use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::{Broker, BrokerError};
use celeriac_worker::{QueueOrder, Summary, Tasks, Worker, WorkerError, WorkerHandle};
use serde_json::json;

use crate::cli::args::WorkerArgs;
use crate::cli::beat::Companion;
use crate::cli::config::{self, Config};
use crate::cli::exit::{Exit, Failure, chain};
use crate::cli::health::HealthService;
use crate::cli::output::print_json;
use crate::cli::own_schedules::{self, OwnSchedules};
use crate::cli::reach::reach;
use crate::cli::run::Setting;
use crate::cli::signals::{Asked, Signals};

/// What a worker gets beyond its grace, or after a second signal, to hand back and to say goodbye.
const FAREWELL: Duration = Duration::from_secs(5);

/// What an application gets to end in order beside handlers that do not.
const LAST_MOMENT: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: WorkerArgs, setting: Setting) -> Result<(), Failure> {
    let Config { tasks, schedules } = config::read(setting.tasks, args.config.as_deref(), &setting.url)?;
    if tasks.is_empty() {
        return Err(no_task());
    }
    tasks.check().map_err(|error| Failure::usage(error.to_string()))?;
    let own = if args.beat {
        Some(own_schedules::gather(setting.schedules, schedules, args.owner.clone(), &tasks)?)
    } else {
        say_that_none_runs(setting.schedules.periodic.len() + schedules.entries.len());
        None
    };
    let mut signals = Signals::install()?;
    let (store, grace) = (setting.url.to_string(), args.grace);
    let health = args.health.clone().map(HealthService::start).transpose()?;
    let Some(broker) = reach(&setting.url, &mut signals).await? else { return Ok(()) };
    let worker = build(Arc::clone(&broker), tasks, args).map_err(|error| failure(&store, &error))?;
    let handle = worker.handle();
    if let Some(health) = &health {
        health.show(handle.clone());
    }
    let companion = own.map(|own| accompany(own, broker, &handle, health.as_ref())).transpose()?;
    let ended = run_under_signals(worker, grace, &store, &mut signals).await;
    let kept = handle.running();
    if kept > 0 {
        end_all_the_same();
    }
    let beat_ended = match companion {
        Some(companion) => companion.end(&store).await,
        None => Ok(()),
    };
    report(&ended?, setting.json)?;
    if kept > 0 {
        let text = format!("{kept} jobs neither ended nor could be handed back; they run again after their lease");
        return Err(Failure::new(Exit::Failed, text));
    }
    beat_ended
}

/// Starts a beat beside the worker.
fn accompany(
    own: OwnSchedules,
    broker: Arc<dyn Broker>,
    worker: &WorkerHandle,
    health: Option<&HealthService>,
) -> Result<Companion, Failure> {
    let beat = own.beat(broker)?;
    if let Some(health) = health {
        health.show_beat(beat.handle());
    }
    Ok(Companion::start(beat, worker.clone()))
}

/// Whoever writes schedules down and starts a worker may take them for granted.
fn say_that_none_runs(schedules: usize) {
    if schedules > 0 {
        tracing::info!(
            schedules,
            "this worker runs no schedules; celeriac beat does, and so does a worker with --beat"
        );
    }
}

/// A runtime waits at its end for handlers that do not give their threads back, however long they take. A process that was told to end
/// does so.
fn end_all_the_same() {
    let ended = std::thread::Builder::new().name("celeriac-end".to_owned()).spawn(|| {
        std::thread::sleep(LAST_MOMENT);
        std::process::exit(i32::from(Exit::Failed as u8));
    });
    if let Err(error) = ended {
        tracing::warn!(%error, "handlers that do not give their threads back may keep this process");
    }
}

fn no_task() -> Failure {
    Failure::usage(format!(
        "there is no task to run; write {} here, or name a file with --config, for example:\n\n\
         [tasks.hello]\ncommand = [\"echo\", \"hello\"]\nretries = 3",
        config::DEFAULT_FILE
    ))
}

fn build(broker: Arc<dyn Broker>, tasks: Tasks, args: WorkerArgs) -> Result<Worker, WorkerError> {
    let store = broker.describe();
    let names = tasks.names().collect::<Vec<_>>().join(",");
    let mut builder = Worker::builder(broker, tasks).grace(args.grace).lease(args.lease).burst(args.burst);
    if !args.queues.is_empty() {
        for (queue, weight) in args.queues.iter().filter_map(|queue| Some((&queue.name, queue.weight?))) {
            builder = builder.weight(queue.as_str(), weight.get());
        }
        builder = builder.queues(args.queues.into_iter().map(|queue| queue.name));
    }
    if args.strict {
        builder = builder.queue_order(QueueOrder::Strict);
    }
    if let Some(jobs) = args.max_tasks {
        builder = builder.max_tasks(jobs.get());
    }
    if let Some(threads) = args.blocking {
        builder = builder.blocking(threads.get());
    }
    if let Some(concurrency) = args.concurrency {
        builder = builder.concurrency(concurrency.get());
    }
    if let Some(name) = args.name {
        builder = builder.name(name);
    }
    let worker = builder.build()?;
    let (queues, concurrency) = (worker.queues().join(","), worker.concurrency());
    tracing::info!(%store, %queues, tasks = %names, concurrency, "worker starts");
    Ok(worker)
}

/// Runs the worker: the first signal stops it in order, the second at once.
async fn run_under_signals(
    worker: Worker,
    grace: Duration,
    store: &str,
    signals: &mut Signals,
) -> Result<Summary, Failure> {
    let handle = worker.handle();
    tokio::select! {
        ended = worker.run() => ended.map_err(|error| failure(store, &error)),
        () = outstay(&handle, grace, signals) => {
            let running = handle.running();
            let text = format!("ended without a word to {store}; {running} unfinished jobs run again after their lease");
            Err(Failure::new(Exit::Failed, text))
        }
    }
}

/// Passes signals on to the worker, and returns when it has not ended in time for all that: a process that was told to end
/// does so, also when its store is away and nothing can be handed back.
async fn outstay(handle: &WorkerHandle, grace: Duration, signals: &mut Signals) {
    while signals.either().await == Asked::Quiet {
        handle.quiet();
    }
    tracing::info!(running = handle.running(), "asked to stop; a second signal stops at once");
    handle.stop();
    tokio::select! {
        () = tokio::time::sleep(grace + FAREWELL) => return,
        () = signals.next() => {}
    }
    tracing::warn!(running = handle.running(), "stopping at once");
    handle.stop_now();
    tokio::time::sleep(FAREWELL).await;
}

fn report(summary: &Summary, json: bool) -> Result<(), Failure> {
    let Summary { succeeded, retried, dead, revoked, expired, handed_back, parked, leases_lost, .. } = *summary;
    tracing::info!(succeeded, retried, dead, revoked, expired, handed_back, parked, leases_lost, "worker ended");
    if !json {
        return Ok(());
    }
    print_json(&json!({
        "succeeded": succeeded, "retried": retried, "dead": dead, "revoked": revoked, "expired": expired,
        "handed_back": handed_back, "parked": parked, "leases_lost": leases_lost,
    }))
}

fn failure(store: &str, error: &WorkerError) -> Failure {
    match error {
        WorkerError::Store(error @ BrokerError::SessionLost) => Failure::new(Exit::Failed, format!("{store}: {error}")),
        WorkerError::Store(error) => Failure::store(store, error),
        WorkerError::Tasks(_) | WorkerError::Name(_) | WorkerError::Option(_) => Failure::usage(error.to_string()),
        _ => Failure::new(Exit::Failed, chain(error)),
    }
}
