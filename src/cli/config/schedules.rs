//! `[schedules.NAME]`: a job that is enqueued again and again.

use std::str::FromStr;

use celeriac_beat::{PeriodicError, PeriodicProblem, Timetable, Zone};
use celeriac_broker::{Owner, ScheduleEntry};
use celeriac_core::{CatchUp, Headers, Overlap, Priority, QueueName, ScheduleName, TaskName, UniqueKey};
use celeriac_worker::Tasks;
use serde_json::value::to_raw_value;
use toml::de::{DeTable, DeValue};

use super::source::{Problem, nearest};
use super::values::{boolean, duration, instant, instant_text, json, limit, number, string, table, texts};
use super::{Key, Value};
use crate::cli::exit::chain;
use crate::cli::job_spec::{JobSpec, queue_of};
use crate::cli::schedule::spec::{ScheduleSpec, catch_up, overlap};

const SCHEDULE_KEYS: [&str; 20] = [
    "task",
    "cron",
    "every",
    "at",
    "timezone",
    "anchor",
    "args",
    "queue",
    "priority",
    "retries",
    "timeout",
    "expires",
    "unique",
    "headers",
    "catch_up",
    "overlap",
    "jitter",
    "starts_at",
    "ends_at",
    "paused",
];

/// Reads a schedule. Its jobs go to the queue of the task in the file, or in the application, unless another is named.
pub(super) fn read(name: Key<'_>, value: Value<'_>, tasks: &Tasks) -> Result<ScheduleEntry, Problem> {
    let title = ScheduleName::new(name.get_ref().as_ref()).map_err(|error| Problem::at(name, error))?;
    let entries = table(name, value)?;
    if let Some((key, value)) = entries.iter().find(|(key, _)| !SCHEDULE_KEYS.contains(&key.get_ref().as_ref())) {
        return Err(unknown_key(&title, key, value));
    }
    let Some((key, task)) = entries.get_key_value("task") else {
        let text =
            format!("[schedules.{title}] has no task; write task = \"NAME\", a task of this file or of a worker");
        return Err(Problem::at(name, text));
    };
    let task = TaskName::new(string(key, task)?).map_err(|error| Problem::at(task, error))?;
    let queue = queue_of(&task, tasks);
    let mut spec = ScheduleSpec::new(JobSpec::new(task, queue), when(&title, name, entries)?);
    spec.zone =
        entries.get_key_value("timezone").map(|(key, value)| string(key, value)).transpose()?.map(str::to_owned);
    for (key, value) in entries {
        spec = option(spec, key, value)?;
    }
    spec.into_entry(title.as_str(), Owner::Hand).map_err(|error| located(&error, name, entries))
}

/// When it is due, as a timetable writes it. It is checked on its own, so that a complaint has its place.
fn when(title: &ScheduleName, name: Key<'_>, entries: &DeTable<'_>) -> Result<String, Problem> {
    let mut ways = entries.iter().filter(|(key, _)| ["cron", "every", "at"].contains(&key.get_ref().as_ref()));
    let Some((key, value)) = ways.next() else {
        let text = format!(
            "[schedules.{title}] does not say when; write cron = \"0 3 * * *\", every = \"5m\" or at = 2030-01-31T12:00:00Z"
        );
        return Err(Problem::at(name, text));
    };
    if let Some((other, _)) = ways.next() {
        let text = format!("{} and {} cannot go together; make two schedules of it", key.get_ref(), other.get_ref());
        return Err(Problem::at(other, text));
    }
    let anchor = entries.get_key_value("anchor");
    let zone = entries.get_key_value("timezone");
    let text = match key.get_ref().as_ref() {
        "cron" => string(key, value)?.to_owned(),
        "every" => match anchor {
            Some((anchor, at)) => format!("every {} from {}", string(key, value)?, instant_text(anchor, at)?),
            None => format!("every {}", string(key, value)?),
        },
        _ => format!("at {}", instant_text(key, value)?),
    };
    let is_period = key.get_ref() == "every";
    if let Some((anchor, _)) = anchor.filter(|_| !is_period) {
        return Err(Problem::at(anchor, "anchor is for every alone: it is an instant from which the periods count"));
    }
    if let Some((zone, _)) = zone.filter(|_| is_period) {
        return Err(Problem::at(
            zone,
            "timezone has no effect on every: a period is the same on all clocks; leave it out",
        ));
    }
    let zone = zone.map(|(key, name)| {
        Zone::named(string(key, name)?).map_err(|error| Problem::at(name, format!("timezone: {error}")))
    });
    let read = match zone.transpose()? {
        Some(zone) => Timetable::new(&text, zone),
        None => Timetable::from_str(&text),
    };
    let key = key.get_ref();
    let named = |error: String| if error.starts_with(&**key) { error } else { format!("{key}: {error}") };
    read.map(|_| text).map_err(|error| Problem::at(value, named(error.to_string())))
}

