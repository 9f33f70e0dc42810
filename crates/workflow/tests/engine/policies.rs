//! What a failure does to a workflow.

use std::time::Duration;

use celeriac_broker::Operation;
use celeriac_core::State;
use celeriac_core::canvas::{Canvas, Status, WhenDead, Workflow};
use celeriac_core::{Ending, TaskName};
use celeriac_workflow::NodeState;

use crate::stage::{Answer, Stage, died, ok, on_each_store, raw, step, steps};

fn broken(task: &TaskName, _: &str) -> Answer {
    if task.as_str().starts_with("bad") { Err("no disk".to_owned()) } else { ok("1") }
}

async fn a_failure_takes_back_what_has_not_begun_and_calls_its_handler_once(mut stage: Stage) {
    let members = ["bad", "bad", "slow", "good", "good"].map(Canvas::step);
    let workflow = Workflow::new(Canvas::group(members).join(Canvas::step("body")));
    stage.submit(&workflow.on_failure_taking(celeriac_core::canvas::Takes::Arguments, Canvas::step("alarm"))).await;
    let mut jobs = stage.fetch(3).await;
    assert_eq!(steps(&jobs), ["chord/0", "chord/1", "chord/2"]);
    let slow = jobs.remove(2);
    stage.settle(jobs.into_iter().map(|job| (job, died("no disk".to_owned()))).collect()).await;
    stage.run(broken).await;
    assert_eq!(stage.times().into_iter().collect::<Vec<_>>(), [("on_failure", 1)]);
    assert_eq!(stage.given("on_failure"), r#"{"step":"chord/0","task":"bad","error":"no disk","attempts":1}"#);
    assert_eq!(stage.end().await, (State::Dead, None, Some("step chord/0: no disk".to_owned())));
    let sight = stage.sight().await;
    let states: Vec<NodeState> = sight.nodes.iter().map(|node| node.state).collect();
    let given_up = NodeState::GivenUp;
    let dead = NodeState::Dead;
    assert_eq!(states, [dead, dead, NodeState::Running, given_up, given_up, given_up, NodeState::Succeeded]);
    // What runs may end, and nothing follows it.
    stage.settle_one(slow, Ending::Succeeded(raw("1"))).await;
    stage.run(broken).await;
    assert_eq!(stage.ran.len(), 1);
    assert_eq!(stage.sight().await.count(&[NodeState::Succeeded]), 1);
}

async fn a_workflow_is_gone_through_for_the_first_of_its_failures_only(mut stage: Stage) {
    let members = (0..600).map(|_| Canvas::step("bad"));
    stage.submit(&Workflow::new(Canvas::group(members))).await;
    let jobs = stage.fetch(50).await;
    stage.settle(jobs.into_iter().map(|job| (job, died("no disk".to_owned()))).collect()).await;
    stage.run(broken).await;
    assert_eq!(stage.ran, []);
    assert_eq!(stage.faulty.calls(Operation::Withdraw), 2, "a page of 500, and one of 50");
    assert_eq!(stage.sight().await.count(&[NodeState::Dead]), 50);
}

async fn a_failure_is_a_value_if_the_workflow_goes_on(mut stage: Stage) {
    let chord = Canvas::group(["good", "bad"].map(Canvas::step)).join(Canvas::step("body"));
    stage.submit(&Workflow::new(chord).when_dead(WhenDead::Continue).on_success(Canvas::step("done"))).await;
    stage.run(broken).await;
    let error = r#"{"error":{"step":"chord/1","task":"bad","error":"no disk","attempts":1}}"#;
    assert_eq!(stage.given("chord/body"), format!("[[{{\"ok\":1}},{error}]]"));
    assert_eq!(stage.given("on_success"), "[{\"ok\":1}]");
    assert_eq!(stage.end().await, (State::Succeeded, Some("{\"ok\":1}".to_owned()), None));
    let sight = stage.sight().await;
    assert_eq!((sight.status, sight.nodes[1].state), (Status::Succeeded, NodeState::Failed));
}

async fn only_what_is_behind_a_failure_waits(mut stage: Stage) {
    let bad = Canvas::step("bad").then(Canvas::step("behind"));
    let good = Canvas::step("good").then(Canvas::step("beside"));
    let workflow = Workflow::new(Canvas::group([bad, good])).when_dead(WhenDead::Wait);
    stage.submit(&workflow.on_failure(Canvas::step("alarm"))).await;
    stage.run(broken).await;
    let ran: Vec<&str> = stage.times().into_keys().collect();
    assert_eq!(ran, ["group/0/0", "group/1/0", "group/1/1", "on_failure"]);
    assert!(stage.outcome().await.is_none() && stage.view().await.ended_at.is_none());
    let sight = stage.sight().await;
    assert_eq!(sight.status, Status::Waiting);
    assert_eq!(sight.nodes[1].state, NodeState::Waiting);
}

async fn a_member_that_expires_is_a_failure_like_any_other(mut stage: Stage) {
    let late = Canvas::step("late").expires(Duration::from_secs(10));
    let chord = Canvas::group([late, Canvas::step("good")]).join(Canvas::step("body"));
    stage.submit(&Workflow::new(chord)).await;
    let mut jobs = stage.fetch(10).await;
    stage.advance(Duration::from_secs(11));
    let late = jobs.remove(0);
    assert_eq!(step(&late), "chord/0");
    stage.settle(vec![(late, Ending::Expired), (jobs.remove(0), Ending::Succeeded(raw("1")))]).await;
    stage.run(broken).await;
    assert_eq!(stage.ran, []);
    assert_eq!(stage.end().await.0, State::Dead);
    assert_eq!(stage.sight().await.nodes[0].state, NodeState::Expired);
}

async fn a_callback_that_dies_changes_nothing(mut stage: Stage) {
    let workflow = Workflow::new(Canvas::step("good")).on_success(Canvas::step("bad"));
    stage.submit(&workflow).await;
    stage.run(broken).await;
    assert_eq!(stage.times().len(), 2);
    assert_eq!(stage.end().await.0, State::Succeeded);
    let sight = stage.sight().await;
    assert_eq!((sight.status, sight.nodes[1].state), (Status::Succeeded, NodeState::Dead));
    assert_eq!(sight.view.failures, 0);
}

async fn a_callback_that_cannot_begin_changes_nothing_either(mut stage: Stage) {
    let workflow = Workflow::new(Canvas::group((0..3).map(|_| Canvas::step("large"))));
    stage.submit(&workflow.on_success(Canvas::step("done")).on_failure(Canvas::step("alarm"))).await;
    let large = format!("\"{}\"", "x".repeat(400_000));
    stage.run(|_, _| ok(&large)).await;
    assert_eq!((stage.times().len(), stage.end().await.0), (3, State::Succeeded));
    let sight = stage.sight().await;
    assert_eq!(sight.status, Status::Succeeded);
    let on_success = sight.nodes.iter().find(|node| node.name == "on_success").unwrap();
    assert_eq!(on_success.state, NodeState::Dead);
}

async fn results_that_are_too_many_for_arguments_end_the_step_that_takes_them(mut stage: Stage) {
    let members = (0..30).map(|_| Canvas::step("large"));
    stage.submit(&Workflow::new(Canvas::group(members).join(Canvas::step("body")))).await;
    let large = format!("\"{}\"", "x".repeat(80_000));
    stage.run(|_, _| ok(&large)).await;
    let (state, _, error) = stage.end().await;
    let text = "the results of 30 steps have 2.3 MiB, arguments may have 1 MiB: let the step take nothing and read them with Context::inputs";
    assert_eq!((state, error), (State::Dead, Some(format!("step chord/body: {text}"))));
    assert!(!stage.times().contains_key("chord/body"));
}

async fn a_result_that_fits_and_its_brackets_do_not_ends_the_step_that_takes_it(mut stage: Stage) {
    stage.submit(&Workflow::new(Canvas::step("large").then(Canvas::step("next")))).await;
    let large = format!("\"{}\"", "x".repeat(1024 * 1024 - 2));
    stage.run(|_, _| ok(&large)).await;
    let (state, _, error) = stage.end().await;
    assert_eq!(state, State::Dead);
    assert!(error.unwrap().starts_with("step chain/1: the result of one step has 1.0 MiB, arguments may have 1 MiB: "));
}

async fn a_value_that_is_too_large_for_all_of_a_group_ends_each_of_it(mut stage: Stage) {
    let first = Canvas::group((0..20).map(|_| Canvas::step("large")));
    let second = Canvas::group((0..3).map(|_| Canvas::step("next")));
    stage.submit(&Workflow::new(first.then(second)).when_dead(WhenDead::Continue)).await;
    let large = format!("\"{}\"", "x".repeat(80_000));
    stage.run(|_, _| ok(&large)).await;
    assert!(!stage.times().contains_key("chain/1/0"));
    let (state, result, _) = stage.end().await;
    assert_eq!(state, State::Succeeded);
    assert_eq!(result.unwrap().matches("the results of 20 steps have 1.5 MiB").count(), 3);
}

on_each_store!(
    a_failure_takes_back_what_has_not_begun_and_calls_its_handler_once,
    a_workflow_is_gone_through_for_the_first_of_its_failures_only,
    a_failure_is_a_value_if_the_workflow_goes_on,
    only_what_is_behind_a_failure_waits,
    a_member_that_expires_is_a_failure_like_any_other,
    a_callback_that_dies_changes_nothing,
    a_callback_that_cannot_begin_changes_nothing_either,
    results_that_are_too_many_for_arguments_end_the_step_that_takes_them,
    a_result_that_fits_and_its_brackets_do_not_ends_the_step_that_takes_it,
    a_value_that_is_too_large_for_all_of_a_group_ends_each_of_it,
);
