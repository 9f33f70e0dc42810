//! Chains, groups, chords and graphs, in which nothing fails.

use std::time::Duration;

use celeriac_broker::{Fault, Operation, Refusal};
use celeriac_core::canvas::{Canvas, Graph, NodeKind, Status, Takes, Workflow};
use celeriac_core::{Ending, State};
use celeriac_testkit::random_result;
use celeriac_workflow::{NodeState, SubmitError, submit};

use crate::stage::{Stage, expected, ok, on_each_store, raw, w};

/// Runs a workflow and expects what an evaluation in one thread says.
async fn is_like_an_evaluation(mut stage: Stage, workflow: Workflow) -> Stage {
    let plan = stage.submit(&workflow).await;
    stage.run_all().await;
    let expected = expected(&workflow, |task, args| Ok(random_result(task, args)));
    stage.assert_like(&expected, &plan).await;
    let (state, result, error) = stage.end().await;
    assert_eq!((state, error), (State::Succeeded, None));
    assert_eq!(result.as_deref(), expected.result(&plan));
    assert!(stage.times().values().all(|times| *times == 1), "{:?}", stage.times());
    assert_eq!(stage.times().len(), plan.steps() + usize::from(plan.on_success().is_some()));
    assert!(stage.view().await.ended_at.is_some());
    stage.advance(Duration::from_secs(31));
    assert_eq!(stage.conductor.conduct(10).await.unwrap(), 0, "every event was finished");
    stage
}

fn group(name: &str, count: usize) -> Canvas {
    Canvas::group((0..count).map(|at| Canvas::step(name).args(raw(&format!("[{at}]")))))
}

async fn a_chain_hands_results_on(stage: Stage) {
    let chain = Canvas::step("a").then(Canvas::step("b").queue("q")).then(Canvas::step("c").args(raw("[7]")));
    let stage = is_like_an_evaluation(stage, Workflow::new(chain)).await;
    assert_eq!(stage.ran.len(), 3);
    assert!(stage.given("chain/2").ends_with(",7]"), "{}", stage.given("chain/2"));
}

async fn a_chord_in_a_chord_in_a_chain_takes_lists_in_their_order(mut stage: Stage) {
    let inner = group("one", 3).join(Canvas::step("inner"));
    let outer = Canvas::group([inner, group("two", 2).join(Canvas::step("inner"))]).join(Canvas::step("outer"));
    let chain = Canvas::step("first").feeds_nothing().then(outer).then(Canvas::step("last"));
    let workflow = Workflow::new(chain);
    stage.submit(&workflow).await;
    // The last of a group ends first.
    let mut left = 100;
    stage
        .run_in(1, |task, args| {
            left -= 1;
            ok(&format!("\"{task} {left} {}\"", args.replace('"', "'")))
        })
        .await;
    assert_eq!(stage.given("chain/1/0/body"), "[[\"one 98 [0]\",\"one 97 [1]\",\"one 96 [2]\"]]");
    assert_eq!(stage.end().await.0, State::Succeeded);
}

async fn a_group_behind_a_group_takes_the_whole_list(stage: Stage) {
    let workflow = Workflow::new(group("a", 5).then(group("b", 3)).then(group("c", 20)).then(Canvas::step("d")));
    is_like_an_evaluation(stage, workflow).await;
}

async fn an_empty_group_is_an_empty_list_wherever_it_stands(stage: Stage) {
    let first = Canvas::group([] as [Canvas; 0]).then(Canvas::step("a"));
    let later = Canvas::step("b").then(Canvas::group([] as [Canvas; 0])).then(Canvas::step("c"));
    let chord = Canvas::group([] as [Canvas; 0]).join(Canvas::step("d"));
    let last = Canvas::step("e").then(Canvas::group([] as [Canvas; 0]));
    let stage = is_like_an_evaluation(stage, Workflow::new(Canvas::group([first, later, chord, last]))).await;
    assert_eq!(stage.given("group/0/1"), "[[]]");
    assert_eq!(stage.given("group/2/body"), "[[]]");
}

async fn a_graph_hands_results_on_by_name(stage: Stage) {
    let graph = Graph::new()
        .part("users", Canvas::step("users"))
        .part("days", group("day", 3))
        .part_after("report", ["users", "days"], Canvas::step("report").takes(Takes::Results))
        .part_after("audit", ["days"], Canvas::step("audit").takes(Takes::Result))
        .part_after("both", ["report", "audit"], group("both", 2).takes(Takes::List));
    let workflow = Workflow::new(graph).on_success_taking(Takes::Arguments, Canvas::step("done"));
    is_like_an_evaluation(stage, workflow).await;
}

