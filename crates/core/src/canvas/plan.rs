//! A workflow that was checked: a flat list of nodes, each with those it waits for and those that wait for it.
//!
//! It is made for 100,000 nodes: names are put together when they are asked for, texts lie in one piece, steps that differ only in their
//! arguments share one template, and no list has an allocation of its own. A node's dependencies have smaller indices than it.

use std::fmt;
use std::ops::Range;

use super::refusal::nearest;
use super::workflow::WhenDead;
use crate::id::JobId;
use crate::name::{MAX_NAME_BYTES, QueueName, TaskName, WorkflowId};
use crate::options::{JobOptions, Priority};

/// What the jobs of alike steps have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Template {
    /// The task.
    pub task: TaskName,
    /// The queue; `None` is `default`. See [`Workflow::name_queues`](super::Workflow::name_queues).
    pub queue: Option<QueueName>,
    /// How urgent they are.
    pub priority: Priority,
    /// What they say differently from their task.
    pub options: JobOptions,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeKind {
    /// A step: a job.
    Step,
    /// No job: it has ended when all it waits for have, and its value is made of theirs. It stands between parts of which each has many
    /// steps, so that there are n + m edges and not n * m.
    Join,
    /// The job that runs when all steps have succeeded.
    OnSuccess,
    /// The job that runs when the first step has died.
    OnFailure,
}

/// Which value is made of those of a node's dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Gather {
    /// None: the node only waits. A join of this kind has the value `null`.
    Nothing,
    /// That of the only dependency.
    One,
    /// The list of all, in the order of the dependencies.
    List,
    /// The empty list, whatever the dependencies: that of an empty group.
    Empty,
    /// An object that calls each as [`Node::keys`] says.
    Named,
    /// The [`Failure`](super::Failure) of the workflow.
    Failure,
}

/// Where the gathered value goes in the arguments of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fill {
    /// Nowhere: the step has only its own.
    Own,
    /// It is the first, and the own ones, a list, follow.
    First,
    /// It is all of them.
    All,
    /// It is an object, and its members lie beside the own ones.
    Beside,
}

/// A part of the plan's text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: u32,
    length: u32,
}

impl Span {
    const EMPTY: Self = Self { start: 0, length: 0 };

    fn range(self) -> Range<usize> {
        self.start as usize..(self.start + self.length) as usize
    }
}

/// What a scope or a node adds to the name of the scope around it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Segment {
    /// Its place among others.
    Index(u32),
    /// A name.
    Name(Span),
    /// Nothing: the node stands for its scope, the scope for the one around it.
    Whole,
}

/// Where a name belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) scope: u32,
    pub(super) segment: Segment,
}

impl Spot {
    /// The scope of the whole workflow.
    pub(super) const ROOT: Self = Self { scope: 0, segment: Segment::Whole };
}

/// A node, as it is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) spot: Spot,
    pub(super) kind: NodeKind,
    pub(super) gather: Gather,
    pub(super) fill: Fill,
    /// Which template, for a job.
    pub(super) template: u32,
    /// Which names, for [`Gather::Named`].
    pub(super) keys: u32,
    /// Its own arguments; empty if it has none.
    pub(super) args: Span,
    /// Where its dependencies begin, which [`Plan::push`] knows; they end where those of the next node begin.
    pub(super) deps: u32,
}

impl Slot {
    pub(super) fn join(spot: Spot, gather: Gather) -> Self {
        Self { spot, kind: NodeKind::Join, gather, fill: Fill::Own, template: 0, keys: 0, args: Span::EMPTY, deps: 0 }
    }
}

/// A workflow that was checked and can be carried out. [`compile`](super::compile) makes it.
#[derive(Clone)]
pub struct Plan {
    workflow: WorkflowId,
    when_dead: WhenDead,
    slots: Vec<Slot>,
    deps: Vec<u32>,
    follower_starts: Vec<u32>,
    followers: Vec<u32>,
    scopes: Vec<Spot>,
    pub(super) templates: Vec<Template>,
    keys: Vec<Box<[Box<str>]>>,
    text: String,
    steps: usize,
    output: u32,
    on_success: Option<u32>,
    on_failure: Option<u32>,
}

