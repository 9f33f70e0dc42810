//! A graph: its names are looked up, its parts brought into an order, and each compiled behind those it names.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{Before, Compiler, Exit, Offer, Source, must_feed, names};
use crate::canvas::part::{GraphPart, Takes};
use crate::canvas::place::At;
use crate::canvas::plan::{Gather, Segment, Slot, Spot};
use crate::canvas::refusal::{Refusal, SpecError, nearest};

/// What the parts of a graph depend on, by their places.
struct Edges(Vec<Vec<usize>>);

impl<'s> Compiler<'s> {
    pub(super) fn graph(
        &mut self,
        parts: &'s [GraphPart],
        (at, scope, takes_by_itself): (&At<'_>, u32, bool),
        before: &Before<'_>,
    ) -> Result<Exit, SpecError> {
        if parts.is_empty() {
            return Err(at.refuse(Refusal::NoParts("\"steps\"")));
        }
        let edges = Edges::of(parts, at)?;
        let uses = edges.uses();
        // In a graph nobody takes anything who does not say so.
        let takes = if takes_by_itself { before.takes } else { Takes::Nothing };
        let mut exits: Vec<Option<Exit>> = vec![None; parts.len()];
        for index in edges.order(parts, at)? {
            let GraphPart { name, part, .. } = &parts[index];
            let at = at.entry(name);
            must_feed(part, &at)?;
            let before = match edges.0[index].as_slice() {
                [] => Before { takes, ..before.clone() },
                deps => self.sources(parts, deps, &uses, &mut exits),
            };
            let spot = self.spot(scope, name);
            exits[index] = Some(self.part(part, &at, spot, &before)?);
        }
        let last = (0..parts.len()).filter(|index| uses[*index] == 0);
        let (mut nodes, mut keys) = (Vec::new(), Vec::new());
        for index in last {
            nodes.extend(exits[index].take().map(|exit| self.joined(exit)));
            keys.push(parts[index].name.as_str().into());
        }
        let keys = self.plan.keep_keys(keys.into());
        let whole = Spot { scope, segment: Segment::Whole };
        Ok(Exit::One(self.plan.push(Slot { keys, ..Slot::join(whole, Gather::Named) }, &nodes)))
    }

    /// The parts that one part waits for. Their exits are known, since they come first in the order.
    fn sources(
        &mut self,
        parts: &'s [GraphPart],
        deps: &[usize],
        uses: &[u32],
        exits: &mut [Option<Exit>],
    ) -> Before<'s> {
        let mut sources = Vec::with_capacity(deps.len());
        for &dep in deps {
            let Some(mut exit) = exits[dep].take() else { continue };
            if deps.len() > 1 || uses[dep] > 1 {
                exit = Exit::One(self.joined(exit));
                exits[dep] = Some(exit.clone());
            }
            sources.push(Source { name: Some(&parts[dep].name), exit });
        }
        Before { sources, offer: Offer::Each, takes: Takes::Nothing }
    }
}

impl Edges {
    /// Looks up all names.
    fn of(parts: &[GraphPart], at: &At<'_>) -> Result<Self, SpecError> {
        let mut siblings = names::Siblings::default();
        let mut places = HashMap::with_capacity(parts.len());
        for (index, GraphPart { name, part, .. }) in parts.iter().enumerate() {
            let at = at.entry(name);
            names::check(name, &at)?;
            siblings.add(name, &at)?;
            places.insert(name.as_str(), index);
            if part.name.is_some() {
                let rule = "in \"steps\" the key is the name";
                return Err(at.refuse(Refusal::Misplaced { key: "name".to_owned(), rule }));
            }
        }
        let mut edges = Vec::with_capacity(parts.len());
        for part in parts {
            let at = at.entry(&part.name);
            let deps = at.key("deps");
            let mut seen = HashSet::with_capacity(part.deps.len());
            let mut own = Vec::with_capacity(part.deps.len());
            for (index, dependency) in part.deps.iter().enumerate() {
                let at = deps.item(index);
                let Some(place) = places.get(dependency.as_str()) else {
                    let others = parts.iter().filter(|other| other.name != part.name);
                    let nearest = nearest(dependency, others.map(|other| other.name.as_str()));
                    return Err(at.refuse(Refusal::UnknownDependency { dependency: dependency.clone(), nearest }));
                };
                if !seen.insert(place) {
                    return Err(at.refuse(Refusal::RepeatedDependency(dependency.clone())));
                }
                own.push(*place);
            }
            edges.push(own);
        }
        Ok(Self(edges))
    }

    /// How many parts wait for each.
    fn uses(&self) -> Vec<u32> {
        let mut uses = vec![0; self.0.len()];
        for dep in self.0.iter().flatten() {
            uses[*dep] += 1;
        }
        uses
    }

    /// An order in which each part comes behind those it waits for, and otherwise as they are written.
    fn order(&self, parts: &[GraphPart], at: &At<'_>) -> Result<Vec<usize>, SpecError> {
        let mut followers = vec![Vec::new(); self.0.len()];
        let mut missing: Vec<usize> = self.0.iter().map(Vec::len).collect();
        for (index, deps) in self.0.iter().enumerate() {
            for dep in deps {
                followers[*dep].push(index);
            }
        }
        let mut ready: VecDeque<usize> = (0..self.0.len()).filter(|index| missing[*index] == 0).collect();
        let mut order = Vec::with_capacity(self.0.len());
        while let Some(index) = ready.pop_front() {
            order.push(index);
            for &follower in &followers[index] {
                missing[follower] -= 1;
                if missing[follower] == 0 {
                    ready.push_back(follower);
                }
            }
        }
        let cycle = self.cycle(&missing);
        let Some(first) = cycle.first() else { return Ok(order) };
        let names = cycle.iter().map(|index| parts[*index].name.clone()).collect();
        Err(at.entry(&parts[*first].name).key("deps").refuse(Refusal::Cycle(names)))
    }

    /// Parts that wait for each other in a circle, each before the one it waits for; empty if there are none.
    fn cycle(&self, missing: &[usize]) -> Vec<usize> {
        let Some(mut index) = missing.iter().position(|missing| *missing > 0) else { return Vec::new() };
        let mut places = HashMap::new();
        let mut path = Vec::new();
        // Each part that is left waits for one that is left too, so the walk comes back to where it was.
        let start = loop {
            if let Some(place) = places.insert(index, path.len()) {
                break place;
            }
            path.push(index);
            let Some(next) = self.0[index].iter().find(|dep| missing[**dep] > 0) else { return Vec::new() };
            index = *next;
        };
        let mut cycle = path.split_off(start);
        let first = cycle.iter().enumerate().min_by_key(|(_, index)| **index).map_or(0, |(place, _)| place);
        cycle.rotate_left(first);
        cycle
    }
}