async fn one_step_before_2_000_and_one_behind_them(stage: Stage) {
    let workflow = Workflow::new(Canvas::step("first").then(group("member", 2_000)).then(Canvas::step("last")));
    is_like_an_evaluation(stage, workflow).await;
}

async fn groups_of_600_behind_a_join_begin_though_it_is_told_in_pieces(stage: Stage) {
    // Each of the second group waits for the join and for a step, so what is told first must not wait for the join's own end.
    let mut graph = Graph::new().part("many", group("a", 20)).part("x", Canvas::step("x"));
    for at in 0..600 {
        graph = graph.part_after(format!("y{at}"), ["many", "x"], Canvas::step("y").takes(Takes::Nothing));
    }
    is_like_an_evaluation(stage, Workflow::new(graph)).await;
}

async fn what_is_told_in_pieces_does_not_wait_for_the_last_of_them(mut stage: Stage) {
    let mut graph = Graph::new().part("many", group("a", 20)).part("x", Canvas::step("x"));
    for at in 0..600 {
        graph = graph.part_after(format!("y{at}"), ["many", "x"], Canvas::step("y").takes(Takes::Nothing));
    }
    let plan = stage.submit(&Workflow::new(graph)).await;
    let jobs = stage.fetch(100).await;
    stage.settle(jobs.into_iter().map(|job| (job, Ending::Succeeded(raw("1")))).collect()).await;
    // The step and the join are told in two pieces each; then the conductor of the join vanishes behind its first.
    stage.faulty.fail_nth(Operation::Advance, 4, Fault::Refused(Refusal::Denied));
    stage.conduct().await;
    stage.run_all().await;
    assert_eq!(stage.ran.len(), 500);
    stage.advance(Duration::from_secs(31));
    stage.run_all().await;
    assert_eq!((stage.ran.len(), stage.end().await.0), (600, State::Succeeded));
    assert_eq!(plan.steps(), 621);
}

async fn a_chain_and_the_bell_of_a_chord_need_no_conductor(stage: Stage) {
    let chain = Canvas::step("a").then(Canvas::step("b")).then(Canvas::group(["c", "d"].map(Canvas::step)));
    stage.submit(&Workflow::new(chain.then(Canvas::step("e")))).await;
    for step in ["chain/0", "chain/1"] {
        let job = stage.fetch_step(step).await;
        stage.settle_one(job, Ending::Succeeded(raw("1"))).await;
    }
    assert_eq!(crate::stage::steps(&stage.fetch(10).await), ["chain/2/0", "chain/2/1"]);
    assert_eq!(stage.conductor.conduct(10).await.unwrap(), 0);
}

async fn an_id_may_come_again_when_its_workflow_is_gone(mut stage: Stage) {
    stage.submit(&Workflow::new(group("a", 3).join(Canvas::step("b")))).await;
    stage.run_all().await;
    stage.advance(Duration::from_secs(25 * 3_600));
    assert_eq!(stage.broker.prune(100).await.unwrap().workflows, 1);
    stage.ran.clear();
    is_like_an_evaluation(stage, Workflow::new(group("c", 2).join(Canvas::step("d")))).await;
}

async fn a_large_result_is_handed_on(mut stage: Stage) {
    let workflow = Workflow::new(Canvas::step("large").then(Canvas::step("next")).then(Canvas::step("small")));
    stage.submit(&workflow).await;
    let large = format!("\"{}\"", "x".repeat(200_000));
    stage.run(|task, _| ok(if task.as_str() == "large" { &large } else { "1" })).await;
    assert_eq!(stage.given("chain/1"), format!("[{large}]"));
    assert_eq!(stage.end().await, (State::Succeeded, Some("1".to_owned()), None));
}

async fn a_result_that_is_too_large_for_a_workflow_is_left_out(mut stage: Stage) {
    stage.submit(&Workflow::new(group("large", 3))).await;
    let large = format!("\"{}\"", "x".repeat(400_000));
    stage.run(|_, _| ok(&large)).await;
    assert_eq!(stage.end().await, (State::Succeeded, None, None));
}

async fn a_callback_that_cannot_be_told_so_much_is_no_failure(mut stage: Stage) {
    let done = Canvas::step("done");
    stage.submit(&Workflow::new(group("large", 3)).on_success_taking(Takes::Arguments, done)).await;
    let large = format!("\"{}\"", "x".repeat(400_000));
    stage.run(|_, _| ok(&large)).await;
    assert_eq!(stage.end().await, (State::Succeeded, None, None));
    let (view, sight) = (stage.view().await, stage.sight().await);
    assert_eq!((view.failures, view.halted, sight.status), (0, false, Status::Succeeded));
    let callback = sight.nodes.iter().find(|node| node.kind == NodeKind::OnSuccess).unwrap();
    assert_eq!(callback.state, NodeState::Dead);
    assert!(callback.error.as_deref().is_some_and(|error| error.contains("MiB")), "{:?}", callback.error);
    assert_eq!(stage.times().len(), 3);
}

