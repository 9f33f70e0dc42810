//! `dead list` and `dead retry`.

use std::collections::HashSet;

use celeriac_broker::JobFilter;
use celeriac_core::{JobId, State};
use serde_json::json;

use crate::cli::args::DeadVerb;
use crate::cli::exit::{Exit, Failure};
use crate::cli::job::{list, unknown};
use crate::cli::output::{print, print_json};
use crate::cli::run::Setting;
use crate::cli::store::Store;

/// How many jobs are retried in one call.
const PORTION: usize = 500;

pub(crate) async fn run(verb: DeadVerb, setting: &Setting) -> Result<(), Failure> {
    let store = Store::open(&setting.url).await?;
    let (ids, failure) = match verb {
        DeadVerb::List(filter) => return list(&store, Some(State::Dead), filter, setting.json).await,
        DeadVerb::Retry { all: true, .. } => (retry_all(&store).await?, None),
        DeadVerb::Retry { ids, .. } => retry(&store, &ids).await?,
    };
    if setting.json {
        print_json(&json!({ "retried": ids.len(), "ids": ids }))?;
    } else {
        print(&format!("{} dead job{} made ready in {store}\n", ids.len(), if ids.len() == 1 { "" } else { "s" }))?;
    }
    failure.map_or(Ok(()), Err)
}

/// Retries what is dead now. A job that dies again meanwhile is not retried twice, or this might never end.
async fn retry_all(store: &Store) -> Result<Vec<JobId>, Failure> {
    let mut filter = JobFilter::default();
    filter.state = Some(State::Dead);
    let mut seen = HashSet::new();
    let mut retried = Vec::new();
    loop {
        // The newest come first, and those that died again are among them.
        filter.limit = seen.len() + PORTION;
        let views = store.ask(store.broker.jobs(&filter)).await?;
        let fresh: Vec<JobId> = views.into_iter().map(|view| view.id).filter(|id| seen.insert(id.clone())).collect();
        if fresh.is_empty() {
            return Ok(retried);
        }
        for portion in fresh.chunks(PORTION) {
            let answers = store.ask(store.broker.retry_dead(portion)).await?;
            retried.extend(portion.iter().zip(answers).filter(|(_, was_dead)| *was_dead).map(|(id, _)| id.clone()));
        }
    }
}

/// Retries these jobs; the failure is about those that are not dead.
async fn retry(store: &Store, ids: &[JobId]) -> Result<(Vec<JobId>, Option<Failure>), Failure> {
    let mut retried = Vec::new();
    let mut others = Vec::new();
    for portion in ids.chunks(PORTION) {
        let answers = store.ask(store.broker.retry_dead(portion)).await?;
        for (id, was_dead) in portion.iter().zip(answers) {
            if was_dead { retried.push(id.clone()) } else { others.push(id) }
        }
    }
    let mut missing = Vec::new();
    let mut alive = Vec::new();
    for id in others {
        match store.ask(store.broker.job(id)).await? {
            Some(view) => alive.push(format!("job {id} is not dead but {}", view.state)),
            None => missing.push(id.as_str()),
        }
    }
    let failure = match (missing.as_slice(), alive.as_slice()) {
        ([], []) => None,
        ([], alive) => Some(Failure::new(Exit::Failed, format!("{} in {store}", alive.join(", ")))),
        (missing, []) => Some(unknown(store, missing)),
        (missing, alive) => Some(unknown(store, missing).after(&alive.join(", "))),
    };
    Ok((retried, failure))
}
