//! The JSON form of a workflow, read.
//!
//! The text is cut into objects and lists level by level, and each value stays as it is written until its place is known: so a complaint
//! names the place, and arguments are never taken apart. Only parts nest here, up to a bound; arguments may nest as they like.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::fields::{Fields, Members, items, members, unexpected, value};
use super::part::{Canvas, GraphPart, Shape, Step, Takes};
use super::place::At;
use super::refusal::{Refusal, SpecError};
use super::workflow::{Callback, Limits, MAX_DEPTH, WhenDead, Workflow};
use crate::duration::parse_duration;

const TEXT: &str = "a text";
const TAKES: &str = "\"none\", \"result\", \"results\", \"list\" or \"arguments\"";
const DURATION: &str = "a duration, as in \"250ms\", \"10s\", \"5m\", \"2h\", \"7d\"";

pub(super) fn workflow(json: &[u8], limits: &Limits) -> Result<Workflow, SpecError> {
    let whole = At::WORKFLOW;
    if json.len() > limits.spec_bytes {
        return Err(whole.refuse(Refusal::SpecTooLarge { bytes: json.len(), limit: limits.spec_bytes }));
    }
    let raw: &RawValue =
        serde_json::from_slice(json).map_err(|error| whole.refuse(Refusal::NotJson(error.to_string())))?;
    let mut fields = Fields::read(raw, &whole)?;
    let words = WhenDead::ALL.map(|word| (word.as_str(), word));
    let when_dead = fields.take_word("when_dead", &words, "\"fail\", \"continue\" or \"wait\"", &whole)?;
    let on_success = callback(&mut fields, "on_success", &whole)?;
    let on_failure = callback(&mut fields, "on_failure", &whole)?;
    let name: Option<String> = fields.take_value("name", TEXT, &whole)?;
    let root = part(fields, name.clone(), &whole.root().named(name.as_deref()))?;
    Ok(Workflow { root, when_dead: when_dead.unwrap_or_default(), on_success, on_failure })
}

fn callback(fields: &mut Fields<'_>, key: &'static str, whole: &At<'_>) -> Result<Option<Callback>, SpecError> {
    let Some(raw) = fields.take(key) else { return Ok(None) };
    let at = whole.callback(key);
    let mut fields = Fields::read(raw, &at)?;
    let takes = takes(&mut fields, &at)?;
    let Some(task) = fields.take("task") else {
        fields.finish(&at)?;
        return Err(at.refuse(Refusal::NoKind));
    };
    let step = step(task, &mut fields, &at)?;
    fields.finish(&at)?;
    Ok(Some(Callback { step, takes }))
}

fn takes(fields: &mut Fields<'_>, at: &At<'_>) -> Result<Option<Takes>, SpecError> {
    fields.take_word("takes", &Takes::ALL.map(|word| (word.as_str(), word)), TAKES, at)
}

/// A part with a name of its own, or none.
fn nameable(raw: &RawValue, at: &At<'_>) -> Result<Canvas, SpecError> {
    let mut fields = Fields::read(raw, at)?;
    let name: Option<String> = fields.take_value("name", TEXT, at)?;
    let named = at.named(name.as_deref());
    part(fields, name.clone(), &named)
}

fn part(mut fields: Fields<'_>, name: Option<String>, at: &At<'_>) -> Result<Canvas, SpecError> {
    if at.depth() > MAX_DEPTH {
        return Err(at.refuse(Refusal::TooDeep { limit: MAX_DEPTH }));
    }
    let takes = takes(&mut fields, at)?;
    let feeds = fields.take_value("feeds", "true or false", at)?.unwrap_or(true);
    let mut kinds = ["task", "chain", "group", "chord", "steps"].into_iter().filter_map(|kind| {
        let raw = fields.take(kind)?;
        Some((kind, raw))
    });
    let (kind, raw) = kinds.next().ok_or_else(|| at.refuse(Refusal::NoKind))?;
    if let Some((other, _)) = kinds.next() {
        return Err(at.refuse(Refusal::TwoKinds(kind, other)));
    }
    drop(kinds);
    let at = &at.of_kind(if kind == "task" { "step" } else { kind });
    let shape = match kind {
        "task" => Shape::Step(step(raw, &mut fields, at)?),
        "chain" => Shape::Chain(list("chain", raw, at)?),
        "group" => Shape::Group(list("group", raw, at)?),
        "chord" => {
            let body = fields.take("body").ok_or_else(|| at.refuse(Refusal::NoBody))?;
            Shape::Chord(list("chord", raw, at)?, Box::new(nameable(body, &at.body())?))
        }
        _ => Shape::Graph(graph(raw, at)?),
    };
    fields.finish(at)?;
    Ok(Canvas { name, takes, feeds, shape })
}

