//! A workflow from a file, checked as far as it can be without a store.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use celeriac_core::canvas::{Limits, Plan, Refusal, SpecError, Workflow, compile};
use celeriac_core::{QueueName, TaskName, WorkflowId};
use celeriac_worker::Tasks;

use crate::cli::exit::Failure;
use crate::cli::job_spec::queue_of;
use crate::cli::wait::Kind;

/// Reads and checks a workflow, `-` from standard input; nothing in it can be refused any more.
pub(super) fn workflow(file: &Path, id: &WorkflowId, tasks: &Tasks) -> Result<(Workflow, Plan), Failure> {
    let name = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let limits = Limits::default();
    let json = bytes(file, limits.spec_bytes)
        .map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?
        .ok_or_else(|| refused(&name, &format!("it has more than the {} bytes that are allowed", limits.spec_bytes)))?;
    // Editors of some systems begin a file with a mark of its encoding.
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&json);
    let mut workflow = Workflow::from_json(json, &limits).map_err(|error| refused(&name, &complaint(&error)))?;
    workflow.name_queues(|task| Some(queue_of(task, tasks)));
    let plan = compile(&workflow, id, &limits).map_err(|error| refused(&name, &complaint(&error)))?;
    Ok((workflow, plan))
}

/// All of a file; `None` if it is larger than `limit`, and then no more than that was read.
fn bytes(file: &Path, limit: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let most = limit as u64 + 1;
    if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok((bytes.len() <= limit).then_some(bytes))
}

fn refused(name: &str, why: &str) -> Failure {
    Failure::usage(format!("nothing was enqueued: {name}: {why}"))
}

/// What is wrong, and where. Of broken JSON the line is known, and no part of the workflow.
fn complaint(error: &SpecError) -> String {
    match error.refusal() {
        refusal @ Refusal::NotJson(_) => refusal.to_string(),
        _ => error.to_string(),
    }
}

/// The tasks of a plan, each with the queues it is sent to.
pub(super) fn kinds(plan: &Plan) -> impl Iterator<Item = Kind> {
    let templates = plan.nodes().filter_map(|node| node.template());
    let kinds: HashSet<(&TaskName, Option<&QueueName>)> =
        templates.map(|template| (&template.task, template.queue.as_ref())).collect();
    kinds.into_iter().map(|(task, queue)| (task.clone(), queue.cloned().unwrap_or_default()))
}
