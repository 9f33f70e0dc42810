//! One step: its template, its own arguments, and what it takes.

use std::collections::HashSet;

use super::{Before, Compiler, Exit, Offer, Source, cannot_take, members_of, one_of_several};
use crate::canvas::part::{Step, Takes};
use crate::canvas::place::At;
use crate::canvas::plan::{Fill, Gather, NodeKind, Slot, Spot, Template};
use crate::canvas::refusal::{Refusal, SpecError};
use crate::canvas::workflow::WhenDead;
use crate::excerpt::excerpt;
use crate::name::{QueueName, TaskName};
use crate::options::Priority;

/// How many templates are looked through for one like the next step's: those of a group alternate between a few.
const LOOKED_THROUGH: usize = 8;

/// What a step waits for, and what is made of it.
struct Input {
    deps: Vec<u32>,
    gather: Gather,
    fill: Fill,
    keys: Option<Box<[Box<str>]>>,
}

/// The names of parts as keys.
pub(super) fn keys(sources: &[Source<'_>], at: &At<'_>) -> Result<Box<[Box<str>]>, SpecError> {
    let unnamed = || {
        let rule = "which go by the names of their parts, but the part before it has no name";
        cannot_take(Takes::Results, rule, at)
    };
    sources.iter().map(|source| source.name.map(Into::into).ok_or_else(unnamed)).collect()
}

impl<'s> Compiler<'s> {
    pub(super) fn step(
        &mut self,
        step: &'s Step,
        takes: Option<Takes>,
        (at, spot, kind): (&At<'_>, Spot, NodeKind),
        before: &Before<'_>,
    ) -> Result<u32, SpecError> {
        if kind == NodeKind::Step && self.plan.steps() >= self.limits.steps {
            return Err(at.refuse(Refusal::TooManySteps { limit: self.limits.steps }));
        }
        let takes = before.taken_by(takes, at)?;
        let Input { deps, gather, fill, keys } = self.input(takes, at, before)?;
        let mut slot = Slot { kind, fill, ..Slot::join(spot, gather) };
        if fill == Fill::Beside {
            let together = || deps.first().and_then(|dep| self.plan.node(*dep)).map_or(&[][..], |node| node.keys());
            no_collision(step, keys.as_deref().unwrap_or_else(together), at)?;
        }
        if let Some(keys) = keys {
            slot.keys = self.plan.keep_keys(keys);
        }
        self.job(step, at, slot, &deps)
    }

    /// The node of a job, once it is known what it takes.
    pub(super) fn job(&mut self, step: &'s Step, at: &At<'_>, mut slot: Slot, deps: &[u32]) -> Result<u32, SpecError> {
        slot.template = self.template(step, at)?;
        if let Some(args) = &step.args {
            let (bytes, limit) = (args.get().len(), self.limits.payload_bytes);
            let at = at.key("args");
            if bytes > limit {
                return Err(at.refuse(Refusal::PayloadTooLarge { bytes, limit }));
            }
            fits(args.get(), slot.fill, &at)?;
            slot.args = self.plan.keep(args.get());
        }
        Ok(self.plan.push(slot, deps))
    }

    fn input(&mut self, takes: Takes, at: &At<'_>, before: &Before<'_>) -> Result<Input, SpecError> {
        let sources = before.sources.as_slice();
        let is_many = matches!(sources, [Source { exit: Exit::Many(..), .. }]);
        let (gather, fill) = match takes {
            Takes::Nothing => (Gather::Nothing, Fill::Own),
            Takes::Result | Takes::Arguments if sources.len() != 1 => {
                return Err(one_of_several(takes, sources.len(), at));
            }
            Takes::Arguments if self.when_dead == WhenDead::Continue => {
                let rule = "but with \"when_dead\": \"continue\" a result says {\"ok\": …} or {\"error\": …}";
                return Err(cannot_take(takes, rule, at));
            }
            Takes::Result => (if is_many { Gather::List } else { Gather::One }, Fill::First),
            Takes::Arguments => (if is_many { Gather::List } else { Gather::One }, Fill::All),
            Takes::List => (Gather::List, Fill::First),
            Takes::Results if matches!(before.offer, Offer::Together) => (Gather::One, Fill::Beside),
            Takes::Results => (Gather::Named, Fill::Beside),
        };
        let keys = if gather == Gather::Named { Some(keys(sources, at)?) } else { None };
        let deps = match sources {
            // Whoever takes the list of a group's results, or nothing, needs no join before it.
            [Source { exit: Exit::Many(members, _), .. }]
                if matches!(takes, Takes::Nothing | Takes::Result | Takes::Arguments) =>
            {
                members.clone()
            }
            sources => self.all_joined(sources),
        };
        Ok(Input { deps, gather, fill, keys })
    }

    /// The template of a step: that of one before it which differs at most in its arguments, or a new one.
    fn template(&mut self, step: &'s Step, at: &At<'_>) -> Result<u32, SpecError> {
        let latest = self.models.iter().enumerate().rev().take(LOOKED_THROUGH);
        if let Some((index, _)) = latest.into_iter().find(|(_, model)| model.is_like(step)) {
            return Ok(index as u32);
        }
        let task = TaskName::new(&step.task).map_err(|error| at.key("task").refuse(error.into()))?;
        let queue = step.queue.as_ref().map(QueueName::new).transpose();
        let queue = queue.map_err(|error| at.key("queue").refuse(error.into()))?;
        let priority = step.priority.map_or_else(|| Ok(Priority::default()), Priority::new);
        let priority = priority.map_err(|error| at.key("priority").refuse(error.into()))?;
        let mut options = step.options.clone();
        options.check().map_err(|error| at.key(error.option).refuse(error.into()))?;
        for (name, value) in &step.headers {
            let added = options.headers.insert(name, value);
            added.map_err(|error| at.key("headers").refuse(error.into()))?;
        }
        self.models.push(step);
        self.plan.templates.push(Template { task, queue, priority, options });
        Ok((self.models.len() - 1) as u32)
    }
}

/// Whether arguments of its own go with what a step takes.
fn fits(args: &str, fill: Fill, at: &At<'_>) -> Result<(), SpecError> {
    let is_object = args.starts_with('{');
    let is_list = args.starts_with('[');
    let is_empty = (is_object || is_list) && args[1..args.len() - 1].trim().is_empty();
    let rule = match fill {
        Fill::First if !(is_list || is_empty) => {
            "what it takes is its first argument, so its own must be a list; \"takes\": \"results\" adds to an object, by name"
        }
        Fill::All if !is_empty => "what it takes is all of its arguments, so it can have none of its own",
        Fill::Beside if !(is_object || is_empty) => {
            "what it takes goes by name, so its own arguments must be an object"
        }
        _ => return Ok(()),
    };
    Err(at.refuse(Refusal::Arguments(rule.to_owned())))
}

/// Refuses arguments of its own that are called like a part whose result is taken.
fn no_collision(step: &Step, keys: &[Box<str>], at: &At<'_>) -> Result<(), SpecError> {
    let Some(members) = step.args.as_ref().and_then(|args| members_of(args.get())) else { return Ok(()) };
    let keys: HashSet<&str> = keys.iter().map(|key| &**key).collect();
    let Some((name, _)) = members.0.iter().find(|(name, _)| keys.contains(&**name)) else { return Ok(()) };
    Err(at
        .key("args")
        .refuse(Refusal::Arguments(format!("{:?} is also a part whose result it takes by that name", excerpt(name)))))
}
