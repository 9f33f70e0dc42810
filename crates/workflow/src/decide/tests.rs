//! The decisions alone, on random workflows, compared with an evaluation in one thread.

use std::collections::BTreeSet;

use celeriac_core::canvas::{EndKind, Limits, NodeKind, Plan, Policy, Status, compile, evaluate};
use celeriac_core::{TaskName, WorkflowId};
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::{Mark, Marks, Todo, todo};

/// Whether this task dies.
fn dies(task: &TaskName, dying: &BTreeSet<u8>) -> bool {
    task.as_str().strip_prefix('t').and_then(|number| number.parse().ok()).is_some_and(|number| dying.contains(&number))
}

/// Does what is to be done, for one node after the other in any order, until there is nothing to do; the ends of all nodes.
fn carry_out(plan: &Plan, dying: &BTreeSet<u8>, mut order: impl FnMut(usize) -> usize) -> Marks {
    let mut marks = Marks(vec![None; plan.len()]);
    let mut halted = false;
    loop {
        let to_do: Vec<(u32, Todo)> = plan
            .nodes()
            .map(|node| (node.index(), todo(node, marks.get(node.index()), marks.may_begin(node))))
            .filter(|(_, todo)| matches!(todo, Todo::Begin | Todo::Advance(_)) && !halted)
            .collect();
        if to_do.is_empty() {
            return marks;
        }
        let (index, todo) = to_do[order(to_do.len())];
        let node = plan.node(index).unwrap();
        let dead = node.template().is_some_and(|template| dies(&template.task, dying));
        let kind = match node.policy() {
            Some(Policy::Continue) if dead => EndKind::Error,
            _ if dead => EndKind::Dead,
            _ => EndKind::Succeeded,
        };
        let is_pending = todo == Todo::Begin && kind.lets_go_on() && !node.followers().is_empty();
        marks.0[index as usize] = Some(Mark { kind, pending: is_pending.then_some(0), assumed: false });
        halted |= !kind.lets_go_on() && node.policy() == Some(Policy::Fail);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_decided_in_any_order_comes_to_the_end_of_an_evaluation(
        workflow in celeriac_testkit::random_workflows(),
        dying in prop::collection::btree_set(0..50u8, 0..6),
        order: Vec<u8>,
    ) {
        let plan = compile(&workflow, &WorkflowId::new("w").unwrap(), &Limits::default()).unwrap();
        let answer = |task: &TaskName, _: &str| {
            if dies(task, &dying) { Err("dead".to_owned()) } else { Ok(RawValue::NULL.to_owned()) }
        };
        let evaluation = evaluate(&plan, answer).unwrap();
        let mut order = order.into_iter();
        let marks = carry_out(&plan, &dying, |count| usize::from(order.next().unwrap_or(0)) % count);
        prop_assert_eq!(marks.status(&plan), evaluation.status);
        for node in plan.nodes().filter(|node| node.kind() != NodeKind::OnFailure) {
            let end = marks.get(node.index());
            let ran = evaluation.ends[node.index() as usize].is_some();
            if evaluation.status == Status::Failed {
                // What is beside the first that dies has run or not.
                prop_assert!(end.is_none() || node.deps().iter().all(|dep| marks.get(*dep).is_some()));
            } else {
                prop_assert_eq!(end.is_some(), ran, "{:?}", node);
            }
        }
        let finish = plan.node(plan.output()).map(|node| todo(node, marks.get(node.index()), false));
        prop_assert_eq!(finish == Some(Todo::Finish), evaluation.status == Status::Succeeded);
    }

    #[test]
    fn joins_are_taken_for_ended_when_all_before_them_has(workflow in celeriac_testkit::random_workflows(), known: Vec<bool>) {
        let plan = compile(&workflow, &WorkflowId::new("w").unwrap(), &Limits::default()).unwrap();
        let mark = Mark { kind: EndKind::Succeeded, pending: None, assumed: false };
        let steps = plan.nodes().zip(known.into_iter().chain(std::iter::repeat(false)));
        let ends = steps.map(|(node, known)| Some(mark).filter(|_| known && node.kind() != NodeKind::Join));
        let marks = Marks(ends.collect()).with_joins(&plan);
        for node in plan.nodes().filter(|node| node.kind() == NodeKind::Join) {
            prop_assert_eq!(marks.get(node.index()).is_some(), marks.may_begin(node));
        }
    }
}
