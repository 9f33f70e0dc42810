//! `job`: get and list; its other verbs are in files of their own.

use celeriac_broker::{JobFilter, JobView, PageMark};
use celeriac_core::{JobId, Notes, State, Timestamp};

use crate::cli::args::{FilterArgs, JobVerb};
use crate::cli::dead::{self, Deed};
use crate::cli::exit::{Exit, Failure};
use crate::cli::json::{self, arguments};
use crate::cli::output::{Table, age, brief, note, print, print_json, printable, when};
use crate::cli::run::Setting;
use crate::cli::store::Store;
use crate::cli::{explain, revoke};

/// How much of an error fits into a list.
const ERROR_LENGTH: usize = 60;

pub(crate) async fn run(verb: JobVerb, setting: &Setting) -> Result<(), Failure> {
    let store = Store::open(&setting.url).await?;
    match verb {
        JobVerb::Get { ids } => get(&store, &ids, setting.json).await,
        JobVerb::List { state, filter } => {
            if let Some(ended) = state.filter(|state| state.is_terminal() && *state != State::Dead) {
                note(&format!(
                    "note: jobs that are {ended} are kept by id only; look at one with: celeriac job get ID"
                ));
            }
            list(&store, state, filter, setting.json).await
        }
        JobVerb::Revoke { ids } => revoke::run(&store, &ids, setting.json).await,
        JobVerb::Retry { ids } => dead::these(&store, Deed::Retry, &ids, setting.json).await,
        JobVerb::Delete { ids } => dead::these(&store, Deed::Delete, &ids, setting.json).await,
        JobVerb::Explain { id } => match store.ask(store.broker.job(&id)).await? {
            Some(view) => explain::run(&store, view, setting.json).await,
            None => Err(unknown_or_workflow(&store, id.as_str()).await),
        },
    }
}

async fn get(store: &Store, ids: &[JobId], json: bool) -> Result<(), Failure> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for id in ids {
        match store.ask(store.broker.job(id)).await? {
            Some(view) => found.push(view),
            None => missing.push(id.as_str()),
        }
    }
    if json {
        match (ids, found.as_slice()) {
            ([_], [view]) => print_json(&json::Job::from(view))?,
            ([_], _) => {}
            (_, views) => print_json(&views.iter().map(json::Job::from).collect::<Vec<_>>())?,
        }
    } else if !found.is_empty() {
        let now = store.ask(store.broker.now()).await?;
        let mut texts = Vec::with_capacity(found.len());
        for view in &found {
            let notes = store.ask(store.broker.notes(&view.id)).await?;
            let workflow = workflow_of(store, &view.id).await?;
            texts.push(describe(view, now) + &told(&notes, now) + &workflow.unwrap_or_default());
        }
        print(&texts.join("\n"))?;
    }
    match *missing {
        [] => Ok(()),
        [id] => Err(unknown_or_workflow(store, id).await),
        _ => Err(unknown(store, &missing)),
    }
}

/// Which workflow a job belongs to, in a line like those of [`describe`]. The id of a step says it, and other ids may look like one.
async fn workflow_of(store: &Store, id: &JobId) -> Result<Option<String>, Failure> {
    let Some((workflow, step)) = id.as_str().rsplit_once(':') else { return Ok(None) };
    let Ok(workflow) = workflow.parse() else { return Ok(None) };
    let view = store.ask(store.broker.workflow(&workflow)).await?;
    Ok(view.map(|_| format!("step      {step} of workflow {workflow}: celeriac workflow show {workflow}\n")))
}

/// The failure of asking for jobs that are not there.
pub(crate) fn unknown(store: &Store, ids: &[&str]) -> Failure {
    let ids = ids.join(", ");
    Failure::new(Exit::NotFound, format!("{store} knows nothing of job {ids}: there was none, or its time is over"))
}

/// The same for one job. Whoever asks for a workflow that has not ended is told where to look.
pub(crate) async fn unknown_or_workflow(store: &Store, id: &str) -> Failure {
    if let Ok(workflow) = id.parse()
        && let Ok(Some(_)) = store.broker.workflow(&workflow).await
    {
        let text = format!("{id} is a workflow that has not ended; see how far it is: celeriac workflow show {id}");
        return Failure::new(Exit::NotFound, text);
    }
    unknown(store, &[id])
}