impl Plan {
    /// A plan without nodes.
    pub(super) fn new(workflow: WorkflowId, when_dead: WhenDead) -> Self {
        Self {
            workflow,
            when_dead,
            slots: Vec::new(),
            deps: Vec::new(),
            follower_starts: Vec::new(),
            followers: Vec::new(),
            scopes: vec![Spot::ROOT],
            templates: Vec::new(),
            keys: Vec::new(),
            text: String::new(),
            steps: 0,
            output: 0,
            on_success: None,
            on_failure: None,
        }
    }

    /// Keeps a text. All texts together are part of a description whose size is bounded, so a place in them fits 32 bits.
    pub(super) fn keep(&mut self, text: &str) -> Span {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        Span { start, length: text.len() as u32 }
    }

    pub(super) fn keep_keys(&mut self, keys: Box<[Box<str>]>) -> u32 {
        self.keys.push(keys);
        (self.keys.len() - 1) as u32
    }

    pub(super) fn scope(&mut self, spot: Spot) -> u32 {
        self.scopes.push(spot);
        (self.scopes.len() - 1) as u32
    }

    /// Adds a node behind those it waits for.
    pub(super) fn push(&mut self, slot: Slot, deps: &[u32]) -> u32 {
        let index = self.slots.len() as u32;
        debug_assert!(deps.iter().all(|dep| *dep < index), "a node comes behind those it waits for");
        self.slots.push(Slot { deps: self.deps.len() as u32, ..slot });
        self.deps.extend_from_slice(deps);
        match slot.kind {
            NodeKind::Step => self.steps += 1,
            NodeKind::Join => {}
            NodeKind::OnSuccess => self.on_success = Some(index),
            NodeKind::OnFailure => self.on_failure = Some(index),
        }
        index
    }

    pub(super) fn set_output(&mut self, output: u32) {
        self.output = output;
    }

    /// Turns the edges round, once all nodes are there, and gives back what room is left.
    pub(super) fn finish(mut self) -> Self {
        let mut starts = vec![0u32; self.slots.len() + 1];
        for dep in &self.deps {
            starts[*dep as usize + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut next = starts.clone();
        let mut followers = vec![0; self.deps.len()];
        for index in 0..self.slots.len() {
            for dep in &self.deps[self.deps_range(index)] {
                let place = &mut next[*dep as usize];
                followers[*place as usize] = index as u32;
                *place += 1;
            }
        }
        (self.follower_starts, self.followers) = (starts, followers);
        self.slots.shrink_to_fit();
        self.deps.shrink_to_fit();
        self.scopes.shrink_to_fit();
        self.text.shrink_to_fit();
        self
    }

    fn deps_range(&self, index: usize) -> Range<usize> {
        let end = self.slots.get(index + 1).map_or(self.deps.len(), |next| next.deps as usize);
        self.slots[index].deps as usize..end
    }

    /// The id of the workflow.
    #[must_use]
    pub fn workflow(&self) -> &WorkflowId {
        &self.workflow
    }

    /// What happens when a step dies.
    #[must_use]
    pub fn when_dead(&self) -> WhenDead {
        self.when_dead
    }

    /// How many nodes there are: steps, joins and callbacks. Their indices begin at 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no node, which no checked workflow is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many steps there are: neither joins nor callbacks.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The node whose value is the result of the workflow. It ends last of all steps and joins.
    #[must_use]
    pub fn output(&self) -> u32 {
        self.output
    }

    /// The job that runs when all steps have succeeded.
    #[must_use]
    pub fn on_success(&self) -> Option<u32> {
        self.on_success
    }

    /// The job that runs when the first step has died.
    #[must_use]
    pub fn on_failure(&self) -> Option<u32> {
        self.on_failure
    }

    /// A node by its index.
    #[must_use]
    pub fn node(&self, index: u32) -> Option<Node<'_>> {
        self.slots.get(index as usize).map(|_| Node { plan: self, index })
    }

    /// All nodes in the order of their indices: each comes behind those it waits for.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = Node<'_>> + ExactSizeIterator {
        (0..self.slots.len() as u32).map(|index| Node { plan: self, index })
    }

