//! `workflow list`: a table of workflows, the newest first.

use celeriac_broker::{WorkflowMark, WorkflowView};
use celeriac_core::Timestamp;

use super::json::Listed;
use crate::cli::exit::Failure;
use crate::cli::output::{Table, age, note, print, print_json};
use crate::cli::store::Store;

/// How many are asked for in one call.
const PORTION: usize = 200;

pub(super) async fn run(store: &Store, limit: usize, json: bool) -> Result<(), Failure> {
    // One more tells whether there are more.
    let mut views = newest(store, limit.saturating_add(1)).await?;
    let has_more = views.len() > limit;
    views.truncate(limit);
    if json {
        print_json(&views.iter().map(Listed::from).collect::<Vec<_>>())?;
    } else if views.is_empty() {
        note(&format!("there are no workflows in {store}; run one: celeriac workflow run FILE"));
    } else {
        let now = store.ask(store.broker.now()).await?;
        print(&table(&views, now).render())?;
    }
    if has_more {
        note(&format!("there are more; show them with --limit {}", limit.saturating_mul(10)));
    }
    Ok(())
}

async fn newest(store: &Store, limit: usize) -> Result<Vec<WorkflowView>, Failure> {
    let (mut views, mut before): (Vec<WorkflowView>, Option<WorkflowMark>) = (Vec::new(), None);
    loop {
        let wanted = limit.saturating_sub(views.len()).min(PORTION);
        let page = store.ask(store.broker.workflows(before.as_ref(), wanted)).await?;
        let is_last = page.len() < wanted;
        before = page.last().map(|view| WorkflowMark { made_at: view.made_at, id: view.id.clone() });
        views.extend(page);
        if is_last || views.len() >= limit {
            return Ok(views);
        }
    }
}

fn table(views: &[WorkflowView], now: Timestamp) -> Table {
    let mut table = Table::new(&["ID", "STATE", "NODES", "FAILURES", "BEGAN", "LASTED"]);
    for view in views {
        let until = view.ended_at.unwrap_or(now);
        table.row(vec![
            view.id.to_string(),
            state(view).to_owned(),
            view.nodes.to_string(),
            view.failures.to_string(),
            format!("{} ago", age(now.since(view.made_at))),
            age(until.since(view.made_at)),
        ]);
    }
    table
}

/// Where a workflow is, as far as its store knows without its plan.
pub(super) fn state(view: &WorkflowView) -> &'static str {
    match view {
        WorkflowView { revoked_by: Some(_), .. } => "revoked",
        WorkflowView { halted: true, .. } => "failed",
        WorkflowView { ended_at: Some(_), .. } => "succeeded",
        WorkflowView { begun: false, .. } => "stored",
        _ => "running",
    }
}
