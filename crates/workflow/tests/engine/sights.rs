//! What people are shown of a workflow.

use std::time::Duration;

use celeriac_core::canvas::{Canvas, Status, Workflow};
use celeriac_core::{Cause, Ending, TaskError};
use celeriac_workflow::{MAX_DETAILED, NodeState, sight};

use crate::stage::{Stage, on_each_store, raw, steps, w};

async fn each_step_is_shown_where_it_is(stage: Stage) {
    assert!(sight(stage.broker.as_ref(), &w()).await.unwrap().is_none());
    let members = ["done", "tried", "held", "ready"].map(Canvas::step);
    stage.submit(&Workflow::new(Canvas::group(members).join(Canvas::step("body").queue("q")))).await;
    let mut jobs = stage.fetch(3).await;
    assert_eq!(steps(&jobs), ["chord/0", "chord/1", "chord/2"]);
    let (_held, tried, done) = (jobs.remove(2), jobs.remove(1), jobs.remove(0));
    let error = TaskError::retry_in(Duration::from_secs(60), "no disk");
    stage.settle_one(tried, Ending::Failed { cause: Cause::Failed, error }).await;
    stage.settle_one(done, Ending::Succeeded(raw("1"))).await;
    let sight = stage.sight().await;
    assert!(sight.detailed && sight.status == Status::Running);
    let states: Vec<NodeState> = sight.nodes.iter().map(|node| node.state).collect();
    use NodeState::{Ready, Retry, Running, Succeeded, Waiting};
    assert_eq!(states, [Succeeded, Retry, Running, Ready, Waiting]);
    let tried = &sight.nodes[1];
    assert_eq!((tried.name.as_str(), tried.attempt, tried.error.as_deref()), ("chord/1", Some(1), Some("no disk")));
    assert!(tried.due_at.is_some() && tried.enqueued_at.is_some());
    assert_eq!((sight.nodes[2].attempt, sight.nodes[2].worker.as_deref()), (Some(1), Some("worker")));
    let body = &sight.nodes[4];
    assert_eq!((body.id.as_ref().map(AsRef::as_ref), body.attempt), (Some("w:chord/body"), None));
    assert_eq!(body.queue.as_ref().map(AsRef::as_ref), Some("q"));
    assert_eq!((sight.count(&[Waiting, Ready]), sight.count(&NodeState::ALL)), (2, 5));
}

async fn a_large_workflow_is_shown_without_its_jobs(stage: Stage) {
    let members = (0..MAX_DETAILED + 2).map(|_| Canvas::step("member"));
    stage.submit(&Workflow::new(Canvas::group(members).join(Canvas::step("body")))).await;
    assert_eq!(stage.sight().await.count(&[NodeState::Begun]), MAX_DETAILED + 2);
    let job = stage.fetch(1).await.remove(0);
    stage.settle_one(job, crate::stage::died("no disk".to_owned())).await;
    let sight = stage.sight().await;
    assert!(!sight.detailed && sight.status == Status::Failed);
    assert_eq!((sight.nodes[0].state, sight.nodes[0].error.as_deref()), (NodeState::Dead, Some("no disk")));
    // Nothing of it begins any more, so what nobody looked at does not run, as a rule.
    assert_eq!((sight.nodes[1].state, sight.nodes[1].attempt), (NodeState::GivenUp, None));
    assert_eq!(sight.count(&[NodeState::GivenUp]), MAX_DETAILED + 2);
    assert_eq!(stage.faulty.calls(celeriac_broker::Operation::Job), 0);
}

async fn the_last_jobs_of_a_large_workflow_are_looked_at(stage: Stage) {
    let members = (0..=MAX_DETAILED).map(|_| Canvas::step("member"));
    stage.submit(&Workflow::new(Canvas::group(members).join(Canvas::step("body")))).await;
    let job = stage.fetch(1).await.remove(0);
    stage.settle_one(job, Ending::Succeeded(raw("1"))).await;
    let sight = stage.sight().await;
    assert!(!sight.detailed);
    assert_eq!((sight.count(&[NodeState::Ready]), sight.count(&[NodeState::Begun])), (MAX_DETAILED, 0));
}

on_each_store!(
    each_step_is_shown_where_it_is,
    a_large_workflow_is_shown_without_its_jobs,
    the_last_jobs_of_a_large_workflow_are_looked_at
);
