//! The parts of a workflow, and how a program puts them together.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::name::{QueueName, TaskName};
use crate::options::JobOptions;

/// The longest time that is kept: what [`parse_duration`](crate::parse_duration) reads, about 3,000 years.
const LONGEST_MS: u64 = 99_999_999_999_999;

/// What a step is given of what came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Takes {
    /// Nothing: it only waits. In JSON `none`.
    Nothing,
    /// The result, as its first argument; arguments of its own, a list, follow. In JSON `result`.
    Result,
    /// Each result as the argument that is called like the part it comes from, beside arguments of its own, an object. In JSON `results`.
    Results,
    /// A list of the results in the order of the dependencies, as its first argument; arguments of its own, a list, follow. In JSON `list`.
    List,
    /// The result, an object or a list, as all its arguments. In JSON `arguments`.
    Arguments,
}

impl Takes {
    pub(super) const ALL: [Self; 5] = [Self::Nothing, Self::Result, Self::Results, Self::List, Self::Arguments];

    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Result => "result",
            Self::Results => "results",
            Self::List => "list",
            Self::Arguments => "arguments",
        }
    }
}

/// One job of a workflow, not yet checked: [`compile`](super::compile) checks it with all the others, and says which is wrong.
#[derive(Debug, Clone)]
#[must_use = "a step does nothing until its workflow is enqueued"]
pub struct Step {
    pub(super) task: String,
    pub(super) args: Option<Box<RawValue>>,
    pub(super) queue: Option<String>,
    pub(super) priority: Option<u8>,
    /// Without headers and unique key.
    pub(super) options: JobOptions,
    pub(super) headers: BTreeMap<String, String>,
}

impl Step {
    /// A job for the task of this name.
    pub fn new(task: impl Into<String>) -> Self {
        Self {
            task: task.into(),
            args: None,
            queue: None,
            priority: None,
            options: JobOptions::default(),
            headers: BTreeMap::new(),
        }
    }

    /// Sets its own arguments, JSON: an object by their names, or a list by their places. Without them it has none.
    pub fn args(mut self, args: Box<RawValue>) -> Self {
        self.args = Some(args);
        self
    }

    /// Sends it to this queue instead of the task's own.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// Sets how urgent it is among the jobs of its queue: 0 to 9, 9 first, 5 unless set.
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets how many failures lead to another attempt, instead of the task's own number.
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.retries = Some(retries);
        self
    }

    /// Limits how long one attempt may run, instead of the task's own limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout_ms = Some(millis(timeout));
        self
    }

    /// Tells an attempt after this long that it should stop, instead of the task's own soft limit.
    pub fn soft_timeout(mut self, timeout: Duration) -> Self {
        self.options.soft_timeout_ms = Some(millis(timeout));
        self
    }

    /// Lets no attempt begin later than this after the step became ready: then it ends as expired.
    pub fn expires(mut self, expires: Duration) -> Self {
        self.options.expires_ms = Some(millis(expires));
        self
    }

    /// Lets it end no later than this after it became ready: what runs then is given up, and the step is dead.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline_ms = Some(millis(deadline));
        self
    }

    /// Sets how long the end of its job can be read, instead of the task's own time; zero keeps nothing.
    pub fn result_ttl(mut self, ttl: Duration) -> Self {
        self.options.result_ttl_ms = Some(millis(ttl));
        self
    }

    /// Adds a header, which travels with the job and reaches its handler untouched. One of the same name is replaced.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Names it; see [`Canvas::named`].
    pub fn named(self, name: impl Into<String>) -> Canvas {
        Canvas::from(self).named(name)
    }

    /// Says what it takes; see [`Canvas::takes`].
    pub fn takes(self, takes: Takes) -> Canvas {
        Canvas::from(self).takes(takes)
    }

    /// Lets what follows only wait for it; see [`Canvas::feeds_nothing`].
    pub fn feeds_nothing(self) -> Canvas {
        Canvas::from(self).feeds_nothing()
    }

    /// Lets another part follow; see [`Canvas::then`].
    pub fn then(self, next: impl Into<Canvas>) -> Canvas {
        Canvas::from(self).then(next)
    }

    /// Names its queue, if it has none and `of` says another than `default`.
    pub(super) fn name_queue(&mut self, of: impl Fn(&TaskName) -> Option<QueueName>) {
        let Ok(task) = TaskName::new(&self.task) else { return };
        if self.queue.is_none() {
            self.queue = of(&task).filter(|queue| *queue != QueueName::default()).map(|queue| queue.to_string());
        }
    }

    /// Whether two steps differ at most in their arguments.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.task == other.task
            && self.queue == other.queue
            && self.priority == other.priority
            && self.options == other.options
            && self.headers == other.headers
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        let args = |step: &Self| step.args.as_ref().map(|args| args.get().to_owned());
        self.is_like(other) && args(self) == args(other)
    }
}

