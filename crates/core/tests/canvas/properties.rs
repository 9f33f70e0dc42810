//! What holds for every workflow.

use std::collections::{BTreeSet, HashSet};

use celeriac_core::TaskName;
use celeriac_core::canvas::{Evaluation, NodeKind, Plan, Status, WhenDead, Workflow, evaluate};
use celeriac_testkit::{random_result, random_workflows};
use proptest::prelude::*;

use crate::support::{compile_it, edges};

/// Which tasks die.
fn dying() -> impl Strategy<Value = BTreeSet<u8>> {
    prop_oneof![
        Just(BTreeSet::new()),
        prop::collection::btree_set(0..50u8, 0..4),
        prop::collection::btree_set(0..50u8, 0..50)
    ]
}

fn dies(task: &TaskName, dying: &BTreeSet<u8>) -> bool {
    task.as_str().strip_prefix('t').and_then(|number| number.parse().ok()).is_some_and(|number| dying.contains(&number))
}

fn in_order(plan: &Plan, dying: &BTreeSet<u8>) -> Evaluation {
    let run = |task: &TaskName, args: &str| {
        if dies(task, dying) { Err(format!("{task} is broken")) } else { Ok(random_result(task, args)) }
    };
    evaluate(plan, run).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_step_is_one_node_of_an_order_without_cycles(workflow in random_workflows()) {
        let plan = compile_it(&workflow).unwrap();
        let mut tasks = Vec::new();
        let (mut names, mut ids) = (HashSet::new(), HashSet::new());
        for node in plan.nodes() {
            prop_assert!(node.deps().iter().all(|dep| *dep < node.index()));
            for dep in node.deps() {
                let followers = plan.node(*dep).unwrap().followers();
                prop_assert_eq!(followers.iter().filter(|follower| **follower == node.index()).count(), 1);
            }
            prop_assert!(names.insert(node.name()), "{} twice", node.name());
            prop_assert_eq!(plan.find(&node.name()).map(|found| found.index()), Some(node.index()));
            if let Some(id) = node.id() {
                prop_assert!(ids.insert(id));
            }
            if node.kind() == NodeKind::Step {
                tasks.push(node.template().unwrap().task.as_str()[1..].parse::<usize>().unwrap());
            }
        }
        let (from, to): (usize, usize) =
            (plan.nodes().map(|node| node.deps().len()).sum(), plan.nodes().map(|node| node.followers().len()).sum());
        prop_assert_eq!(from, to);
        tasks.sort_unstable();
        prop_assert_eq!(&tasks, &(0..plan.steps()).collect::<Vec<_>>());
        prop_assert!(workflow.to_json().matches("\"task\":\"t").count() == tasks.len() && tasks.len() <= 60);
    }

    #[test]
    fn all_of_a_workflow_ends_before_its_output(workflow in random_workflows()) {
        let plan = compile_it(&workflow).unwrap();
        let mut before = vec![false; plan.len()];
        before[plan.output() as usize] = true;
        for node in plan.nodes().rev().filter(|node| node.kind() != NodeKind::OnSuccess) {
            if before[node.index() as usize] {
                node.deps().iter().for_each(|dep| before[*dep as usize] = true);
            }
        }
        for node in plan.nodes().filter(|node| matches!(node.kind(), NodeKind::Step | NodeKind::Join)) {
            prop_assert!(before[node.index() as usize], "{:?}", node);
        }
    }

    #[test]
    fn a_workflow_reads_back(workflow in random_workflows()) {
        let json = workflow.to_json();
        let read: Workflow = json.parse().unwrap();
        prop_assert_eq!(&read, &workflow);
        prop_assert_eq!(read.to_json(), json);
        prop_assert_eq!(edges(&compile_it(&read).unwrap()), edges(&compile_it(&workflow).unwrap()));
    }

    #[test]
    fn what_is_behind_a_dead_step_does_not_run_and_the_rest_does(workflow in random_workflows(), dying in dying()) {
        let plan = compile_it(&workflow).unwrap();
        let evaluation = in_order(&plan, &dying);
        let mut good = vec![false; plan.len()];
        for node in plan.nodes().filter(|node| matches!(node.kind(), NodeKind::Step | NodeKind::Join)) {
            let is_dead = node.template().is_some_and(|template| dies(&template.task, &dying));
            let runs = node.deps().iter().all(|dep| good[*dep as usize]);
            good[node.index() as usize] = runs && (!is_dead || plan.when_dead() == WhenDead::Continue);
            let end = &evaluation.ends[node.index() as usize];
            if plan.when_dead() != WhenDead::Fail {
                prop_assert_eq!(end.is_some(), runs, "{:?}", node);
            }
            prop_assert_eq!(end.as_ref().is_some_and(Result::is_err), end.is_some() && is_dead);
        }
        let is_good = good[plan.output() as usize];
        prop_assert_eq!(evaluation.status == Status::Succeeded, is_good);
        let ran = |node: Option<u32>| node.map(|node| evaluation.ends[node as usize].is_some());
        prop_assert_ne!(ran(plan.on_success()), Some(!is_good));
        prop_assert!(is_good || ran(plan.on_failure()) != Some(false));
    }
}