    /// The node of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Node<'_>> {
        self.nodes().find(|node| node.name() == name)
    }

    /// The name that is nearest to one that no node has, if one is near.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<String> {
        nearest(name, self.nodes().map(Node::name))
    }

    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        let keys = self.keys.iter().flat_map(|keys| keys.iter()).map(|key| key.len() + size_of::<Box<str>>());
        self.slots.capacity() * size_of::<Slot>()
            + (self.deps.capacity() + self.follower_starts.capacity() + self.followers.capacity()) * size_of::<u32>()
            + self.scopes.capacity() * size_of::<Spot>()
            + self.templates.capacity() * size_of::<Template>()
            + self.text.capacity()
            + keys.sum::<usize>()
    }

    fn segment(&self, segment: Segment) -> Option<String> {
        match segment {
            Segment::Index(index) => Some(index.to_string()),
            Segment::Name(span) => Some(self.text[span.range()].to_owned()),
            Segment::Whole => None,
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("workflow", &self.workflow)
            .field("nodes", &self.slots.len())
            .finish_non_exhaustive()
    }
}

/// A node of a plan.
#[derive(Clone, Copy)]
pub struct Node<'p> {
    plan: &'p Plan,
    index: u32,
}

impl<'p> Node<'p> {
    /// The plan it belongs to.
    #[must_use]
    pub fn plan(self) -> &'p Plan {
        self.plan
    }

    pub(super) fn slot(&self) -> &'p Slot {
        &self.plan.slots[self.index as usize]
    }

    /// Its index.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> NodeKind {
        self.slot().kind
    }

    /// Its name, which no other node has: the way to it from the whole, such as `days/3`.
    #[must_use]
    pub fn name(self) -> String {
        let mut spot = self.slot().spot;
        let mut segments = Vec::new();
        loop {
            segments.extend(self.plan.segment(spot.segment));
            if spot.scope == 0 {
                break;
            }
            spot = self.plan.scopes[spot.scope as usize];
        }
        segments.reverse();
        // Only what stands for all of a graph without a name has no way to it.
        if segments.is_empty() { "steps".to_owned() } else { segments.join("/") }
    }

    /// The id of its job; a join has none.
    ///
    /// It is `<workflow>:<name>`. If that is longer than an id may be, it is `<workflow>:/<index>`, which is like no name: names do not
    /// begin with a slash and have no colon.
    #[must_use]
    pub fn id(self) -> Option<JobId> {
        if self.kind() == NodeKind::Join {
            return None;
        }
        let workflow = &self.plan.workflow;
        let name = self.name();
        let fits = workflow.as_str().len() + 1 + name.len() <= MAX_NAME_BYTES;
        Some(if fits {
            JobId::of_step(workflow, format_args!("{name}"))
        } else {
            JobId::of_step(workflow, format_args!("/{}", self.index))
        })
    }

    /// What it waits for.
    #[must_use]
    pub fn deps(self) -> &'p [u32] {
        &self.plan.deps[self.plan.deps_range(self.index as usize)]
    }

    /// What waits for it.
    #[must_use]
    pub fn followers(self) -> &'p [u32] {
        let starts = &self.plan.follower_starts[self.index as usize..];
        &self.plan.followers[starts[0] as usize..starts[1] as usize]
    }

    /// Which value is made of those of its dependencies.
    #[must_use]
    pub fn gather(self) -> Gather {
        self.slot().gather
    }

    /// Where that value goes in its arguments.
    #[must_use]
    pub fn fill(self) -> Fill {
        self.slot().fill
    }

    /// How [`Gather::Named`] calls the values of its dependencies, in their order; else empty.
    #[must_use]
    pub fn keys(self) -> &'p [Box<str>] {
        let slot = self.slot();
        if slot.gather == Gather::Named { &self.plan.keys[slot.keys as usize] } else { &[] }
    }

    /// What its job has in common with others; a join has none.
    #[must_use]
    pub fn template(self) -> Option<&'p Template> {
        let slot = self.slot();
        (slot.kind != NodeKind::Join).then(|| &self.plan.templates[slot.template as usize])
    }

    /// Its own arguments, if it has any.
    #[must_use]
    pub fn args(self) -> Option<&'p str> {
        let span = self.slot().args;
        (span.length > 0).then(|| &self.plan.text[span.range()])
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, kind) = (self.name(), self.kind());
        f.debug_struct("Node").field("name", &name).field("kind", &kind).field("deps", &self.deps()).finish()
    }
}
