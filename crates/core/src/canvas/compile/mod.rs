//! From a description to a plan: everything that can be refused is refused here, with its place.
//!
//! Each part is compiled with what comes before it, and answers its *exit*: the node, or the members of a group, whose values are its
//! result. A group that one step follows hands its members to it. Whatever else follows it gets a join, and so does everything whose
//! result is taken more than once, so that there is never an edge for each pair.

mod graph;
mod names;
mod step;

use super::fields::Members;
use super::part::{Canvas, Shape, Step, Takes};
use super::place::At;
use super::plan::{Fill, Gather, NodeKind, Plan, Segment, Slot, Spot};
use super::refusal::{Refusal, SpecError};
use super::workflow::{Callback, Limits, MAX_DEPTH, WhenDead, Workflow};
use crate::name::WorkflowId;

/// The largest description that a plan can hold, whatever the limits say: places in its text have 32 bits.
const LARGEST: usize = 1 << 30;

/// Checks a workflow and makes its plan.
///
/// # Errors
/// [`SpecError`] for the first thing that cannot be carried out, with its place.
///
/// ```
/// use celeriac_core::WorkflowId;
/// use celeriac_core::canvas::{Canvas, Limits, Workflow, compile};
///
/// let resize = (0..3).map(|_| Canvas::step("resize"));
/// let workflow = Workflow::new(Canvas::group(resize).named("images").join(Canvas::step("publish")));
/// let plan = compile(&workflow, &WorkflowId::new("nightly")?, &Limits::default())?;
/// let names: Vec<_> = plan.nodes().map(|node| node.name()).collect();
/// assert_eq!(names, ["images/0", "images/1", "images/2", "images/body"]);
/// assert_eq!(plan.nodes().last().and_then(|body| body.id()).unwrap().as_str(), "nightly:images/body");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn compile(spec: &Workflow, workflow: &WorkflowId, limits: &Limits) -> Result<Plan, SpecError> {
    let whole = At::WORKFLOW;
    let root = &spec.root;
    let limit = limits.spec_bytes.min(LARGEST);
    // One that is too deep is refused below, with its place; writing it might take more stack than there is.
    let bytes = if is_deeper(root, MAX_DEPTH) { 0 } else { size(spec) };
    if bytes > limit {
        return Err(whole.refuse(Refusal::SpecTooLarge { bytes, limit }));
    }
    let plan = Plan::new(workflow.clone(), spec.when_dead);
    let mut compiler = Compiler { limits, when_dead: spec.when_dead, plan, models: Vec::new() };
    let nothing = Before::nothing("nothing comes before it");
    let at = whole.root().of_kind(root.kind()).named(root.name.as_deref());
    if let Some(name) = &root.name {
        names::check(name, &at)?;
    }
    let spot = compiler.spot(Spot::ROOT.scope, root.name.as_deref().unwrap_or(root.root_word()));
    must_feed(root, &at)?;
    let exit = compiler.part(root, &at, spot, &nothing)?;
    if compiler.plan.steps() == 0 {
        return Err(whole.refuse(Refusal::Empty));
    }
    let output = compiler.joined(exit);
    compiler.plan.set_output(output);
    compiler.callbacks(spec, output)?;
    Ok(compiler.plan.finish())
}

/// Whether parts lie deeper in each other. The walk goes no deeper than that.
fn is_deeper(part: &Canvas, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return true };
    match &part.shape {
        Shape::Step(_) => false,
        Shape::Chain(parts) | Shape::Group(parts) => parts.iter().any(|part| is_deeper(part, depth)),
        Shape::Chord(members, body) => members.iter().chain([&**body]).any(|part| is_deeper(part, depth)),
        Shape::Graph(parts) => parts.iter().any(|part| is_deeper(&part.part, depth)),
    }
}

/// How many bytes a workflow has as JSON.
fn size(spec: &Workflow) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, spec).expect("a workflow has only strings as keys");
    count.0
}

