//! Waits for the end of a workflow, and meanwhile says how far it is and what keeps it.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use celeriac_broker::MAX_STEPS;
use celeriac_core::canvas::{NodeKind, Plan, WhenDead};
use celeriac_core::{JobId, Outcome, State, format_duration};
use indicatif::ProgressBar;

use super::read::kinds;
use crate::cli::args::Wait;
use crate::cli::enqueue_file::progress;
use crate::cli::exit::{Exit, Failure};
use crate::cli::json::Standing;
use crate::cli::output::{note, print, print_json, printable};
use crate::cli::store::Store;
use crate::cli::wait::{Obstacles, limit};

/// How long a pause is between two looks at the steps: at least this, and so many times as long as a look takes.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const PAUSES: u32 = 10;

/// How many steps that ended without success are named.
const NAMED: usize = 5;

/// Waits for the end of a workflow; when the time is over, it runs.
pub(super) async fn for_end(store: &Store, plan: &Plan, wait: Wait) -> Result<Standing, Failure> {
    let id = JobId::from(plan.workflow());
    let bar = progress(plan.steps(), "steps have ended");
    let mut obstacles = Obstacles::new(store, kinds(plan));
    let standing = tokio::select! {
        biased;
        ended = store.broker.wait_result(&id) => ended.map(standing_of).map_err(|error| store.failure(&error)),
        () = limit(wait) => Ok(Standing { id: id.to_string(), state: State::Running, result: None, error: None }),
        never = obstacles.tell(&bar) => match never {},
        never = tell_progress(store, plan, &bar) => match never {},
    };
    bar.finish_and_clear();
    standing
}

fn standing_of(outcome: Outcome) -> Standing {
    let Outcome { id, state, result, error, .. } = outcome;
    let result = result.filter(|_| state == State::Succeeded);
    Standing { id: id.to_string(), state, result, error: error.filter(|_| state != State::Succeeded) }
}

/// Moves the bar and names what needs somebody, for ever.
async fn tell_progress(store: &Store, plan: &Plan, bar: &ProgressBar) -> Infallible {
    let steps = plan.nodes().filter(|node| node.kind() == NodeKind::Step);
    let mut open: Vec<u32> = steps.map(|node| node.index()).collect();
    let mut named = Vec::new();
    loop {
        let began = Instant::now();
        // A store that does not answer is told as an obstacle, and this is tried again.
        if let Ok(bad) = look(store, plan, &mut open).await {
            bar.set_position((plan.steps() - open.len()) as u64);
            name_failures(plan, &bad, &mut named, bar);
        }
        tokio::time::sleep(LOOK_EVERY.max(began.elapsed() * PAUSES)).await;
    }
}

/// Leaves those open that have not ended well. Answers those that ended otherwise.
async fn look(store: &Store, plan: &Plan, open: &mut Vec<u32>) -> Result<Vec<u32>, Failure> {
    let (mut left, mut bad) = (Vec::new(), Vec::new());
    for page in open.chunks(MAX_STEPS) {
        let ends = store.ask(store.broker.step_ends(plan.workflow(), page, false)).await?;
        for (node, end) in page.iter().zip(ends) {
            match end {
                Some(end) if end.kind().lets_go_on() => continue,
                Some(_) => bad.push(*node),
                None => {}
            }
            left.push(*node);
        }
    }
    *open = left;
    Ok(bad)
}

/// Says once which steps let those behind them wait. Otherwise the end of the workflow says it.
fn name_failures(plan: &Plan, bad: &[u32], named: &mut Vec<u32>, bar: &ProgressBar) {
    let waits = plan.when_dead() == WhenDead::Wait;
    for node in bad.iter().filter_map(|node| plan.node(*node)).filter(|_| waits) {
        if named.len() < NAMED && !named.contains(&node.index()) {
            named.push(node.index());
            let (step, id) = (node.name(), plan.workflow());
            let hint = format!("what is behind it waits for: celeriac workflow retry {id} {step}");
            bar.suspend(|| note(&format!("note: step {step} has ended without success; {hint}")));
        }
    }
}

/// Prints how a workflow stands and says with the exit code whether it succeeded.
pub(super) fn report(store: &Store, standing: &Standing, wait: Wait, json: bool) -> Result<(), Failure> {
    let (id, look) = (&standing.id, format!("celeriac workflow show {}", standing.id));
    if json {
        print_json(standing)?;
    }
    let message = match (standing.state, &standing.error, wait.0) {
        (State::Succeeded, ..) => {
            match &standing.result {
                Some(result) if !json => print(&format!("{result}\n"))?,
                Some(_) => {}
                None => note(&format!("note: workflow {id} has succeeded, and its result is too large to be kept")),
            }
            return Ok(());
        }
        (State::Revoked, ..) => format!("workflow {id} in {store} was revoked: {look}"),
        (_, Some(error), _) => format!("workflow {id} in {store} has failed: {}: {look}", printable(error)),
        (State::Running, _, Some(limit)) => {
            format!("workflow {id} has not ended within {}; it goes on in {store}: {look}", format_duration(limit))
        }
        (state, ..) => format!("workflow {id} in {store} is {state}: {look}"),
    };
    Err(Failure::new(Exit::Failed, message))
}
