//! Somebody gives a workflow up.

use celeriac_broker::WorkflowRevoked;
use celeriac_core::canvas::{Canvas, Status, Workflow};
use celeriac_core::{Ending, State};
use celeriac_workflow::{NodeState, revoke};

use crate::stage::{Stage, ok, on_each_store, raw, steps, w};

async fn a_revoke_in_the_middle_ends_what_waits_and_lets_nothing_follow(mut stage: Stage) {
    let members = (0..3).map(|_| Canvas::step("member"));
    let workflow = Workflow::new(Canvas::step("first").then(Canvas::group(members)).then(Canvas::step("last")));
    stage.submit(&workflow.on_failure(Canvas::step("alarm")).on_success(Canvas::step("done"))).await;
    let first = stage.fetch_step("chain/0").await;
    stage.settle_one(first, Ending::Succeeded(raw("1"))).await;
    stage.conduct().await;
    let running = stage.fetch(1).await.remove(0);
    assert_eq!(revoke(stage.broker.as_ref(), &w(), "ann").await.unwrap(), WorkflowRevoked::Done);
    assert_eq!(stage.end().await, (State::Revoked, None, Some("revoked by ann".to_owned())));
    assert!(stage.fetch(10).await.is_empty(), "what waited has ended");
    stage.settle_one(running, Ending::Succeeded(raw("1"))).await;
    stage.run(|_, _| ok("1")).await;
    assert_eq!(stage.ran, []);
    let sight = stage.sight().await;
    let revoked = NodeState::Revoked;
    let states: Vec<NodeState> = sight.steps().map(|node| node.state).collect();
    let succeeded = NodeState::Succeeded;
    assert_eq!(states, [succeeded, succeeded, revoked, revoked, NodeState::GivenUp]);
    assert_eq!((sight.status, sight.view.revoked_by.as_deref()), (Status::Revoked, Some("ann")));
    assert_eq!(revoke(stage.broker.as_ref(), &w(), "bob").await.unwrap(), WorkflowRevoked::TooLate);
}

async fn a_workflow_that_has_succeeded_or_is_not_there_is_not_revoked(mut stage: Stage) {
    assert_eq!(revoke(stage.broker.as_ref(), &w(), "ann").await.unwrap(), WorkflowRevoked::Unknown);
    stage.submit(&Workflow::new(Canvas::step("a"))).await;
    stage.run(|_, _| ok("1")).await;
    assert_eq!(revoke(stage.broker.as_ref(), &w(), "ann").await.unwrap(), WorkflowRevoked::TooLate);
    assert_eq!(stage.end().await.0, State::Succeeded);
}

async fn conductors_revoke_what_whoever_revoked_could_not(stage: Stage) {
    let members = (0..700).map(|_| Canvas::step("member"));
    stage.submit(&Workflow::new(Canvas::group(members))).await;
    stage.conduct().await;
    assert_eq!(stage.broker.revoke_workflow(&w(), "ann").await.unwrap(), WorkflowRevoked::Done);
    stage.conduct().await;
    assert_eq!(steps(&stage.fetch(10).await), [""; 0]);
    assert_eq!(stage.end().await.0, State::Revoked);
    assert_eq!(stage.sight().await.count(&[NodeState::Revoked]), 700);
}

async fn a_step_that_somebody_revokes_fails_its_workflow(mut stage: Stage) {
    stage.submit(&Workflow::new(Canvas::step("a").then(Canvas::step("b"))).on_failure(Canvas::step("alarm"))).await;
    stage.broker.revoke(&["w:chain/0".parse().unwrap()], "ann").await.unwrap();
    stage.run(|_, _| ok("1")).await;
    assert_eq!(stage.times().into_keys().collect::<Vec<_>>(), ["on_failure"]);
    assert_eq!(stage.end().await.0, State::Dead);
}

on_each_store!(
    a_revoke_in_the_middle_ends_what_waits_and_lets_nothing_follow,
    a_workflow_that_has_succeeded_or_is_not_there_is_not_revoked,
    conductors_revoke_what_whoever_revoked_could_not,
    a_step_that_somebody_revokes_fails_its_workflow,
);