/// Refuses `"feeds": false` where nothing is fed.
fn must_feed(part: &Canvas, at: &At<'_>) -> Result<(), SpecError> {
    let rule = "\"feeds\": false means something only for a part of a chain behind which another stands";
    if part.feeds { Ok(()) } else { Err(at.refuse(Refusal::NoEffect(rule))) }
}

/// Whose values are the result of a part.
#[derive(Debug, Clone)]
enum Exit {
    /// That of this node.
    One(u32),
    /// The list of these, and where their join would belong.
    Many(Vec<u32>, Spot),
}

/// A part that comes before another, and its name if it has one.
#[derive(Debug, Clone)]
struct Source<'n> {
    name: Option<&'n str>,
    exit: Exit,
}

/// What may be taken of what comes before a part.
#[derive(Debug, Clone, Copy)]
enum Offer {
    /// Nothing, and why.
    Nothing(&'static str),
    /// The result of each part.
    Each,
    /// An object with the results of several parts by their names: the value of the only source.
    Together,
}

/// What comes before a part.
#[derive(Debug, Clone)]
struct Before<'n> {
    sources: Vec<Source<'n>>,
    offer: Offer,
    /// What those take that say nothing.
    takes: Takes,
}

impl<'n> Before<'n> {
    fn nothing(why: &'static str) -> Self {
        Self { sources: Vec::new(), offer: Offer::Nothing(why), takes: Takes::Nothing }
    }

    fn one(name: Option<&'n str>, exit: Exit) -> Self {
        Self { sources: vec![Source { name, exit }], offer: Offer::Each, takes: Takes::Result }
    }

    /// What a part takes, if it may.
    fn taken_by(&self, explicit: Option<Takes>, at: &At<'_>) -> Result<Takes, SpecError> {
        let takes = explicit.unwrap_or(self.takes);
        match self.offer {
            Offer::Nothing(why) if takes != Takes::Nothing => Err(cannot_take(takes, why, at)),
            _ => Ok(takes),
        }
    }
}

fn cannot_take(takes: Takes, rule: impl Into<String>, at: &At<'_>) -> SpecError {
    at.refuse(Refusal::Takes { takes: takes.as_str(), rule: rule.into() })
}

fn one_of_several(takes: Takes, count: usize, at: &At<'_>) -> SpecError {
    cannot_take(takes, format!("but it waits for {count} parts: it can take \"results\" or \"list\""), at)
}

struct Compiler<'s> {
    limits: &'s Limits,
    when_dead: WhenDead,
    plan: Plan,
    /// For each template the first step that has it.
    models: Vec<&'s Step>,
}

impl<'s> Compiler<'s> {
    /// Where something of this name belongs; without a name it stands for the scope.
    fn spot(&mut self, scope: u32, name: &str) -> Spot {
        let segment = if name.is_empty() { Segment::Whole } else { Segment::Name(self.plan.keep(name)) };
        Spot { scope, segment }
    }

    fn join(&mut self, spot: Spot, gather: Gather, deps: &[u32]) -> u32 {
        self.plan.push(Slot::join(spot, gather), deps)
    }

    /// The one node of an exit: a join if it is several.
    fn joined(&mut self, exit: Exit) -> u32 {
        match exit {
            Exit::One(node) => node,
            Exit::Many(members, spot) => self.join(spot, Gather::List, &members),
        }
    }