fn list(key: &'static str, raw: &RawValue, at: &At<'_>) -> Result<Vec<Canvas>, SpecError> {
    let parts = items(raw, &at.key(key))?;
    parts.into_iter().enumerate().map(|(index, raw)| nameable(raw, &at.member(key, index))).collect()
}

fn graph(raw: &RawValue, at: &At<'_>) -> Result<Vec<GraphPart>, SpecError> {
    let Members(entries) = members(raw, &at.key("steps"))?;
    let mut names = HashSet::with_capacity(entries.len());
    let mut parts = Vec::with_capacity(entries.len());
    for (name, raw) in &entries {
        if !names.insert(name) {
            return Err(at.entry(name).refuse(Refusal::TwoOfOneName(name.clone().into_owned())));
        }
        parts.push(entry(name, raw, &at.entry(name))?);
    }
    Ok(parts)
}

fn entry(name: &str, raw: &RawValue, at: &At<'_>) -> Result<GraphPart, SpecError> {
    let mut fields = Fields::read(raw, at)?;
    let deps = match fields.take("deps") {
        Some(raw) => names(raw, &at.key("deps"))?,
        None => Vec::new(),
    };
    let part = part(fields, None, at)?;
    Ok(GraphPart { name: name.to_owned(), deps, part })
}

fn names(raw: &RawValue, at: &At<'_>) -> Result<Vec<String>, SpecError> {
    let names = items(raw, at)?.into_iter().enumerate();
    names.map(|(index, raw)| value(raw, "the name of a part", &at.item(index))).collect()
}

fn step(task: &RawValue, fields: &mut Fields<'_>, at: &At<'_>) -> Result<Step, SpecError> {
    let mut step = Step::new(value::<String>(task, "the name of a task", &at.key("task"))?);
    step.args = fields.take("args").map(ToOwned::to_owned);
    step.queue = fields.take_value("queue", "the name of a queue", at)?;
    step.priority = fields.take_value("priority", "a whole number from 0 to 9", at)?;
    let retries = fields.take_value("retries", "a whole number from 0 to 4294967295", at)?;
    let [timeout, soft_timeout, expires, deadline, result_ttl] =
        ["timeout", "soft_timeout", "expires", "deadline", "result_ttl"].map(|key| duration(fields, key, at));
    let headers = fields.take("headers");
    let times = [timeout?, soft_timeout?, expires?, deadline?, result_ttl?];
    if retries.is_some() || times.iter().any(Option::is_some) {
        // Only who says something pays for it.
        let options = &mut *step.options;
        options.retries = retries;
        [options.timeout_ms, options.soft_timeout_ms, options.expires_ms, ..] = times;
        [.., options.deadline_ms, options.result_ttl_ms] = times;
    }
    if let Some(raw) = headers {
        let at = at.key("headers");
        let Members(headers) = members(raw, &at)?;
        for (name, raw) in headers {
            let text = value(raw, TEXT, &at.key(&name))?;
            if step.headers.insert(name.clone().into_owned(), text).is_some() {
                return Err(at.refuse(Refusal::RepeatedKey(name.into_owned())));
            }
        }
    }
    Ok(step)
}

fn duration(fields: &mut Fields<'_>, key: &'static str, at: &At<'_>) -> Result<Option<u64>, SpecError> {
    let Some(raw) = fields.take(key) else { return Ok(None) };
    let at = at.key(key);
    let text: String = value(raw, DURATION, &at)?;
    let duration = parse_duration(&text).map_err(|_| unexpected(raw, DURATION, &at))?;
    Ok(Some(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
}
