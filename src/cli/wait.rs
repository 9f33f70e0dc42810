//! Waits for the ends of jobs, and meanwhile says what keeps them from running.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use celeriac_broker::JobView;
use celeriac_client::{JobHandle, ResultError};
use celeriac_core::{QueueName, State, TaskName, format_duration};
use indicatif::ProgressBar;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use crate::cli::args::Wait;
use crate::cli::exit::{Exit, Failure, chain};
use crate::cli::json::Standing;
use crate::cli::output::{note, print, print_json, printable};
use crate::cli::store::Store;

/// How often it is looked whether anything keeps the jobs from running.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How many ends are waited for at once; the others have mostly come when it is their turn.
const WAITS_AT_ONCE: usize = 64;

/// A job that somebody waits for.
pub(crate) type Awaited = JobHandle<Box<RawValue>>;

/// What jobs need of a worker: the task, and the queue it is on.
pub(crate) type Kind = (TaskName, QueueName);

impl Standing {
    pub(crate) fn of(view: &JobView) -> Self {
        let error = view.state.is_terminal().then(|| view.error.clone()).flatten();
        let mut result = view.result.clone();
        if view.state == State::Succeeded {
            result.get_or_insert_with(|| RawValue::NULL.to_owned());
        }
        Self { id: view.id.to_string(), state: view.state, result, error }
    }
}

/// Waits for the end of one job; when the time is over, tells how it stands.
pub(crate) async fn for_end(store: &Store, job: &Awaited, kind: Kind, wait: Wait) -> Result<Standing, Failure> {
    let (mut obstacles, no_bar) = (Obstacles::new(store, [kind]), ProgressBar::hidden());
    let status = tokio::select! {
        biased;
        ended = end_of(store, job) => return ended,
        () = limit(wait) => job.status(),
        never = obstacles.tell(&no_bar) => match never {},
    };
    match store.ask(status).await? {
        Some(view) => Ok(Standing::of(&view)),
        None => Err(not_kept(store, job.id().as_str())),
    }
}

/// Waits for the ends of many jobs; answers those that came in time, in the order of the jobs.
pub(crate) async fn for_ends(
    store: &Store,
    jobs: Vec<Awaited>,
    kinds: BTreeSet<Kind>,
    wait: Wait,
) -> Result<Vec<Standing>, Failure> {
    let bar = super::enqueue_file::progress(jobs.len(), "ended");
    let mut obstacles = Obstacles::new(store, kinds);
    let mut ends = Vec::with_capacity(jobs.len());
    let gathered = tokio::select! {
        biased;
        ended = gather(store, jobs, &mut ends, &bar) => ended,
        () = limit(wait) => Ok(()),
        never = obstacles.tell(&bar) => match never {},
    };
    bar.finish_and_clear();
    gathered?;
    ends.sort_by_key(|(place, _)| *place);
    Ok(ends.into_iter().map(|(_, end)| end).collect())
}

async fn gather(
    store: &Store,
    jobs: Vec<Awaited>,
    ends: &mut Vec<(usize, Standing)>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let mut waits = JoinSet::new();
    let mut jobs = jobs.into_iter().enumerate();
    loop {
        while waits.len() < WAITS_AT_ONCE {
            let Some((place, job)) = jobs.next() else { break };
            let store = store.clone();
            waits.spawn(async move { (place, end_of(&store, &job).await) });
        }
        match waits.join_next().await {
            Some(Ok((place, end))) => ends.push((place, end?)),
            Some(Err(error)) => return Err(Failure::new(Exit::Failed, format!("a wait broke off: {error}"))),
            None => return Ok(()),
        }
        bar.inc(1);
    }
}

async fn end_of(store: &Store, job: &Awaited) -> Result<Standing, Failure> {
    let id = job.id().to_string();
    match job.result().await {
        Ok(result) => Ok(Standing { id, state: State::Succeeded, result: Some(result), error: None }),
        Err(ResultError::Failed { state, error, .. }) => Ok(Standing { id, state, result: None, error: Some(error) }),
        Err(ResultError::NotKept { .. }) => Err(not_kept(store, &id)),
        Err(ResultError::Store { source, .. }) => Err(store.failure(&source)),
        Err(error) => Err(Failure::new(Exit::Failed, format!("{store}: {}", chain(&error)))),
    }
}

pub(crate) async fn limit(wait: Wait) {
    match wait.0 {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

fn not_kept(store: &Store, id: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("{store} does not keep the end of job {id}: its time is over, or it has none"))
}

/// Prints how a job stands and says with the exit code whether it succeeded.
pub(crate) fn report(store: &Store, standing: &Standing, waited: Option<Wait>, json: bool) -> Result<(), Failure> {
    let (id, state) = (&standing.id, standing.state);
    if json {
        print_json(standing)?;
    }
    match (state, &standing.result) {
        (State::Succeeded, Some(result)) if !json => return print(&format!("{}\n", result.get())),
        (State::Succeeded, _) => return Ok(()),
        _ => {}
    }
    let message = match (&standing.error, waited) {
        (Some(error), _) => format!("job {id} is {state}: {}", printable(error)),
        (None, _) if state.is_terminal() => format!("job {id} is {state}"),
        (None, Some(Wait(Some(limit)))) => format!(
            "job {id} has not ended within {}; it is {state} and stays in {store}: celeriac result {id} --wait",
            format_duration(limit)
        ),
        (None, _) => format!("job {id} has not ended; it is {state} in {store}: celeriac result {id} --wait"),
    };
    Err(Failure::new(Exit::Failed, message))
}

/// What keeps jobs from running, told when it changes.
pub(crate) struct Obstacles<'s> {
    store: &'s Store,
    kinds: BTreeSet<Kind>,
    told: BTreeSet<String>,
}

impl<'s> Obstacles<'s> {
    pub(crate) fn new(store: &'s Store, kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self { store, kinds: kinds.into_iter().collect(), told: BTreeSet::new() }
    }

    /// Looks now and again, for ever.
    pub(crate) async fn tell(&mut self, bar: &ProgressBar) -> Infallible {
        loop {
            let found = self.look().await.unwrap_or_else(|failure| BTreeSet::from([failure.message]));
            for obstacle in found.difference(&self.told) {
                bar.suspend(|| note(&format!("note: {obstacle}; waiting")));
            }
            self.told = found;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&self) -> Result<BTreeSet<String>, Failure> {
        let store = self.store;
        let workers = store.ask(store.broker.workers()).await?;
        let queues = store.ask(store.broker.queues()).await?;
        let mut found = BTreeSet::new();
        for (task, queue) in &self.kinds {
            let mut knowing = workers.iter().filter(|worker| worker.tasks.contains(task)).peekable();
            if knowing.peek().is_none() {
                found.insert(format!("no live worker of {store} knows task {task}"));
            } else if !knowing.any(|worker| worker.queues.contains(queue)) {
                found.insert(format!("no live worker of {store} that knows task {task} serves queue {queue}"));
            }
            if queues.iter().any(|view| view.name == *queue && view.paused) {
                found.insert(format!("queue {queue} of {store} is paused"));
            }
        }
        Ok(found)
    }
}
