//! `dead list`, `dead retry` and `dead delete`, and the same for single jobs.

use celeriac_broker::{JobFilter, PageMark, Retried};
use celeriac_core::{JobId, State, Timestamp};
use indicatif::ProgressBar;
use serde_json::json;

use crate::cli::args::{DeadVerb, WhichArgs};
use crate::cli::consent::{consent, counted};
use crate::cli::enqueue_file::progress;
use crate::cli::exit::{Exit, Failure};
use crate::cli::job::{list, unknown};
use crate::cli::output::{note, print, print_json};
use crate::cli::run::Setting;
use crate::cli::store::Store;

/// How many jobs are changed in one call.
const PORTION: usize = 500;

/// How many jobs that were left alone are named.
const NAMED: usize = 5;

/// What is done to dead jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// They are made ready again.
    Retry,
    /// They are deleted.
    Delete,
}

impl Deed {
    fn done(self) -> &'static str {
        match self {
            Self::Retry => "retried",
            Self::Delete => "deleted",
        }
    }
}

pub(crate) async fn run(verb: DeadVerb, setting: &Setting) -> Result<(), Failure> {
    let store = Store::open(&setting.url).await?;
    match verb {
        DeadVerb::List(filter) => list(&store, Some(State::Dead), filter, setting.json).await,
        DeadVerb::Retry(which) => which_jobs(&store, Deed::Retry, which, true, setting.json).await,
        DeadVerb::Delete { which, yes } => which_jobs(&store, Deed::Delete, which, yes, setting.json).await,
    }
}

/// Dead jobs by their ids, or all that fit: counted first, so that a person sees what an order means.
async fn which_jobs(store: &Store, deed: Deed, which: WhichArgs, yes: bool, json: bool) -> Result<(), Failure> {
    if !which.ids.is_empty() {
        if which.dry_run {
            return Err(Failure::usage("--dry-run counts what fits; with ids there is nothing to count"));
        }
        return these(store, deed, &which.ids, json).await;
    }
    let ids = find(store, &which).await?;
    let found = counted(ids.len(), "dead job");
    if which.dry_run {
        return if json { print_json(&json!({ "found": ids.len() })) } else { print(&format!("{found} in {store}\n")) };
    }
    if deed == Deed::Delete && !ids.is_empty() {
        consent(&format!("Delete {found} in {store}?"), yes)?;
    }
    let bar = progress(ids.len(), deed.done());
    let outcome = carry_out(store, deed, &ids, &bar).await;
    bar.finish_and_clear();
    outcome?.tell(store, deed, json)
}

/// The dead jobs that fit now. One that dies again while others are retried is not retried twice, or this might never end.
async fn find(store: &Store, which: &WhichArgs) -> Result<Vec<JobId>, Failure> {
    let mut filter = JobFilter::default();
    filter.state = Some(State::Dead);
    (filter.queue, filter.task, filter.error) = (which.queue.clone(), which.task.clone(), which.error.clone());
    filter.limit = PORTION;
    filter.until = match which.older_than {
        Some(age) => Some(before(store.ask(store.broker.now()).await?, age)),
        None => None,
    };
    let (mut ids, mut mark) = (Vec::new(), None::<PageMark>);
    loop {
        let page = store.ask(store.broker.page(&filter, mark.as_ref())).await?;
        ids.extend(page.jobs.into_iter().map(|view| view.id));
        match page.next {
            Some(next) => mark = Some(next),
            None => return Ok(ids),
        }
    }
}

/// The instant so long before another.
pub(crate) fn before(now: Timestamp, age: std::time::Duration) -> Timestamp {
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(age))
}

/// Does it to jobs that somebody named.
pub(crate) async fn these(store: &Store, deed: Deed, ids: &[JobId], json: bool) -> Result<(), Failure> {
    carry_out(store, deed, ids, &ProgressBar::hidden()).await?.tell(store, deed, json)
}

/// What became of dead jobs.
#[derive(Debug, Default)]
struct Outcome {
    done: Vec<JobId>,
    /// Those that another job with their unique key keeps dead.
    blocked: Vec<(JobId, JobId)>,
    /// Those that are not dead.
    others: Vec<JobId>,
    missing: Vec<JobId>,
    alive: Vec<String>,
}

async fn carry_out(store: &Store, deed: Deed, ids: &[JobId], bar: &ProgressBar) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    for portion in ids.chunks(PORTION) {
        match deed {
            Deed::Retry => {
                let answers = store.ask(store.broker.retry_dead(portion)).await?;
                for (id, answer) in portion.iter().zip(answers) {
                    match answer {
                        Retried::Done => outcome.done.push(id.clone()),
                        Retried::UniqueInUse { holder } => outcome.blocked.push((id.clone(), holder)),
                        _ => outcome.others.push(id.clone()),
                    }
                }
            }
            Deed::Delete => {
                let answers = store.ask(store.broker.delete_dead(portion)).await?;
                for (id, deleted) in portion.iter().zip(answers) {
                    if deleted { outcome.done.push(id.clone()) } else { outcome.others.push(id.clone()) }
                }
            }
        }
        bar.inc(portion.len() as u64);
    }
    for id in outcome.others.iter().take(NAMED) {
        match store.ask(store.broker.job(id)).await? {
            Some(view) => outcome.alive.push(format!("job {id} is not dead but {}", view.state)),
            None => outcome.missing.push(id.clone()),
        }
    }
    Ok(outcome)
}

impl Outcome {
    fn tell(self, store: &Store, deed: Deed, json: bool) -> Result<(), Failure> {
        let done = self.done.len();
        if json {
            let mut answer = json!({ "ids": self.done });
            answer[deed.done()] = json!(done);
            print_json(&answer)?;
        } else {
            let what = if deed == Deed::Retry { "made ready" } else { "deleted" };
            print(&format!("{} {what} in {store}\n", counted(done, "dead job")))?;
        }
        if self.others.len() > NAMED {
            note(&format!("note: {} were not dead any more", self.others.len()));
        }
        let blocked = self.blocked.iter().map(|(id, holder)| format!("job {holder} has the unique key of {id} by now"));
        let alive: Vec<_> = self.alive.into_iter().chain(blocked).collect();
        let missing: Vec<_> = self.missing.iter().map(JobId::as_str).collect();
        let alive_failure = || {
            let exit = if self.blocked.is_empty() { Exit::Failed } else { Exit::Conflict };
            Failure::new(exit, format!("{} in {store}", alive.join(", ")))
        };
        match (missing.is_empty(), alive.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => Err(alive_failure()),
            (false, true) => Err(unknown(store, &missing)),
            (false, false) => Err(unknown(store, &missing).after(&alive.join(", "))),
        }
    }
}