/// Lists jobs, also for `dead list`.
pub(crate) async fn list(store: &Store, state: Option<State>, args: FilterArgs, json: bool) -> Result<(), Failure> {
    let mut filter = JobFilter::default();
    (filter.state, filter.queue, filter.task, filter.limit) = (state, args.queue, args.task, args.limit.get());
    filter.error = args.error;
    if let Some(age) = args.older_than {
        filter.until = Some(dead::before(store.ask(store.broker.now()).await?, age));
    }
    let (views, next) = page(store, &filter, args.after).await?;
    if json {
        print_json(&views.iter().map(json::Job::from).collect::<Vec<_>>())?;
    } else if views.is_empty() {
        note(&format!("no such jobs in {store}"));
    } else {
        let now = store.ask(store.broker.now()).await?;
        print(&table(&views, now).render())?;
    }
    match next {
        Some(mark) => note(&format!("there may be more: --after '{mark}'")),
        None if views.len() == filter.limit => note(&format!("the first {}; for more, name a --state", views.len())),
        None => {}
    }
    Ok(())
}

/// A page of one state, or the newest of all. A page that looked at many jobs and found few is filled up by the next.
async fn page(
    store: &Store,
    filter: &JobFilter,
    after: Option<String>,
) -> Result<(Vec<JobView>, Option<PageMark>), Failure> {
    if filter.state.is_none() {
        if after.is_some() {
            return Err(Failure::usage("--after goes on in one state; name it with --state"));
        }
        return Ok((store.ask(store.broker.jobs(filter)).await?, None));
    }
    let (mut views, mut mark) = (Vec::new(), after.map(PageMark::from));
    let mut rest = filter.clone();
    loop {
        let page = store.ask(store.broker.page(&rest, mark.as_ref())).await?;
        views.extend(page.jobs);
        rest.limit = filter.limit.saturating_sub(views.len());
        if page.next.is_none() || rest.limit == 0 {
            return Ok((views, page.next));
        }
        mark = page.next;
    }
}

fn table(views: &[JobView], now: Timestamp) -> Table {
    let mut table = Table::new(&["ID", "TASK", "QUEUE", "STATE", "SINCE", "ATTEMPT", "ERROR"]);
    for view in views {
        table.row(vec![
            view.id.to_string(),
            view.task.to_string(),
            view.queue.to_string(),
            view.state.to_string(),
            age(now.since(view.since)),
            view.attempt.to_string(),
            view.error.as_deref().map(|error| brief(error, ERROR_LENGTH)).unwrap_or_default(),
        ]);
    }
    table
}

/// What a job has told, in lines like those of [`describe`].
fn told(notes: &Notes, now: Timestamp) -> String {
    let mut text = String::new();
    if let Some(progress) = &notes.progress {
        let percent = progress.percent().map(|percent| format!(" ({percent} %)")).unwrap_or_default();
        let total = progress.total.map(|total| format!(" of {total}")).unwrap_or_default();
        text.push_str(&format!("progress  {}{total}{percent} {}", progress.done, printable(&progress.message)));
        text = format!("{}\n", text.trim_end());
    }
    for line in &notes.lines {
        text.push_str(&format!("log       {} {}\n", when(line.at, now), printable(&line.text)));
    }
    text
}

/// A job in lines of name and value; what is not known has no line.
fn describe(view: &JobView, now: Timestamp) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: String| {
        let value = printable(&value).trim_end().replace('\n', "\n          ");
        text.push_str(&format!("{name:<10}{value}\n"));
    };
    field("id", view.id.to_string());
    field("task", view.task.to_string());
    field("queue", view.queue.to_string());
    let suspect = if view.suspect { ", may only run alone" } else { "" };
    field("state", format!("{}, since {}{suspect}", view.state, when(view.since, now)));
    field("enqueued", when(view.enqueued_at, now));
    if let Some(due) = view.due_at {
        field("due", when(due, now));
    }
    let moments = [("expires", view.expires_at), ("deadline", view.deadline)];
    for (name, at) in moments.into_iter().filter_map(|(name, at)| Some((name, at?))) {
        field(name, when(at, now));
    }
    if let Some(priority) = view.priority.filter(|priority| *priority != celeriac_core::Priority::default()) {
        field("priority", priority.get().to_string());
    }
    if let Some(unique) = &view.unique {
        field("unique", unique.to_string());
    }
    for (name, value) in view.headers.iter() {
        field("header", format!("{name}={value}"));
    }
    field("attempts", format!("{} ({} failed, {} lost)", view.attempt, view.failures, view.losses));
    let details = [
        ("worker", view.worker.clone()),
        ("args", view.payload.as_deref().and_then(arguments).map(|args| args.get().to_owned())),
        ("result", view.result.as_deref().map(|result| result.get().to_owned())),
        ("error", view.error.clone()),
    ];
    for (name, value) in details {
        if let Some(value) = value {
            field(name, value);
        }
    }
    for incident in &view.history {
        let cause = serde_json::to_string(&incident.cause).unwrap_or_default();
        let cause = cause.trim_matches('"').replace('_', " ");
        let error = brief(&incident.error, ERROR_LENGTH);
        let (attempt, at) = (incident.attempt, when(incident.at, now));
        field("history", format!("attempt {attempt} {cause} on {}, {at}: {error}", incident.worker));
    }
    text
}
