//! What `--json` answers of workflows. docs/cli.md lists these fields; scripts rely on them, so they may be added to and never renamed.

use std::collections::BTreeMap;

use celeriac_broker::WorkflowView;
use celeriac_core::canvas::{NodeKind, Status};
use celeriac_core::{QueueName, TaskName};
use celeriac_workflow::{NodeSight, Sight};
use serde::Serialize;

use super::list::state;

/// A workflow in a list.
#[derive(Debug, Serialize)]
pub(super) struct Listed<'v> {
    id: &'v str,
    state: &'static str,
    nodes: u32,
    failures: u32,
    made_at: String,
    ended_at: Option<String>,
    revoked_by: Option<&'v str>,
}

impl<'v> From<&'v WorkflowView> for Listed<'v> {
    fn from(view: &'v WorkflowView) -> Self {
        Self {
            id: view.id.as_str(),
            state: state(view),
            nodes: view.nodes,
            failures: view.failures,
            made_at: view.made_at.to_string(),
            ended_at: view.ended_at.map(|at| at.to_string()),
            revoked_by: view.revoked_by.as_deref(),
        }
    }
}

/// A workflow with its nodes.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'s> {
    #[serde(flatten)]
    listed: Listed<'s>,
    steps: BTreeMap<String, usize>,
    detailed: bool,
    graph: Vec<Node<'s>>,
}

/// A step, a join or a callback. Absent values are null.
#[derive(Debug, Serialize)]
struct Node<'s> {
    name: &'s str,
    kind: &'static str,
    state: String,
    deps: Vec<String>,
    id: Option<&'s str>,
    task: Option<&'s str>,
    queue: Option<&'s str>,
    attempt: Option<u32>,
    enqueued_at: Option<String>,
    since: Option<String>,
    due_at: Option<String>,
    worker: Option<&'s str>,
    error: Option<&'s str>,
}

impl<'s> From<&'s Sight> for Shown<'s> {
    fn from(sight: &'s Sight) -> Self {
        let mut steps = BTreeMap::new();
        for step in sight.steps() {
            *steps.entry(word(step.state.as_str())).or_default() += 1;
        }
        let mut listed = Listed::from(&sight.view);
        listed.state = status(sight.status);
        let nodes = sight.plan.nodes().zip(&sight.nodes);
        let graph = nodes.map(|(node, sight)| {
            let deps = node.deps().iter().filter_map(|dep| node.plan().node(*dep));
            Node::new(sight, deps.map(|dep| dep.name()).collect())
        });
        Self { listed, steps, detailed: sight.detailed, graph: graph.collect() }
    }
}

impl<'s> Node<'s> {
    fn new(sight: &'s NodeSight, deps: Vec<String>) -> Self {
        Self {
            name: &sight.name,
            kind: kind(sight.kind),
            state: word(sight.state.as_str()),
            deps,
            id: sight.id.as_ref().map(celeriac_core::JobId::as_str),
            task: sight.task.as_ref().map(TaskName::as_str),
            queue: sight.queue.as_ref().map(QueueName::as_str),
            attempt: sight.attempt,
            enqueued_at: sight.enqueued_at.map(|at| at.to_string()),
            since: sight.since.map(|at| at.to_string()),
            due_at: sight.due_at.map(|at| at.to_string()),
            worker: sight.worker.as_deref(),
            error: sight.error.as_deref(),
        }
    }
}

/// A state as one word.
fn word(state: &str) -> String {
    state.replace(' ', "_")
}

fn status(status: Status) -> &'static str {
    if status == Status::Waiting { "waiting" } else { status.as_str() }
}

fn kind(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Join => "join",
        NodeKind::OnSuccess => "on_success",
        NodeKind::OnFailure => "on_failure",
        _ => "step",
    }
}
