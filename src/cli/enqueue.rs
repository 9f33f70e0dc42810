//! `enqueue TASK`: one job.

use std::io::Read;

use celeriac_client::EnqueueError;
use celeriac_core::MAX_PAYLOAD_BYTES;
use celeriac_worker::Tasks;
use serde_json::json;

use crate::cli::args::EnqueueArgs;
use crate::cli::config;
use crate::cli::exit::{Exit, Failure, chain};
use crate::cli::job_spec::{JobSpec, Start, arguments, queue_of};
use crate::cli::output::{note, print, print_json};
use crate::cli::run::Setting;
use crate::cli::store::Store;
use crate::cli::wait::{for_end, report};

pub(crate) async fn run(args: EnqueueArgs, setting: Setting) -> Result<(), Failure> {
    let tasks = config::add_commands(setting.tasks, args.config.as_deref(), &setting.url)?;
    let wait = args.wait;
    let spec = job_spec(args, &tasks)?;
    let kind = (spec.task.clone(), spec.queue.clone());
    let store = Store::open_or_make(&setting.url).await?;
    let enqueued = store.client()?.enqueue_signature(spec.signature()).await;
    let job = enqueued.map_err(|error| failure(&store, &error))?;
    let id = job.id();
    let Some(wait) = wait else {
        return if setting.json { print_json(&json!({ "id": id })) } else { print(&format!("{id}\n")) };
    };
    note(&format!("job {id} is on queue {} of {store}; waiting for its end", kind.1));
    let standing = for_end(&store, &job, kind, wait).await?;
    report(&store, &standing, Some(wait), setting.json)
}

fn job_spec(args: EnqueueArgs, tasks: &Tasks) -> Result<JobSpec, Failure> {
    // clap sees to it that there is a task when there is no file.
    let task = args.task.ok_or_else(|| Failure::usage("name a task, or a file with --from"))?;
    let text = match args.args.as_deref() {
        Some("-") => standard_input()?,
        Some(text) => text.to_owned(),
        None => "{}".to_owned(),
    };
    let start = match (args.delay, args.at) {
        (Some(delay), _) => Start::After(delay),
        (None, Some(instant)) => Start::At(instant),
        (None, None) => Start::Now,
    };
    Ok(JobSpec {
        args: arguments(&text).map_err(|error| Failure::usage(format!("{error}; write them as in '{{\"n\": 1}}'")))?,
        queue: args.queue.unwrap_or_else(|| queue_of(&task, tasks)),
        start,
        id: args.id,
        retries: args.retries,
        timeout: args.timeout,
        priority: args.priority,
        unique: args.unique,
        expires: args.expires,
        deadline: args.deadline,
        headers: args.headers,
        task,
    })
}

pub(crate) fn standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    // A byte more than is allowed shows that there is too much, without reading what may be endless.
    let limit = MAX_PAYLOAD_BYTES as u64 + 1;
    match std::io::stdin().lock().take(limit).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::usage(format!("cannot read standard input: {error}"))),
    }
}

/// What it means for the caller that a job was not enqueued, or may not have been.
pub(crate) fn failure(store: &Store, error: &EnqueueError) -> Failure {
    match error {
        EnqueueError::NotApplied { source } => store.failure(source).after("nothing was enqueued"),
        EnqueueError::Unknown { batch, source } => {
            let first = batch.ids().next().map(|id| format!("; look with: celeriac job get {id}")).unwrap_or_default();
            store.failure(source).after(&format!("{batch} may have been enqueued{first}"))
        }
        EnqueueError::IdInUse { id } => Failure::new(Exit::Conflict, format!("job id {id} is in use in {store}")),
        EnqueueError::UniqueInUse { holder, .. } => Failure::new(
            Exit::Conflict,
            format!("job {holder} in {store} has the unique key; look with: celeriac job get {holder}"),
        ),
        EnqueueError::Invalid(_) | EnqueueError::PayloadTooLarge { .. } => Failure::usage(chain(error)),
        _ => Failure::new(Exit::Failed, format!("{store}: {}", chain(error))),
    }
}