fn option(spec: ScheduleSpec, key: Key<'_>, value: Value<'_>) -> Result<ScheduleSpec, Problem> {
    let ScheduleSpec { mut job, mut options, .. } = spec;
    match key.get_ref().as_ref() {
        "args" => {
            let args = to_raw_value(&json(value)?);
            job.args = args.map_err(|error| Problem::at(value, format!("args: {error}")))?;
        }
        "queue" => job.queue = QueueName::new(string(key, value)?).map_err(|error| Problem::at(value, error))?,
        "priority" => {
            let priority = u8::try_from(number(key, value)?).unwrap_or(u8::MAX);
            job.priority = Some(Priority::new(priority).map_err(|error| Problem::at(value, error))?.get());
        }
        "retries" => job.retries = Some(number(key, value)?),
        "timeout" => job.timeout = Some(limit(key, value)?),
        "expires" if matches!(value.get_ref(), DeValue::String(text) if text == "never") => options.keep_late = true,
        "expires" => job.expires = Some(limit(key, value)?),
        "unique" => job.unique = Some(UniqueKey::new(string(key, value)?).map_err(|error| Problem::at(value, error))?),
        "headers" => job.headers = headers(key, value)?,
        "catch_up" => options.catch_up = read_catch_up(key, value)?,
        "overlap" => options.overlap = read_overlap(key, value)?,
        "jitter" => options.jitter = duration(key, value)?,
        "starts_at" => options.starts_at = Some(instant(key, value)?),
        "ends_at" => options.ends_at = Some(instant(key, value)?),
        "paused" => options.paused = boolean(key, value)?,
        // The others were read before.
        _ => {}
    }
    Ok(ScheduleSpec { job, options, ..spec })
}

fn read_catch_up(key: Key<'_>, value: Value<'_>) -> Result<CatchUp, Problem> {
    let text = match value.get_ref() {
        DeValue::Integer(_) => number(key, value)?.to_string(),
        _ => string(key, value)?.to_owned(),
    };
    catch_up(&text).map_err(|error| Problem::at(value, format!("catch_up: {error}")))
}

fn read_overlap(key: Key<'_>, value: Value<'_>) -> Result<Overlap, Problem> {
    overlap(string(key, value)?).map_err(|error| Problem::at(value, format!("overlap: {error}")))
}

fn headers(key: Key<'_>, value: Value<'_>) -> Result<Vec<(String, String)>, Problem> {
    let headers = texts("header", key, value, |_| Ok(()))?;
    let mut checked = Headers::default();
    for (name, text) in &headers {
        checked.insert(name, text).map_err(|error| Problem::at(value, format!("headers: {error}")))?;
    }
    Ok(headers)
}

/// A complaint that takes more than one key, at the key that it names if it names one.
fn located(error: &PeriodicError, name: Key<'_>, entries: &DeTable<'_>) -> Problem {
    let key = match &error.problem {
        PeriodicProblem::Option { option, .. } => entries.get_key_value(*option).map(|(key, _)| key),
        PeriodicProblem::Job(_) => entries.get_key_value("args").map(|(key, _)| key),
        _ => None,
    };
    Problem::at(key.unwrap_or(name), chain(&error.problem))
}

fn unknown_key(title: &ScheduleName, key: Key<'_>, value: Value<'_>) -> Problem {
    let name = key.get_ref();
    let is_table = matches!(value.get_ref(), DeValue::Table(_));
    let known = if is_table { &["args", "headers"][..] } else { &SCHEDULE_KEYS };
    let hint = match nearest(name, known) {
        _ if name == "owner" => "it belongs to the top of the file, before the first table".to_owned(),
        Some(hint) => hint,
        // TOML takes the dots of a bare name for levels.
        None if is_table => {
            format!("the name of a schedule with dots must be quoted: [schedules.\"{title}.{name}\"]")
        }
        None => format!("there are {}", SCHEDULE_KEYS.join(", ")),
    };
    Problem::at(key, format!("unknown key {name:?} in [schedules.{title}]; {hint}"))
}

#[cfg(test)]
mod tests;
