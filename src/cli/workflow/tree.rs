//! The nodes of a workflow as a tree of their names, in which many alike lie in one line.

use std::collections::{BTreeMap, HashMap};

use celeriac_core::canvas::{NodeKind, Plan};
use celeriac_workflow::{NodeSight, NodeState, Sight};

/// So many members are shown one by one; of more, those alike are summed up.
const SHOWN: usize = 10;

/// How many failures are named in what is summed up.
const NAMED: usize = 3;

/// How many parts are named that a part waits for.
const AWAITED: usize = 4;

/// How joins are called that have no line: those of what a part waits for, and of a graph that is the whole.
const JOINS: [&str; 2] = ["deps", "steps"];

/// A line of the tree.
#[derive(Debug)]
pub(super) struct Line<'s> {
    /// How deep it lies.
    pub(super) depth: usize,
    /// The last part of the name, or those of the first and the last that are summed up.
    pub(super) name: String,
    /// The step; `None` for what has parts of its own, and for a sum.
    pub(super) node: Option<&'s NodeSight>,
    /// The task of all that are summed up, if it is one.
    pub(super) task: Option<String>,
    /// How many of the steps that are summed up are in which state.
    pub(super) sum: Option<BTreeMap<NodeState, usize>>,
    /// What it waits for.
    pub(super) after: String,
}

/// A name and what lies in it.
#[derive(Debug, Default)]
struct Branch {
    segment: String,
    node: Option<u32>,
    parts: Vec<usize>,
}

/// The names of all nodes, the first of which is that of the whole.
#[derive(Debug)]
struct Tree<'s> {
    sight: &'s Sight,
    branches: Vec<Branch>,
}

/// The lines of a workflow.
pub(super) fn lines(sight: &Sight) -> Vec<Line<'_>> {
    let tree = Tree::new(sight);
    let mut lines = Vec::new();
    tree.parts_of(0, 0, &mut lines);
    lines
}

impl<'s> Tree<'s> {
    fn new(sight: &'s Sight) -> Self {
        let mut branches = vec![Branch::default()];
        let mut known: HashMap<(usize, &str), usize> = HashMap::new();
        for (index, node) in (0..).zip(&sight.nodes) {
            let mut at = 0;
            for segment in node.name.split('/') {
                at = *known.entry((at, segment)).or_insert_with(|| {
                    let new = branches.len();
                    branches[at].parts.push(new);
                    branches.push(Branch { segment: segment.to_owned(), ..Branch::default() });
                    new
                });
            }
            branches[at].node = Some(index);
        }
        // What a part waits for is said beside the part, and a join of the whole is the last of all. Parts of people have other names.
        let is_join = |branch: &Branch| JOINS.contains(&branch.segment.as_str()) && branch.parts.is_empty();
        let hidden: Vec<bool> = branches.iter().map(is_join).collect();
        branches.iter_mut().for_each(|branch| branch.parts.retain(|part| !hidden[*part]));
        Self { sight, branches }
    }

    fn sight_of(&self, branch: usize) -> Option<&'s NodeSight> {
        let node = self.branches[branch].node?;
        self.sight.nodes.get(node as usize)
    }

    fn is_step(&self, branch: usize) -> bool {
        self.branches[branch].parts.is_empty() && self.sight_of(branch).is_some_and(|node| node.kind != NodeKind::Join)
    }

    fn parts_of(&self, branch: usize, depth: usize, lines: &mut Vec<Line<'s>>) {
        let parts = &self.branches[branch].parts;
        if parts.len() <= SHOWN {
            return parts.iter().for_each(|part| self.one(*part, depth, lines));
        }
        for alike in parts.chunk_by(|one, other| self.shape(*one) == self.shape(*other)) {
            if alike.len() <= NAMED {
                alike.iter().for_each(|part| self.one(*part, depth, lines));
            } else {
                self.many(alike, depth, lines);
            }
        }
    }

    /// What members have in common that are alike: a task, or the tasks in them.
    fn shape(&self, branch: usize) -> Vec<&str> {
        let of_one = |branch: usize| self.sight_of(branch).and_then(|node| node.task.as_ref());
        match self.branches[branch].parts.as_slice() {
            [] => of_one(branch).map(|task| vec![task.as_str()]).unwrap_or_default(),
            // More need not be looked at: those that differ further down are summed up in one line, and none is lost.
            parts => {
                let tasks = parts.iter().take(SHOWN).map(|part| of_one(*part).map_or("", |task| task.as_str()));
                std::iter::once("").chain(tasks).collect()
            }
        }
    }

    fn one(&self, branch: usize, depth: usize, lines: &mut Vec<Line<'s>>) {
        let node = self.is_step(branch).then(|| self.sight_of(branch)).flatten();
        let name = self.branches[branch].segment.clone();
        let after = self.after(branch);
        let task = node.and_then(|node| node.task.as_ref()).map(ToString::to_string);
        lines.push(Line { depth, name, node, task, sum: None, after });
        self.parts_of(branch, depth + 1, lines);
    }

    fn many(&self, branches: &[usize], depth: usize, lines: &mut Vec<Line<'s>>) {
        let mut steps = Vec::new();
        branches.iter().for_each(|branch| self.steps_in(*branch, &mut steps));
        let mut sum = BTreeMap::new();
        for step in &steps {
            *sum.entry(step.state).or_default() += 1;
        }
        let end = |branch: Option<&usize>| branch.map_or("", |branch| self.branches[*branch].segment.as_str());
        let name = format!("{}..{}", end(branches.first()), end(branches.last()));
        let task = steps.first().and_then(|first| first.task.as_ref());
        let task = task.filter(|_| branches.iter().all(|branch| self.is_step(*branch))).map(ToString::to_string);
        let after = branches.first().map(|first| self.after(*first)).unwrap_or_default();
        lines.push(Line { depth, name, node: None, task, sum: Some(sum), after });
        for bad in steps.into_iter().filter(|step| step.state.is_failure()).take(NAMED) {
            let task = bad.task.as_ref().map(ToString::to_string);
            let after = String::new();
            lines.push(Line { depth: depth + 1, name: bad.name.clone(), node: Some(bad), task, sum: None, after });
        }
    }

    fn steps_in(&self, branch: usize, steps: &mut Vec<&'s NodeSight>) {
        if self.is_step(branch) {
            steps.extend(self.sight_of(branch));
        }
        self.branches[branch].parts.iter().for_each(|part| self.steps_in(*part, steps));
    }

    /// What a part waits for, in words. A part of several waits where those in it do that begin first.
    fn after(&self, branch: usize) -> String {
        let Some(node) = self.branches[branch].node.filter(|_| self.is_step(branch)) else { return String::new() };
        let plan = self.sight.plan.as_ref();
        let mut deps = plan.node(node).map(|node| node.deps()).unwrap_or_default();
        // A join that only collects what this part waits for has no line of its own.
        while let [only] = deps {
            match plan.node(*only).filter(|only| only.kind() == NodeKind::Join && only.name().ends_with("deps")) {
                Some(join) => deps = join.deps(),
                None => break,
            }
        }
        awaited(plan, deps)
    }
}

fn awaited(plan: &Plan, deps: &[u32]) -> String {
    let named = deps.iter().take(AWAITED).filter_map(|dep| plan.node(*dep));
    let mut names: Vec<String> = named.map(|node| node.name()).collect();
    if deps.len() > AWAITED {
        names.push(format!("and {} more", deps.len() - AWAITED));
    }
    names.join(", ")
}
