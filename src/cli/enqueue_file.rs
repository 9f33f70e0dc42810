//! `enqueue --from FILE`: many jobs, one a line; all are checked before the first is enqueued.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use celeriac_client::{Acceptance, Client, EnqueueManyError};
use celeriac_core::{JobId, State};
use celeriac_worker::Tasks;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::args::{EnqueueArgs, Wait};
use crate::cli::config;
use crate::cli::enqueue::failure;
use crate::cli::exit::{Exit, Failure};
use crate::cli::job_spec::JobSpec;
use crate::cli::json::Standing;
use crate::cli::output::{note, print, print_json, printable};
use crate::cli::run::Setting;
use crate::cli::store::Store;
use crate::cli::wait::{Kind, for_ends};

/// How many jobs are given to the client at once: a few of its batches, so that the progress moves.
const PORTION: usize = 2_000;

/// How many bad lines, ids in use or failed jobs are named; the rest is counted.
const NAMED: usize = 5;

/// The answer in JSON; what is about ends is there only if they were waited for.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    enqueued: usize,
    ids: &'a [JobId],
    #[serde(flatten)]
    ends: Option<Ends>,
}

#[derive(Debug, Serialize)]
struct Ends {
    succeeded: usize,
    failed: usize,
    not_ended: usize,
    results: Vec<Standing>,
}

pub(crate) async fn run(file: &Path, args: EnqueueArgs, setting: Setting) -> Result<(), Failure> {
    let tasks = config::add_commands(setting.tasks, args.config.as_deref(), &setting.url)?;
    let specs = read_jobs(file, &tasks)?;
    let kinds: BTreeSet<Kind> = specs.iter().map(|(_, job)| (job.task.clone(), job.queue.clone())).collect();
    let store = Store::open_or_make(&setting.url).await?;
    let client = store.client()?;
    let loaded = load(&store, &client, specs).await;
    let ends = match (args.wait, loaded.failure.is_none() && !loaded.ids.is_empty()) {
        (Some(wait), true) => {
            note(&format!("enqueued {} in {store}; waiting for their ends", jobs(loaded.ids.len())));
            Some(ends_of(&store, &client, &loaded.ids, kinds, wait).await?)
        }
        _ => None,
    };
    let failed = ends.as_ref().and_then(|ends| complain(&store, ends));
    if setting.json {
        print_json(&Answer { enqueued: loaded.ids.len(), ids: &loaded.ids, ends })?;
    } else if loaded.failure.is_none() {
        print(&format!("{}\n", summary(&store, loaded.ids.len(), ends.as_ref())))?;
    }
    loaded.failure.or(failed).map_or(Ok(()), Err)
}

/// Reads and checks all lines; each job comes with the number of its line.
fn read_jobs(file: &Path, tasks: &Tasks) -> Result<Vec<(usize, JobSpec)>, Failure> {
    let name = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let text = read_text(file).map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
    let mut specs = Vec::new();
    let mut complaints = Vec::new();
    let mut ids = BTreeMap::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        if line.trim().is_empty() {
            continue;
        }
        match JobSpec::from_line(line, tasks) {
            Ok(job) => {
                let earlier = job.id.clone().and_then(|id| ids.insert(id, number));
                if let Some(earlier) = earlier {
                    complaints.push(format!("line {number}: id: line {earlier} has the same"));
                }
                specs.push((number, job));
            }
            Err(complaint) => complaints.push(format!("line {number}: {complaint}")),
        }
    }
    if complaints.is_empty() {
        return Ok(specs);
    }
    Err(Failure::usage(format!("nothing was enqueued: {name}, {}", named(&complaints, "\n  "))))
}

