//! What holds for every workflow, in whatever order its jobs end.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use celeriac_core::TaskName;
use celeriac_core::canvas::{
    Changes, End, Evaluation, Failure, NodeKind, NodeState, Plan, Progress, Status, WhenDead, Workflow, evaluate,
};
use proptest::prelude::*;
use serde_json::value::RawValue;

use crate::random::workflows;
use crate::support::{compile_it, edges, raw};

/// A result that depends on the task and all of its arguments, and is short.
fn result(task: &TaskName, args: &str) -> Box<RawValue> {
    let hash =
        task.as_str().bytes().chain(args.bytes()).fold(14_695_981_039_346_656_037_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211)
        });
    raw(&format!("{{\"{task}\":{hash}}}"))
}

/// Carries a plan out in any order: jobs end when `order` says so, reports come more often than once, and jobs that are to be stopped
/// may have begun or not.
struct Store<'p> {
    plan: &'p Plan,
    progress: Progress<'p>,
    order: std::vec::IntoIter<u8>,
    /// The arguments of each job that has not ended.
    jobs: BTreeMap<u32, String>,
    values: Vec<Option<String>>,
    ends: Vec<Option<Result<String, Failure>>>,
    attempts: Vec<u32>,
    /// What was told so far.
    told: Vec<(u32, End)>,
    first_failure: Option<Failure>,
    begun: BTreeMap<u32, usize>,
}

impl<'p> Store<'p> {
    fn start(plan: &'p Plan, order: Vec<u8>) -> Self {
        let (progress, changes) = Progress::start(plan);
        let mut store = Self {
            plan,
            progress,
            order: order.into_iter(),
            jobs: BTreeMap::new(),
            values: vec![None; plan.len()],
            ends: vec![None; plan.len()],
            attempts: vec![0; plan.len()],
            told: Vec::new(),
            first_failure: None,
            begun: BTreeMap::new(),
        };
        store.apply(&changes);
        store
    }

    fn pick(&mut self, end: usize) -> usize {
        usize::from(self.order.next().unwrap_or(0)) % end
    }

    fn apply(&mut self, changes: &Changes) {
        for &index in &changes.joined {
            let value = self.plan.node(index).unwrap().gather_value(|dep| self.values[dep as usize].as_deref());
            let value = value.unwrap();
            assert_eq!(self.values[index as usize].replace(value.clone()), None, "a join ends once");
            self.ends[index as usize] = Some(Ok(value));
        }
        let goes_on = !matches!(self.progress.status(), Status::Failed | Status::Revoked);
        for &index in &changes.ready {
            let node = self.plan.node(index).unwrap();
            assert!(goes_on || node.kind() == NodeKind::OnFailure || self.is_bad_again(index), "{node:?} begins");
            let payload = match node.kind() {
                NodeKind::OnFailure => node.failure_payload(self.first_failure.as_ref().unwrap()),
                _ => node.payload(|dep| self.values[dep as usize].as_deref()).unwrap(),
            };
            let payload = String::from_utf8(payload).unwrap();
            serde_json::from_str::<serde_json::Value>(&payload).unwrap();
            assert_eq!(self.jobs.insert(index, payload), None, "a job is not made twice");
            *self.begun.entry(index).or_default() += 1;
        }
        let open: Vec<u32> = self.open();
        let jobs: Vec<u32> = self.jobs.keys().copied().collect();
        assert_eq!(open, jobs, "what is open is what the store has");
    }

    /// Whether an operator has just retried it, which is possible at any time.
    fn is_bad_again(&self, node: u32) -> bool {
        matches!(self.ends[node as usize], Some(Err(_)))
    }

    fn open(&self) -> Vec<u32> {
        let states = self.progress.states().iter().enumerate();
        states.filter(|(_, state)| state.is_open()).map(|(index, _)| index as u32).collect()
    }

    /// Tells how a job ended, and what was told before once more, and what cannot be.
    fn tell(&mut self, node: u32, end: End) {
        let mut restored = Progress::restore(self.plan, self.progress.states().to_vec(), self.progress.is_revoked());
        assert_eq!((restored.status(), restored.open()), (self.progress.status(), self.progress.open()));
        let changes = self.progress.report(node, end);
        assert_eq!(restored.report(node, end), changes, "what is kept of a workflow is enough to go on");
        self.apply(&changes);
        self.told.push((node, end));
        for _ in 0..self.pick(3) {
            let choice = self.pick(self.told.len());
            let (node, end) = self.told[choice];
            // A revocation cannot be told from the one before, see `report`.
            if end != End::Revoked {
                assert!(self.progress.report(node, end).is_empty(), "{node} {end:?} told again");
            }
            let other = self.pick(self.plan.len()) as u32;
            if self.progress.state(other) == Some(NodeState::Waiting) {
                assert!(self.progress.report(other, End::Succeeded).is_empty());
            }
        }
    }

