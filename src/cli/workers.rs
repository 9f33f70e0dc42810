//! `workers`: who is registered.

use celeriac_broker::WorkerView;
use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::{Table, brief, note, print, print_json};
use crate::cli::run::Setting;
use crate::cli::store::Store;

/// How much of a list of names fits into a table.
const NAMES_LENGTH: usize = 40;

#[derive(Serialize)]
struct Worker<'v> {
    incarnation: &'v str,
    name: &'v str,
    host: &'v str,
    pid: u32,
    running: u64,
    queues: Vec<&'v str>,
    tasks: Vec<&'v str>,
}

impl<'v> From<&'v WorkerView> for Worker<'v> {
    fn from(view: &'v WorkerView) -> Self {
        Self {
            incarnation: view.incarnation.as_str(),
            name: view.incarnation.worker_name(),
            host: &view.host,
            pid: view.pid,
            running: view.running,
            queues: view.queues.iter().map(|queue| queue.as_str()).collect(),
            tasks: view.tasks.iter().map(|task| task.as_str()).collect(),
        }
    }
}

pub(crate) async fn run(setting: &Setting) -> Result<(), Failure> {
    let store = Store::open(&setting.url).await?;
    let views = store.ask(store.broker.workers()).await?;
    let workers: Vec<Worker<'_>> = views.iter().map(Worker::from).collect();
    if setting.json {
        return print_json(&workers);
    }
    if workers.is_empty() {
        note(&format!("no worker is registered in {store}; start one: celeriac worker"));
        return Ok(());
    }
    let mut table = Table::new(&["WORKER", "HOST", "PID", "RUNNING", "QUEUES", "TASKS"]);
    for worker in &workers {
        table.row(vec![
            worker.name.to_owned(),
            worker.host.to_owned(),
            worker.pid.to_string(),
            worker.running.to_string(),
            brief(&worker.queues.join(","), NAMES_LENGTH),
            brief(&worker.tasks.join(","), NAMES_LENGTH),
        ]);
    }
    print(&table.render())
}
