//! The JSON form of a workflow, written. What is as usual is left out.

use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::part::{Canvas, GraphPart, Shape, Step};
use super::workflow::{Callback, WhenDead, Workflow};
use crate::duration::format_duration;

impl Serialize for Workflow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        part(&mut map, &self.root)?;
        optional(&mut map, "on_success", self.on_success.as_ref())?;
        optional(&mut map, "on_failure", self.on_failure.as_ref())?;
        if self.when_dead != WhenDead::default() {
            map.serialize_entry("when_dead", self.when_dead.as_str())?;
        }
        map.end()
    }
}

impl Serialize for Canvas {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        part(&mut map, self)?;
        map.end()
    }
}

impl Serialize for Callback {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        step(&mut map, &self.step)?;
        optional(&mut map, "takes", self.takes.map(|takes| takes.as_str()).as_ref())?;
        map.end()
    }
}

impl Serialize for GraphPart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        part(&mut map, &self.part)?;
        if !self.deps.is_empty() {
            map.serialize_entry("deps", &self.deps)?;
        }
        map.end()
    }
}

/// The parts of a graph as an object.
struct Steps<'p>(&'p [GraphPart]);

impl Serialize for Steps<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|part| (&part.name, part)))
    }
}

fn optional<M: SerializeMap, T: Serialize>(map: &mut M, key: &str, value: Option<&T>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, value))
}

fn part<M: SerializeMap>(map: &mut M, part: &Canvas) -> Result<(), M::Error> {
    optional(map, "name", part.name.as_ref())?;
    match &part.shape {
        Shape::Step(only) => step(map, only)?,
        Shape::Chain(parts) => map.serialize_entry("chain", parts)?,
        Shape::Group(parts) => map.serialize_entry("group", parts)?,
        Shape::Chord(members, body) => {
            map.serialize_entry("chord", members)?;
            map.serialize_entry("body", body)?;
        }
        Shape::Graph(parts) => map.serialize_entry("steps", &Steps(parts))?,
    }
    optional(map, "takes", part.takes.map(|takes| takes.as_str()).as_ref())?;
    if !part.feeds {
        map.serialize_entry("feeds", &false)?;
    }
    Ok(())
}

fn step<M: SerializeMap>(map: &mut M, step: &Step) -> Result<(), M::Error> {
    map.serialize_entry("task", &step.task)?;
    optional(map, "args", step.args.as_ref())?;
    optional(map, "queue", step.queue.as_ref())?;
    optional(map, "priority", step.priority.as_ref())?;
    optional(map, "retries", step.options.retries.as_ref())?;
    for (key, time) in [
        ("timeout", step.options.timeout_ms),
        ("soft_timeout", step.options.soft_timeout_ms),
        ("expires", step.options.expires_ms),
        ("deadline", step.options.deadline_ms),
        ("result_ttl", step.options.result_ttl_ms),
    ] {
        optional(map, key, time.map(|ms| format_duration(Duration::from_millis(ms))).as_ref())?;
    }
    if !step.headers.is_empty() {
        map.serialize_entry("headers", &step.headers)?;
    }
    Ok(())
}
