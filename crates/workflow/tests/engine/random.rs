//! Random workflows, some of whose steps die, compared with what comes of them in one thread.

use std::collections::BTreeSet;

use celeriac_core::canvas::{Limits, NodeKind, Status, WhenDead, Workflow, compile};
use celeriac_core::{State, TaskName};
use celeriac_testkit::{random_result, random_workflows};
use celeriac_workflow::retry;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::stage::{Answer, Stage, expected, w};

/// How many workflows each of these tests carries out.
const CASES: u8 = 60;

/// Which tasks die.
fn dying() -> impl Strategy<Value = BTreeSet<usize>> {
    prop_oneof![
        Just(BTreeSet::new()),
        prop::collection::btree_set(0..10_usize, 0..3),
        prop::collection::btree_set(0..50_usize, 0..25)
    ]
}

fn case(seed: u8) -> (Workflow, BTreeSet<usize>, usize) {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
    (random_workflows(), dying(), 1..4_usize).new_tree(&mut runner).unwrap().current()
}

fn dies(task: &TaskName, dying: &BTreeSet<usize>) -> bool {
    task.as_str().strip_prefix('t').and_then(|number| number.parse().ok()).is_some_and(|number| dying.contains(&number))
}

fn answer(task: &TaskName, args: &str, dying: &BTreeSet<usize>) -> Answer {
    if dies(task, dying) { Err(format!("{task} is broken")) } else { Ok(random_result(task, args)) }
}

/// Carries a workflow out, compares it with an evaluation, then mends what was broken, retries, and compares again.
async fn is_like_an_evaluation(stage: &mut Stage, seed: u8) {
    let (workflow, dying, at_once) = case(seed);
    let plan = stage.submit(&workflow).await;
    let handler = |task: &TaskName, args: &str| answer(task, args, &dying);
    stage.run_in(at_once, handler).await;
    let evaluation = expected(&workflow, handler);
    let sight = stage.sight().await;
    assert_eq!(sight.status, evaluation.status, "{}", workflow.to_json());
    assert!(stage.times().values().all(|times| *times == 1), "{:?}", stage.times());
    let ran: BTreeSet<String> = stage.times().into_keys().map(str::to_owned).collect();
    let should: BTreeSet<String> = plan
        .nodes()
        .filter(|node| node.kind() != NodeKind::Join && evaluation.ends[node.index() as usize].is_some())
        .map(|node| node.name())
        .collect();
    if plan.when_dead() == WhenDead::Fail && evaluation.status != Status::Succeeded {
        // Beside the first that dies others may have run or not; but none that waits for what has died.
        let patient = compile(&workflow.clone().when_dead(WhenDead::Wait), &w(), &Limits::default()).unwrap();
        let reachable = celeriac_core::canvas::evaluate(&patient, handler).unwrap();
        for node in plan.nodes().filter(|node| ran.contains(&node.name())) {
            assert!(reachable.ends[node.index() as usize].is_some(), "{node:?} ran");
        }
        assert_eq!(ran.contains("on_failure"), plan.on_failure().is_some());
        assert_eq!(stage.end().await.0, State::Dead);
    } else {
        assert_eq!(ran, should);
        stage.assert_like(&evaluation, &plan).await;
    }
    if evaluation.status == Status::Succeeded {
        assert_eq!(stage.end().await.1.as_deref(), evaluation.result(&plan));
        return;
    }
    mended(stage, &workflow).await;
}

/// Retries until the workflow has succeeded, as one that never failed.
async fn mended(stage: &mut Stage, workflow: &Workflow) {
    let none = BTreeSet::new();
    while let Ok(retried) = retry(stage.broker.as_ref(), &w(), None).await {
        assert!(retried > 0);
        stage.run_in(2, |task, args| answer(task, args, &none)).await;
    }
    let evaluation = expected(workflow, |task, args| answer(task, args, &none));
    let plan = compile(workflow, &w(), &Limits::default()).unwrap();
    assert_eq!(stage.sight().await.status, Status::Succeeded, "{}", workflow.to_json());
    assert_eq!(stage.end().await, (State::Succeeded, evaluation.result(&plan).map(str::to_owned), None));
    for node in plan.nodes().filter(|node| node.kind() == NodeKind::Step) {
        let kept = stage.broker.step_ends(&w(), &[node.index()], true).await.unwrap().remove(0).unwrap();
        assert_eq!(Some(&kept.end.value), evaluation.values[node.index() as usize].as_ref(), "{node:?}");
    }
}

macro_rules! on_stores {
    ($($store:ident $module:ident),+) => { $(mod $module {
        #[tokio::test]
        async fn random_workflows_come_to_the_end_of_an_evaluation() {
            for seed in 0..super::CASES {
                super::is_like_an_evaluation(&mut crate::stage::Stage::$store().await, seed).await;
            }
        }
    })+ };
}
on_stores!(model on_the_model, sqlite on_sqlite, redis on_redis);