/// Whole milliseconds, rounded up so that a short time does not become none.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).min(LONGEST_MS)
}

/// A part of a workflow: a step, or parts in a certain order.
///
/// ```
/// use celeriac_core::canvas::Canvas;
///
/// let days = (1..=7).map(|_| Canvas::step("resize"));
/// let canvas = Canvas::step("list").feeds_nothing().then(Canvas::group(days).join(Canvas::step("publish")));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a part does nothing until its workflow is enqueued"]
pub struct Canvas {
    pub(super) name: Option<String>,
    pub(super) takes: Option<Takes>,
    /// Whether its result is offered to the part behind it in a chain.
    pub(super) feeds: bool,
    pub(super) shape: Shape,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Step(Step),
    Chain(Vec<Canvas>),
    Group(Vec<Canvas>),
    Chord(Vec<Canvas>, Box<Canvas>),
    Graph(Vec<GraphPart>),
}

/// A part of a graph.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GraphPart {
    pub(super) name: String,
    pub(super) deps: Vec<String>,
    pub(super) part: Canvas,
}

impl Canvas {
    pub(super) fn of(shape: Shape) -> Self {
        Self { name: None, takes: None, feeds: true, shape }
    }

    /// One job for the task of this name.
    pub fn step(task: impl Into<String>) -> Step {
        Step::new(task)
    }

    /// Parts one after the other: each begins when the one before has succeeded, and takes its result.
    pub fn chain<P: Into<Canvas>>(parts: impl IntoIterator<Item = P>) -> Self {
        Self::of(Shape::Chain(parts.into_iter().map(Into::into).collect()))
    }

    /// Parts side by side. The result is the list of theirs, in their order. A group may be empty.
    pub fn group<P: Into<Canvas>>(parts: impl IntoIterator<Item = P>) -> Self {
        Self::of(Shape::Group(parts.into_iter().map(Into::into).collect()))
    }

    /// Lets another part follow, which takes the result of this one. What follows in a row makes one chain.
    pub fn then(self, next: impl Into<Canvas>) -> Self {
        match self {
            Self { name: None, takes: None, feeds: true, shape: Shape::Chain(mut parts) } => {
                parts.push(next.into());
                Self::of(Shape::Chain(parts))
            }
            first => Self::chain([first, next.into()]),
        }
    }

    /// Makes a group a chord: `body` begins when all members have succeeded, and takes the list of their results. A part that is no
    /// group counts as a group of one.
    pub fn join(self, body: impl Into<Canvas>) -> Self {
        match self {
            Self { name, takes, feeds: true, shape: Shape::Group(members) } => {
                Self { name, takes, feeds: true, shape: Shape::Chord(members, Box::new(body.into())) }
            }
            member => Self::of(Shape::Chord(vec![member], Box::new(body.into()))),
        }
    }

    /// Names it: the names of the steps in it begin with that, and [`Takes::Results`] calls its result so.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Says what it takes of what comes before it. For parts that consist of others this holds for those that begin first.
    pub fn takes(mut self, takes: Takes) -> Self {
        self.takes = Some(takes);
        self
    }

    /// Lets the part behind it in a chain only wait for it, and take nothing.
    pub fn feeds_nothing(mut self) -> Self {
        self.feeds = false;
        self
    }