async fn an_id_is_used_once_and_a_bad_workflow_stores_nothing(stage: Stage) {
    let workflow = Workflow::new(Canvas::step("a"));
    stage.submit(&workflow).await;
    let again = submit(stage.broker.as_ref(), &workflow, &w(), |_| None).await;
    assert!(matches!(again, Err(SubmitError::InUse(id)) if id == w()));
    let bad = Workflow::new(Canvas::step("a b"));
    let other = "other".parse().unwrap();
    let refused = submit(stage.broker.as_ref(), &bad, &other, |_| None).await;
    assert!(matches!(refused, Err(SubmitError::Spec(_))));
    assert_eq!(stage.broker.workflow(&other).await.unwrap(), None);
}

async fn the_queues_of_tasks_are_stored_with_the_workflow(stage: Stage) {
    let workflow = Workflow::new(Canvas::step("a").then(Canvas::step("b")).then(Canvas::step("c").queue("q")));
    let queue_of = |task: &celeriac_core::TaskName| (task.as_str() == "b").then(|| "q".parse().unwrap());
    submit(stage.broker.as_ref(), &workflow, &w(), queue_of).await.unwrap();
    let spec = stage.broker.workflow_spec(&w()).await.unwrap().unwrap();
    assert_eq!(spec, r#"{"chain":[{"task":"a"},{"task":"b","queue":"q"},{"task":"c","queue":"q"}]}"#);
    let first = stage.fetch_step("chain/0").await;
    stage.settle_one(first, Ending::Succeeded(raw("1"))).await;
    assert_eq!(stage.fetch_step("chain/1").await.record.queue.as_str(), "q");
}

async fn two_conductors_at_once_do_everything_once(mut stage: Stage) {
    let workflow = Workflow::new(group("a", 700).then(group("b", 700)).then(Canvas::step("c")));
    let plan = stage.submit(&workflow).await;
    let others = [(); 3].map(|()| celeriac_workflow::Conductor::new(std::sync::Arc::clone(&stage.broker)));
    let mut ran = 0;
    loop {
        loop {
            let [one, two, three] = &others;
            let (one, two, three) = tokio::join!(one.conduct(1), two.conduct(1), three.conduct(7));
            if one.unwrap() + two.unwrap() + three.unwrap() == 0 {
                break;
            }
        }
        let jobs = stage.fetch(300).await;
        if jobs.is_empty() {
            break;
        }
        ran += jobs.len();
        let ends = jobs.into_iter().map(|job| {
            let args = String::from_utf8(job.record.payload.clone()).unwrap();
            let result = random_result(&job.record.task, &args);
            (job, Ending::Succeeded(result))
        });
        stage.settle(ends.collect()).await;
    }
    assert_eq!(ran, plan.steps());
    stage.assert_like(&expected(&workflow, |task, args| Ok(random_result(task, args))), &plan).await;
    stage.run_all().await;
    assert_eq!(stage.end().await.0, State::Succeeded);
}

async fn what_begins_first_is_ready_before_any_worker_has_looked(stage: Stage) {
    let empty = Canvas::group([] as [Canvas; 0]);
    let behind = empty.then(Canvas::step("behind"));
    let first = (0..600).map(|at| Canvas::step("first").args(raw(&format!("[{at}]"))).into());
    stage.submit(&Workflow::new(Canvas::group(first.chain([behind])))).await;
    assert_eq!(stage.broker.queues().await.unwrap()[0].ready, 601);
}

on_each_store!(
    what_begins_first_is_ready_before_any_worker_has_looked,
    a_chain_hands_results_on,
    a_chord_in_a_chord_in_a_chain_takes_lists_in_their_order,
    a_group_behind_a_group_takes_the_whole_list,
    an_empty_group_is_an_empty_list_wherever_it_stands,
    a_graph_hands_results_on_by_name,
    one_step_before_2_000_and_one_behind_them,
    groups_of_600_behind_a_join_begin_though_it_is_told_in_pieces,
    what_is_told_in_pieces_does_not_wait_for_the_last_of_them,
    a_chain_and_the_bell_of_a_chord_need_no_conductor,
    an_id_may_come_again_when_its_workflow_is_gone,
    a_large_result_is_handed_on,
    a_result_that_is_too_large_for_a_workflow_is_left_out,
    a_callback_that_cannot_be_told_so_much_is_no_failure,
    an_id_is_used_once_and_a_bad_workflow_stores_nothing,
    the_queues_of_tasks_are_stored_with_the_workflow,
    two_conductors_at_once_do_everything_once,
);