fn read_text(file: &Path) -> std::io::Result<String> {
    if file != Path::new("-") {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

/// What the store has taken, and why not all.
struct Loaded {
    ids: Vec<JobId>,
    failure: Option<Failure>,
}

/// Enqueues all jobs in order. An id in use does not stop the others, so a load that broke off can be repeated.
async fn load(store: &Store, client: &Client, specs: Vec<(usize, JobSpec)>) -> Loaded {
    let total = specs.len();
    let bar = progress(total, "enqueued");
    let mut ids = Vec::with_capacity(total);
    let mut in_use = Vec::new();
    let mut specs = specs.into_iter().peekable();
    while specs.peek().is_some() {
        let (lines, signatures): (Vec<usize>, Vec<_>) =
            specs.by_ref().take(PORTION).map(|(line, job)| (line, job.signature())).unzip();
        match client.enqueue_all(signatures).await {
            Ok(answers) => {
                for (line, (id, acceptance)) in lines.iter().zip(answers) {
                    match acceptance {
                        Acceptance::Accepted => ids.push(id),
                        Acceptance::UniqueInUse { holder } => {
                            in_use.push(format!("line {line}: job {holder} has the unique key"));
                        }
                        _ => in_use.push(format!("line {line}: job id {id} is in use")),
                    }
                }
            }
            Err(error) => {
                bar.finish_and_clear();
                return broken_off(store, ids, &lines, error);
            }
        }
        bar.inc(lines.len() as u64);
    }
    bar.finish_and_clear();
    let failure = (!in_use.is_empty()).then(|| {
        let rest = format!("{} of {} were enqueued in {store}", ids.len(), jobs(total));
        Failure::new(Exit::Conflict, format!("{rest}; {}", named(&in_use, "\n  ")))
    });
    Loaded { ids, failure }
}

fn broken_off(store: &Store, mut ids: Vec<JobId>, lines: &[usize], error: EnqueueManyError) -> Loaded {
    ids.extend(error.accepted);
    let line = lines.get(error.index).copied().unwrap_or_default();
    let before = format!("stopped at line {line}, {} before it were enqueued", jobs(ids.len()));
    let failure = Some(failure(store, &error.source).after(&before));
    Loaded { ids, failure }
}

async fn ends_of(
    store: &Store,
    client: &Client,
    ids: &[JobId],
    kinds: BTreeSet<Kind>,
    wait: Wait,
) -> Result<Ends, Failure> {
    let handles = ids.iter().map(|id| client.handle_to(id.clone())).collect();
    let results = for_ends(store, handles, kinds, wait).await?;
    let succeeded = results.iter().filter(|end| end.state == State::Succeeded).count();
    Ok(Ends { succeeded, failed: results.len() - succeeded, not_ended: ids.len() - results.len(), results })
}

fn complain(store: &Store, ends: &Ends) -> Option<Failure> {
    if ends.failed == 0 && ends.not_ended == 0 {
        return None;
    }
    let failed = ends.results.iter().filter(|end| end.state != State::Succeeded);
    let mut complaints: Vec<String> = failed
        .map(|end| {
            format!("job {} is {}: {}", end.id, end.state, printable(end.error.as_deref().unwrap_or("no error")))
        })
        .collect();
    if ends.not_ended > 0 {
        complaints.insert(0, format!("{} did not end in time, still in {store}", jobs(ends.not_ended)));
    }
    Some(Failure::new(Exit::Failed, named(&complaints, "\n  ")))
}

fn summary(store: &Store, enqueued: usize, ends: Option<&Ends>) -> String {
    let enqueued = format!("enqueued {} in {store}", jobs(enqueued));
    match ends {
        None => enqueued,
        Some(Ends { succeeded, failed, not_ended, .. }) => {
            format!("{enqueued}: {succeeded} succeeded, {failed} failed, {not_ended} not ended")
        }
    }
}

fn jobs(count: usize) -> String {
    format!("{count} job{}", if count == 1 { "" } else { "s" })
}

/// The first few of many complaints, and how many more there are.
fn named(complaints: &[String], separator: &str) -> String {
    let mut text = complaints.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(separator);
    if complaints.len() > NAMED {
        text.push_str(&format!("{separator}and {} more", complaints.len() - NAMED));
    }
    text
}

/// A bar on standard error, if that is a terminal.
pub(crate) fn progress(total: usize, done: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(total as u64).with_message(done);
    match ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} in {elapsed}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