    /// Does something with all steps in it. A stack of its own: what is too deep is refused later, by name.
    pub(super) fn for_each_step(&mut self, act: &mut impl FnMut(&mut Step)) {
        let mut parts = vec![self];
        while let Some(part) = parts.pop() {
            match &mut part.shape {
                Shape::Step(step) => act(step),
                Shape::Chain(inner) | Shape::Group(inner) => parts.extend(inner),
                Shape::Chord(members, body) => parts.extend(members.iter_mut().chain([&mut **body])),
                Shape::Graph(inner) => parts.extend(inner.iter_mut().map(|part| &mut part.part)),
            }
        }
    }

    /// The word for what it is; it is the key in JSON too.
    pub(super) fn kind(&self) -> &'static str {
        match self.shape {
            Shape::Step(_) => "step",
            Shape::Chain(_) => "chain",
            Shape::Group(_) => "group",
            Shape::Chord(..) => "chord",
            Shape::Graph(_) => "steps",
        }
    }

    /// What names the steps in it if it is the whole and has no name.
    pub(super) fn root_word(&self) -> &'static str {
        if matches!(self.shape, Shape::Graph(_)) { "" } else { self.kind() }
    }
}

impl From<Step> for Canvas {
    fn from(step: Step) -> Self {
        Self::of(Shape::Step(step))
    }
}

/// Named parts, each of which waits for those it names.
///
/// ```
/// use celeriac_core::canvas::{Canvas, Graph, Takes};
///
/// let canvas: Canvas = Graph::new()
///     .part("users", Canvas::step("load.users"))
///     .part("orders", Canvas::step("load.orders"))
///     .part_after("report", ["users", "orders"], Canvas::step("report").takes(Takes::Results))
///     .into();
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[must_use = "a graph does nothing until its workflow is enqueued"]
pub struct Graph(Vec<GraphPart>);

impl Graph {
    /// A graph without parts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part that waits for none of the others.
    pub fn part(self, name: impl Into<String>, part: impl Into<Canvas>) -> Self {
        self.part_after(name, [] as [&str; 0], part)
    }

    /// Adds a part that begins when all of `deps` have succeeded. They may be added later. It takes their results if it says so.
    pub fn part_after<D: Into<String>>(
        mut self,
        name: impl Into<String>,
        deps: impl IntoIterator<Item = D>,
        part: impl Into<Canvas>,
    ) -> Self {
        let deps = deps.into_iter().map(Into::into).collect();
        self.0.push(GraphPart { name: name.into(), deps, part: part.into() });
        self
    }
}

impl From<Graph> for Canvas {
    fn from(graph: Graph) -> Self {
        Self::of(Shape::Graph(graph.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_in_a_row_makes_one_chain() {
        let one = Canvas::step("a").then(Canvas::step("b")).then(Canvas::step("c"));
        assert_eq!(one, Canvas::chain([Canvas::step("a"), Canvas::step("b"), Canvas::step("c")]));
        let named = Canvas::step("a").then(Canvas::step("b")).named("x").then(Canvas::step("c"));
        assert!(matches!(named.shape, Shape::Chain(parts) if parts.len() == 2));
    }

    #[test]
    fn a_group_that_is_joined_is_a_chord_and_so_is_a_single_part() {
        let group = Canvas::group([Canvas::step("a"), Canvas::step("b")]).named("both").join(Canvas::step("c"));
        assert_eq!(group.name.as_deref(), Some("both"));
        assert!(matches!(group.shape, Shape::Chord(members, _) if members.len() == 2));
        let single = Canvas::from(Canvas::step("a")).join(Canvas::step("c"));
        assert!(matches!(single.shape, Shape::Chord(members, _) if members.len() == 1));
    }

    #[test]
    fn a_time_is_rounded_up_and_ends_somewhere() {
        assert_eq!([0, 1, 1_000_001].map(|ns| millis(Duration::from_nanos(ns))), [0, 1, 2]);
        assert_eq!(millis(Duration::MAX), LONGEST_MS);
    }
}
