//! What a value of the file must be, and what is said of one that is something else.

use std::time::{Duration, SystemTime};

use celeriac_core::TaskName;
use serde_json::{Map, Number};
use toml::de::{DeTable, DeValue};

use super::source::{Problem, kind};
use super::{Key, Value};
use crate::cli::args::{instant as read_instant, time_limit};

pub(super) fn table<'d>(key: Key<'_>, value: Value<'d>) -> Result<&'d DeTable<'d>, Problem> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        other => Err(Problem::at(value, format!("{} must be a table, not {}", key.get_ref(), kind(other)))),
    }
}

pub(super) fn string<'d>(key: Key<'_>, value: Value<'d>) -> Result<&'d str, Problem> {
    match value.get_ref() {
        DeValue::String(text) if text.contains('\0') => {
            Err(Problem::at(value, format!("{} must not hold a NUL character", key.get_ref())))
        }
        DeValue::String(text) => Ok(text),
        other => Err(Problem::at(value, format!("{} must be a string, not {}", key.get_ref(), kind(other)))),
    }
}

pub(super) fn number(key: Key<'_>, value: Value<'_>) -> Result<u32, Problem> {
    let read = match value.get_ref() {
        DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
        other => {
            return Err(Problem::at(value, format!("{} must be a whole number, not {}", key.get_ref(), kind(other))));
        }
    };
    read.ok_or_else(|| Problem::at(value, format!("{} must be a number from 0 to {}", key.get_ref(), u32::MAX)))
}

fn duration_text<'d>(key: Key<'_>, value: Value<'d>) -> Result<&'d str, Problem> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        other => {
            let text = format!("{} must be a duration in quotes, as in \"30s\", not {}", key.get_ref(), kind(other));
            Err(Problem::at(value, text))
        }
    }
}

pub(super) fn duration(key: Key<'_>, value: Value<'_>) -> Result<Duration, Problem> {
    celeriac_core::parse_duration(duration_text(key, value)?).map_err(|error| Problem::at(value, error))
}

/// Names of tasks.
pub(super) fn names(key: Key<'_>, value: Value<'_>) -> Result<Vec<String>, Problem> {
    let DeValue::Array(names) = value.get_ref() else {
        let text = format!("{} must be a list of names, as in [\"resize\"]", key.get_ref());
        return Err(Problem::at(value, text));
    };
    let name = |name| {
        let text = string(key, name)?;
        TaskName::new(text).map_err(|error| Problem::at(name, error))?;
        Ok(text.to_owned())
    };
    names.iter().map(name).collect()
}

pub(super) fn boolean(key: Key<'_>, value: Value<'_>) -> Result<bool, Problem> {
    match value.get_ref() {
        DeValue::Boolean(truth) => Ok(*truth),
        other => Err(Problem::at(value, format!("{} must be true or false, not {}", key.get_ref(), kind(other)))),
    }
}

/// A duration that is not zero.
pub(super) fn limit(key: Key<'_>, value: Value<'_>) -> Result<Duration, Problem> {
    time_limit(duration_text(key, value)?).map_err(|error| Problem::at(value, error))
}

/// A date and time of TOML as text, or a text.
pub(super) fn instant_text(key: Key<'_>, value: Value<'_>) -> Result<String, Problem> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Datetime(instant) => Ok(instant.to_string()),
        other => {
            let text = format!("{} must be an instant, as in 2030-01-31T12:00:00Z, not {}", key.get_ref(), kind(other));
            Err(Problem::at(value, text))
        }
    }
}

/// An instant that needs no zone to be understood.
pub(super) fn instant(key: Key<'_>, value: Value<'_>) -> Result<SystemTime, Problem> {
    read_instant(&instant_text(key, value)?).map_err(|error| Problem::at(value, format!("{}: {error}", key.get_ref())))
}

/// A table of texts, each of them called a `what`, whose names are checked.
pub(super) fn texts(
    what: &str,
    key: Key<'_>,
    value: Value<'_>,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<Vec<(String, String)>, Problem> {
    let text = |(name, value): (Key<'_>, Value<'_>)| {
        let plain = name.get_ref();
        check(plain).map_err(|error| Problem::at(name, error))?;
        match value.get_ref() {
            DeValue::String(_) => Ok((plain.to_string(), string(name, value)?.to_owned())),
            other => {
                let text = format!("the {what} {plain} must be a string in quotes, not {}", kind(other));
                Err(Problem::at(value, text))
            }
        }
    };
    table(key, value)?.iter().map(text).collect()
}

/// Any value as JSON; dates become texts.
pub(super) fn json(value: Value<'_>) -> Result<serde_json::Value, Problem> {
    let problem = |text: &str| Problem::at(value, format!("args: {text}"));
    Ok(match value.get_ref() {
        DeValue::String(text) => serde_json::Value::String(text.clone().into_owned()),
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            read.map_err(|_| problem("a whole number has at most 64 bits"))?.into()
        }
        DeValue::Float(number) => {
            let read = number.as_str().parse().ok().and_then(Number::from_f64);
            read.ok_or_else(|| problem("JSON has no such number"))?.into()
        }
        DeValue::Boolean(truth) => (*truth).into(),
        DeValue::Datetime(instant) => instant.to_string().into(),
        DeValue::Array(items) => items.iter().map(json).collect::<Result<Vec<_>, _>>()?.into(),
        DeValue::Table(entries) => {
            let entry = |(key, value): (Key<'_>, Value<'_>)| Ok((key.get_ref().to_string(), json(value)?));
            entries.iter().map(entry).collect::<Result<Map<_, _>, _>>()?.into()
        }
    })
}
