//! `queue list`, `queue pause`, `queue resume` and `queue purge`.

use celeriac_broker::QueueView;
use celeriac_core::{QueueName, Timestamp};
use serde_json::json;

use crate::cli::args::QueueVerb;
use crate::cli::consent::{consent, counted, jobs, person};
use crate::cli::enqueue_file::progress;
use crate::cli::exit::{Exit, Failure};
use crate::cli::json;
use crate::cli::output::{Table, age, note, print, print_json};
use crate::cli::run::Setting;
use crate::cli::store::Store;

/// How many jobs one call of a purge ends.
const PORTION: usize = 500;

pub(crate) async fn run(verb: QueueVerb, setting: &Setting) -> Result<(), Failure> {
    let store = Store::open(&setting.url).await?;
    match verb {
        QueueVerb::List => list(&store, setting.json).await,
        QueueVerb::Pause { name } => set_paused(&store, &name, Paused(true), setting.json).await,
        QueueVerb::Resume { name } => set_paused(&store, &name, Paused(false), setting.json).await,
        QueueVerb::Purge { name, yes } => purge(&store, &name, yes, setting.json).await,
    }
}

async fn list(store: &Store, json: bool) -> Result<(), Failure> {
    let queues = store.ask(store.broker.queues()).await?;
    let now = store.ask(store.broker.now()).await?;
    if json {
        return print_json(&queues.iter().map(|view| json::Queue::new(view, now)).collect::<Vec<_>>());
    }
    if queues.is_empty() {
        note(&format!("no queue of {store} was ever used"));
        return Ok(());
    }
    print(&table(&queues, now).render())
}

fn table(queues: &[QueueView], now: Timestamp) -> Table {
    let mut table = Table::new(&["QUEUE", "READY", "SCHEDULED", "RUNNING", "DEAD", "PARKED", "OLDEST", ""]);
    for view in queues {
        table.row(vec![
            view.name.to_string(),
            view.ready.to_string(),
            view.scheduled.to_string(),
            view.running.to_string(),
            view.dead.to_string(),
            view.parked.to_string(),
            view.oldest.map_or_else(|| "-".to_owned(), |oldest| age(now.since(oldest))),
            if view.paused { "paused".to_owned() } else { String::new() },
        ]);
    }
    table
}

/// Whether fetches shall take nothing from a queue.
#[derive(Debug, Clone, Copy)]
struct Paused(bool);

async fn set_paused(store: &Store, name: &QueueName, Paused(paused): Paused, json: bool) -> Result<(), Failure> {
    let before = store.ask(store.broker.queues()).await?;
    if !before.iter().any(|view| view.name == *name) {
        if !paused {
            return Err(Failure::new(Exit::NotFound, format!("queue {name} of {store} was never used")));
        }
        // Pausing a queue before its first job is a use; a slip of the finger is more likely.
        note(&format!("note: queue {name} of {store} was never used"));
    }
    store.ask(store.broker.set_paused(name, paused)).await?;
    if !json {
        let what = if paused { "paused" } else { "not paused" };
        return print(&format!("queue {name} of {store} is {what}\n"));
    }
    let queues = store.ask(store.broker.queues()).await?;
    let now = store.ask(store.broker.now()).await?;
    let mut view = queues.into_iter().find(|view| view.name == *name).unwrap_or_else(|| QueueView::empty(name.clone()));
    view.paused = paused;
    print_json(&json::Queue::new(&view, now))
}

/// Ends the ready jobs of a queue, so many in a call, after a count and a consent.
async fn purge(store: &Store, name: &QueueName, yes: bool, json: bool) -> Result<(), Failure> {
    let queues = store.ask(store.broker.queues()).await?;
    let Some(view) = queues.into_iter().find(|view| view.name == *name) else {
        return Err(Failure::new(Exit::NotFound, format!("queue {name} of {store} was never used")));
    };
    let ready = usize::try_from(view.ready).unwrap_or(usize::MAX);
    if ready > 0 {
        consent(&format!("End {} of queue {name} of {store} as revoked?", counted(ready, "ready job")), yes)?;
    }
    let (by, bar) = (person(), progress(ready, "ended"));
    let mut ended = 0;
    loop {
        let purged = store.ask(store.broker.purge(name, PORTION, &by)).await?;
        ended += purged.count;
        bar.inc(purged.count as u64);
        if !purged.more {
            break;
        }
    }
    bar.finish_and_clear();
    if json {
        return print_json(&json!({ "queue": name.as_str(), "purged": ended }));
    }
    print(&format!("{} of queue {name} of {store} ended as revoked\n", jobs(ended)))?;
    let left = view.scheduled + view.running;
    if left > 0 {
        note(&format!("note: {} scheduled and {} running jobs of it stay", view.scheduled, view.running));
    }
    Ok(())
}