    /// Ends one job that has not ended; false if there is none.
    fn step(&mut self, run: &mut impl FnMut(&TaskName, &str) -> Result<Box<RawValue>, String>) -> bool {
        if self.jobs.is_empty() {
            return false;
        }
        let choice = self.pick(self.jobs.len());
        let index = *self.jobs.keys().nth(choice).unwrap();
        let args = self.jobs.remove(&index).unwrap();
        let node = self.plan.node(index).unwrap();
        if self.progress.state(index) == Some(NodeState::Stopping) && self.pick(2) == 0 {
            self.tell(index, End::Revoked);
            return true;
        }
        self.attempts[index as usize] += 1;
        let attempt = self.attempts[index as usize];
        let task = &node.template().unwrap().task;
        let end = run(task, &args).map(|result| result.get().to_owned());
        let end = end.map_err(|error| Failure::of(node, error, 1).unwrap());
        self.values[index as usize] = self.plan.value(end.as_deref());
        let told = if end.is_ok() { End::Succeeded } else { End::Dead { attempt } };
        if node.kind() == NodeKind::Step {
            self.first_failure = self.first_failure.take().or_else(|| end.as_ref().err().cloned());
        }
        self.ends[index as usize] = Some(end);
        self.tell(index, told);
        true
    }
}

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
        if dies(task, dying) { Err(format!("{task} is broken")) } else { Ok(result(task, args)) }
    };
    evaluate(plan, run).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_step_is_one_node_of_an_order_without_cycles(workflow in workflows()) {
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
    fn all_of_a_workflow_ends_before_its_output(workflow in workflows()) {
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
    fn a_workflow_reads_back(workflow in workflows()) {
        let json = workflow.to_json();
        let read: Workflow = json.parse().unwrap();
        prop_assert_eq!(&read, &workflow);
        prop_assert_eq!(read.to_json(), json);
        prop_assert_eq!(edges(&compile_it(&read).unwrap()), edges(&compile_it(&workflow).unwrap()));
    }

    #[test]
    fn jobs_that_end_in_any_order_come_to_the_end_of_one_after_the_other(
        workflow in workflows(),
        dying in dying(),
        order: Vec<u8>,
    ) {
        let plan = compile_it(&workflow).unwrap();
        let expected = in_order(&plan, &dying);
        let mut store = Store::start(&plan, order);
        let mut run = |task: &TaskName, args: &str| {
            if dies(task, &dying) { Err(format!("{task} is broken")) } else { Ok(result(task, args)) }
        };
        while store.step(&mut run) {}
        prop_assert_eq!(store.progress.status(), expected.status);
        prop_assert!(store.begun.values().all(|times| *times == 1), "nothing runs twice without a retry");
        let first = store.first_failure.is_some();
        for (node, expected) in plan.nodes().zip(&expected.ends) {
            let end = &store.ends[node.index() as usize];
            let is_fixed = plan.when_dead() != WhenDead::Fail || expected.is_none() || !first;
            match node.kind() {
                // Which failure is the first depends on the order.
                NodeKind::OnFailure => prop_assert_eq!(end.is_some(), first),
                _ if is_fixed && plan.when_dead() != WhenDead::Fail => prop_assert_eq!(end, expected),
                _ if !first => prop_assert_eq!(end, expected),
                _ => {}
            }
        }
        // Under `fail` more or less may have begun before the first death; but what has ended has ended as it must.
        let alone = compile_it(&workflow.clone().when_dead(WhenDead::Wait));
        if let (WhenDead::Fail, Ok(alone)) = (plan.when_dead(), alone) {
            let expected = in_order(&alone, &dying);
            for node in plan.nodes().filter(|node| node.kind() == NodeKind::Step) {
                let end = &store.ends[node.index() as usize];
                prop_assert!(end.is_none() || *end == expected.ends[node.index() as usize]);
            }
        }
    }

    #[test]
    fn with_enough_retries_every_workflow_succeeds_with_the_results_of_one_that_never_failed(
        workflow in workflows(),
        dying in prop::collection::btree_map(0..50u8, 1..4u32, 0..8),
        order: Vec<u8>,
    ) {
        prop_assume!(!workflow.to_json().contains("\"when_dead\":\"continue\""));
        let plan = compile_it(&workflow).unwrap();
        let expected = in_order(&plan, &BTreeSet::new());
        let mut store = Store::start(&plan, order);
        let mut dying: BTreeMap<String, u32> = dying.into_iter().map(|(task, times)| (format!("t{task}"), times)).collect();
        let mut run = move |task: &TaskName, args: &str| match dying.get_mut(task.as_str()).filter(|times| **times > 0) {
            Some(times) => {
                *times -= 1;
                Err("not yet".to_owned())
            }
            None => Ok(result(task, args)),
        };
        for _ in 0..2_000 {
            let bad: Vec<u32> = store.progress.bad().collect();
            if !bad.is_empty() && (store.jobs.is_empty() || store.pick(3) == 0) {
                let node = bad[store.pick(bad.len())];
                let changes = store.progress.retry(node).unwrap();
                store.apply(&changes);
            }
            if !store.step(&mut run) && store.progress.bad().next().is_none() {
                break;
            }
        }
        prop_assert_eq!(store.progress.status(), Status::Succeeded);
        for node in plan.nodes().filter(|node| node.kind() != NodeKind::OnFailure) {
            prop_assert_eq!(&store.ends[node.index() as usize], &expected.ends[node.index() as usize], "{:?}", node);
        }
    }
}