    fn all_joined(&mut self, sources: &[Source<'_>]) -> Vec<u32> {
        sources.iter().map(|source| self.joined(source.exit.clone())).collect()
    }

    fn part(&mut self, part: &'s Canvas, at: &At<'_>, spot: Spot, before: &Before<'_>) -> Result<Exit, SpecError> {
        if at.depth() > MAX_DEPTH {
            return Err(at.refuse(Refusal::TooDeep { limit: MAX_DEPTH }));
        }
        match &part.shape {
            Shape::Step(step) => self.step(step, part.takes, (at, spot, NodeKind::Step), before).map(Exit::One),
            Shape::Chain(parts) => {
                let (scope, before) = self.enter(part, at, spot, before)?;
                self.chain(parts, at, scope, &before)
            }
            Shape::Group(parts) => {
                let (scope, before) = self.enter(part, at, spot, before)?;
                self.members("group", parts, (at, scope), &before)
            }
            Shape::Chord(members, body) => {
                let (scope, before) = self.enter(part, at, spot, before)?;
                let members = self.members("chord", members, (at, scope), &before)?;
                self.body(body, at, scope, members)
            }
            Shape::Graph(parts) => {
                let (scope, before) = self.enter(part, at, spot, before)?;
                self.graph(parts, (at, scope, part.takes.is_some()), &before)
            }
        }
    }

    /// The scope of a part that consists of others, and what comes before it, prepared for all those in it that begin first: one node at
    /// most stands for it.
    fn enter<'n>(
        &mut self,
        part: &Canvas,
        at: &At<'_>,
        spot: Spot,
        before: &Before<'n>,
    ) -> Result<(u32, Before<'n>), SpecError> {
        let scope = self.plan.scope(spot);
        let takes = before.taken_by(part.takes, at)?;
        let settled = match before.sources.as_slice() {
            [] => Before { takes, ..before.clone() },
            [source] => {
                let exit = Exit::One(self.joined(source.exit.clone()));
                Before { sources: vec![Source { name: source.name, exit }], offer: before.offer, takes }
            }
            several => self.settle(several, takes, at, scope)?,
        };
        Ok((scope, settled))
    }

