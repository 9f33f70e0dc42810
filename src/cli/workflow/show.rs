//! `workflow show`: a workflow, and below it where each of its steps is.

use std::collections::BTreeMap;
use std::time::Duration;

use celeriac_core::canvas::Status;
use celeriac_core::{Timestamp, WorkflowId};
use celeriac_workflow::{MAX_DETAILED, NodeSight, NodeState, Sight, sight};

use super::json::Shown;
use super::tree::{Line, lines};
use super::unknown;
use crate::cli::consent::counted;
use crate::cli::exit::Failure;
use crate::cli::output::{Table, age, brief, note, print, print_json, printable, when};
use crate::cli::store::Store;

/// How much of an error is shown; the job of the step shows all of it.
const ERROR_LENGTH: usize = 200;

pub(super) async fn run(store: &Store, id: &WorkflowId, json: bool) -> Result<(), Failure> {
    // However many nodes there are, each call to the store has a bound of its own.
    let sight = sight(store.broker.as_ref(), id).await.map_err(|error| store.failure(&error))?;
    let sight = sight.ok_or_else(|| unknown(store, id))?;
    if json {
        return print_json(&Shown::from(&sight));
    }
    let now = store.ask(store.broker.now()).await?;
    print(&format!("{}\n{}", head(&sight, now), graph(&lines(&sight), now)))?;
    if !sight.detailed {
        note(&format!(
            "note: not all jobs were looked at, because there are more than {MAX_DETAILED} nodes; \"begun\" is ready or running: celeriac job get {id}:STEP"
        ));
    }
    if matches!(sight.status, Status::Failed | Status::Waiting) {
        note(&format!("note: when what made it fail is mended: celeriac workflow retry {id}"));
    }
    Ok(())
}

/// The whole in lines of name and value.
fn head(sight: &Sight, now: Timestamp) -> String {
    let view = &sight.view;
    let status = match &view.revoked_by {
        Some(by) => format!("{} by {by}", sight.status),
        None => sight.status.to_string(),
    };
    let mut fields = vec![("id", view.id.to_string()), ("status", status)];
    let counts = sum(&counts(sight));
    fields.push(("steps", format!("{}: {counts}", counted(sight.plan.steps(), "step"))));
    fields.push(("began", when(view.made_at, now)));
    match view.ended_at {
        Some(ended) => {
            fields.push(("ended", when(ended, now)));
            fields.push(("lasted", lasting(ended.since(view.made_at))));
        }
        None => fields.push(("lasts", lasting(now.since(view.made_at)))),
    }
    let line = |(name, value): (&str, String)| format!("{name:<8}{}\n", printable(&value).replace('\n', " "));
    fields.into_iter().map(line).collect()
}

fn counts(sight: &Sight) -> BTreeMap<NodeState, usize> {
    let mut counts = BTreeMap::new();
    for step in sight.steps() {
        *counts.entry(step.state).or_default() += 1;
    }
    counts
}

/// States and how many are in them, those first that people hope for.
fn sum(counts: &BTreeMap<NodeState, usize>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(state, _)| **state != NodeState::Succeeded);
    counts.into_iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}

/// The steps, one a line, and below each its error.
fn graph(lines: &[Line<'_>], now: Timestamp) -> String {
    let mut table = Table::new(&["STEP", "TASK", "STATE", "ATTEMPT", "SINCE", "TOOK", "AFTER"]);
    for line in lines {
        let name = format!("{:indent$}{}", "", line.name, indent = 2 * line.depth);
        let mut row = vec![name, line.task.clone().unwrap_or_default()];
        match (line.node, &line.sum) {
            (Some(node), _) => row.extend(details(node, now)),
            (None, Some(counts)) => row.extend([sum(counts), String::new(), String::new(), String::new()]),
            (None, None) => row.resize(6, String::new()),
        }
        row.push(line.after.clone());
        table.row(row);
    }
    let rendered = table.render();
    let mut text = String::new();
    let errors = std::iter::once(None).chain(lines.iter().map(|line| Some((line.depth, line.node?.error.as_ref()?))));
    for (row, error) in rendered.lines().zip(errors) {
        text.push_str(row);
        text.push('\n');
        if let Some((depth, error)) = error {
            text.push_str(&format!("{:indent$}{}\n", "", brief(error, ERROR_LENGTH), indent = 2 * depth + 4));
        }
    }
    text
}

/// State, attempt, since when, and how long it took from when it became ready.
fn details(node: &NodeSight, now: Timestamp) -> [String; 4] {
    let state = match node.due_at.filter(|due| *due > now && !node.state.is_end()) {
        Some(due) => format!("{}, due in {}", node.state, age(due.since(now))),
        None => node.state.to_string(),
    };
    let since = node.since.map(|at| format!("{} ago", age(now.since(at))));
    let took = node.enqueued_at.map(|ready| match node.since.filter(|_| node.state.is_end()) {
        Some(ended) => lasting(ended.since(ready)),
        None => format!("{} so far", lasting(now.since(ready))),
    });
    let attempt = node.attempt.map(|attempt| attempt.to_string());
    [state, attempt.unwrap_or_default(), since.unwrap_or_default(), took.unwrap_or_default()]
}

/// How long something took: short times to the tenth of a second.
fn lasting(duration: Duration) -> String {
    if duration < Duration::from_secs(60) { format!("{:.1}s", duration.as_secs_f64()) } else { age(duration) }
}