    /// Lets one join stand for several parts; its value depends on what is taken of them.
    fn settle<'n>(
        &mut self,
        several: &[Source<'_>],
        takes: Takes,
        at: &At<'_>,
        scope: u32,
    ) -> Result<Before<'n>, SpecError> {
        let (gather, offer, taken) = match takes {
            Takes::Nothing => {
                let why = "but the part around it takes nothing of what it waits for";
                (Gather::Nothing, Offer::Nothing(why), Takes::Nothing)
            }
            Takes::List => (Gather::List, Offer::Each, Takes::Result),
            Takes::Results => (Gather::Named, Offer::Together, Takes::Results),
            Takes::Result | Takes::Arguments => return Err(one_of_several(takes, several.len(), at)),
        };
        let deps = self.all_joined(several);
        let mut slot = Slot::join(self.spot(scope, names::DEPS), gather);
        if gather == Gather::Named {
            let keys = step::keys(several, at)?;
            slot.keys = self.plan.keep_keys(keys);
        }
        let exit = Exit::One(self.plan.push(slot, &deps));
        Ok(Before { sources: vec![Source { name: None, exit }], offer, takes: taken })
    }

    fn chain(&mut self, parts: &'s [Canvas], at: &At<'_>, scope: u32, before: &Before<'_>) -> Result<Exit, SpecError> {
        let mut siblings = names::Siblings::default();
        let mut exit = None;
        for (index, part) in parts.iter().enumerate() {
            let at = at.member("chain", index).named(part.name.as_deref());
            let spot = self.member_spot(scope, index, part, (&mut siblings, &at))?;
            let own = match (exit, index.checked_sub(1).map(|index| &parts[index])) {
                (Some(exit), Some(last)) if last.feeds => Some(Before::one(last.name.as_deref(), exit)),
                (Some(exit), Some(_)) => {
                    let why = "but the part before it says \"feeds\": false";
                    Some(Before { sources: vec![Source { name: None, exit }], ..Before::nothing(why) })
                }
                _ => None,
            };
            exit = Some(self.part(part, &at, spot, own.as_ref().unwrap_or(before))?);
            if index + 1 == parts.len() {
                must_feed(part, &at)?;
            }
        }
        exit.ok_or_else(|| at.refuse(Refusal::NoParts("a chain")))
    }

    /// The members of a group, or of a chord, each behind what comes before all of them.
    fn members(
        &mut self,
        list: &'static str,
        parts: &'s [Canvas],
        (at, scope): (&At<'_>, u32),
        before: &Before<'_>,
    ) -> Result<Exit, SpecError> {
        let whole = Spot { scope, segment: Segment::Whole };
        if let (true, [source]) = (parts.is_empty(), before.sources.as_slice()) {
            // What follows waits for what comes before, although nothing lies between them.
            let dep = self.joined(source.exit.clone());
            return Ok(Exit::One(self.join(whole, Gather::Empty, &[dep])));
        }
        let mut siblings = names::Siblings::default();
        let mut exits = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let at = at.member(list, index).named(part.name.as_deref());
            let spot = self.member_spot(scope, index, part, (&mut siblings, &at))?;
            must_feed(part, &at)?;
            let exit = self.part(part, &at, spot, before)?;
            exits.push(self.joined(exit));
        }
        Ok(Exit::Many(exits, whole))
    }

    fn body(&mut self, body: &'s Canvas, at: &At<'_>, scope: u32, members: Exit) -> Result<Exit, SpecError> {
        let at = at.body().named(body.name.as_deref());
        let name = body.name.as_deref();
        if let Some(name) = name {
            names::check_in_list(name, &at)?;
        }
        must_feed(body, &at)?;
        let spot = self.spot(scope, name.unwrap_or(names::BODY));
        self.part(body, &at, spot, &Before::one(None, members))
    }

    fn member_spot(
        &mut self,
        scope: u32,
        index: usize,
        part: &'s Canvas,
        (siblings, at): (&mut names::Siblings<'s>, &At<'_>),
    ) -> Result<Spot, SpecError> {
        let Some(name) = part.name.as_deref() else {
            return Ok(Spot { scope, segment: Segment::Index(index as u32) });
        };
        names::check_in_list(name, at)?;
        siblings.add(name, at)?;
        Ok(self.spot(scope, name))
    }

    fn callbacks(&mut self, spec: &'s Workflow, output: u32) -> Result<(), SpecError> {
        let whole = At::WORKFLOW;
        if let Some(Callback { step, takes }) = &spec.on_success {
            let at = whole.callback(names::ON_SUCCESS);
            let spot = self.spot(Spot::ROOT.scope, names::ON_SUCCESS);
            self.step(step, *takes, (&at, spot, NodeKind::OnSuccess), &Before::one(None, Exit::One(output)))?;
        }
        let Some(Callback { step, takes }) = &spec.on_failure else { return Ok(()) };
        let at = whole.callback(names::ON_FAILURE);
        if spec.when_dead == WhenDead::Continue {
            let rule = "with \"when_dead\": \"continue\" a workflow does not fail, so this would never run";
            return Err(at.refuse(Refusal::NoEffect(rule)));
        }
        let takes = takes.unwrap_or(Takes::Result);
        let (gather, fill) = match takes {
            Takes::Nothing => (Gather::Nothing, Fill::Own),
            Takes::Result => (Gather::Failure, Fill::First),
            Takes::Arguments => (Gather::Failure, Fill::All),
            Takes::Results | Takes::List => {
                let rule = "but there is one failure: it can take \"result\", \"arguments\" or \"none\"";
                return Err(cannot_take(takes, rule, &at));
            }
        };
        let spot = self.spot(Spot::ROOT.scope, names::ON_FAILURE);
        let slot = Slot { kind: NodeKind::OnFailure, fill, ..Slot::join(spot, gather) };
        self.job(step, &at, slot, &[]).map(|_| ())
    }
}

/// The members of an object, if that is what it is.
fn members_of(json: &str) -> Option<Members<'_>> {
    serde_json::from_str(json).ok()
}
