//! Reads `celeriac.toml`: tasks that run a command.
//!
//! The file is read key by key and not through serde, so that every complaint has a line, says what to write, and an
//! unknown key gets the name that was probably meant.

mod source;

use std::path::Path;
use std::time::Duration;

use celeriac_broker::StoreUrl;
use celeriac_core::{QueueName, TaskName};
use celeriac_worker::{CommandTask, Tasks};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::cli::args::time_limit;
use crate::cli::exit::Failure;
use source::{Problem, Source, kind, nearest};

/// The file that is read when no other is named.
pub(crate) const DEFAULT_FILE: &str = "celeriac.toml";

/// The variable that tells a command where its own jobs are kept.
const STORE_VARIABLE: &str = "CELERIAC_BROKER";

const TASK_KEYS: [&str; 10] =
    ["command", "queue", "timeout", "soft_timeout", "retries", "result_ttl", "dead_ttl", "aliases", "clear_env", "env"];

type Key<'d> = &'d Spanned<DeString<'d>>;
type Value<'d> = &'d Spanned<DeValue<'d>>;

/// Adds the command tasks of `file`, or of the default file if there is one. Each command is told the address of the store.
pub(crate) fn add_commands(tasks: Tasks, file: Option<&Path>, store: &StoreUrl) -> Result<Tasks, Failure> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(tasks),
        Err(error) => return Err(Failure::usage(format!("cannot read {}: {error}", path.display()))),
    };
    read(path, &text, tasks, store)
}

fn read(path: &Path, text: &str, tasks: Tasks, store: &StoreUrl) -> Result<Tasks, Failure> {
    let source = Source { path, text };
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        source.failure(&Problem { at, text: error.message().to_owned() })
    })?;
    let commands = document_commands(document.get_ref()).map_err(|problem| source.failure(&problem))?;
    commands.into_iter().try_fold(tasks, |tasks, (at, command)| {
        if tasks.names().any(|name| name == command.task.name()) {
            let text = format!("task {:?} is one of the application's own already", command.task.name());
            return Err(source.failure(&Problem { at, text }));
        }
        let own = command.names_a_store;
        let task = if own { command.task } else { command.task.env(STORE_VARIABLE, store.expose()) };
        Ok(tasks.command(task))
    })
}

/// A task of the file.
struct Command {
    task: CommandTask,
    /// Whether its `env` says itself which store the command shall use.
    names_a_store: bool,
}

fn document_commands(document: &DeTable<'_>) -> Result<Vec<(usize, Command)>, Problem> {
    let mut commands = Vec::new();
    for (key, value) in document {
        match key.get_ref().as_ref() {
            "tasks" => {
                for (name, task) in table(key, value)? {
                    commands.push((name.span().start, command(name, task)?));
                }
            }
            "schedules" => {
                return Err(Problem::at(key, "[schedules] is not supported yet; this version runs no periodic jobs"));
            }
            unknown => {
                let hint = nearest(unknown, &["tasks"]).unwrap_or_else(|| "there is [tasks.NAME]".to_owned());
                return Err(Problem::at(key, format!("unknown key {unknown:?}; {hint}")));
            }
        }
    }
    Ok(commands)
}

fn command(name: Key<'_>, value: Value<'_>) -> Result<Command, Problem> {
    let task_name = TaskName::new(name.get_ref().as_ref()).map_err(|error| Problem::at(name, error))?;
    let entries = table(name, value)?;
    let Some((key, parts)) = entries.iter().find(|(key, _)| key.get_ref() == "command") else {
        if let Some(problem) = unknown_key(&task_name, entries) {
            return Err(problem);
        }
        return Err(Problem::at(name, format!("[tasks.{task_name}] has no command; write command = [\"PROGRAM\", …]")));
    };
    let (program, arguments) = command_line(key, parts)?;
    let mut command = Command { task: CommandTask::new(task_name.as_str(), program, arguments), names_a_store: false };
    for (key, value) in entries {
        command = option(&task_name, command, key, value)?;
    }
    Ok(command)
}

fn option(task_name: &TaskName, command: Command, key: Key<'_>, value: Value<'_>) -> Result<Command, Problem> {
    let Command { task, mut names_a_store } = command;
    let task = match key.get_ref().as_ref() {
        "command" => task,
        "queue" => {
            let queue = QueueName::new(string(key, value)?).map_err(|error| Problem::at(value, error))?;
            task.queue(queue)
        }
        "timeout" => task.timeout(time_limit(duration_text(key, value)?).map_err(|error| Problem::at(value, error))?),
        "soft_timeout" => {
            task.soft_timeout(time_limit(duration_text(key, value)?).map_err(|error| Problem::at(value, error))?)
        }
        "result_ttl" => task.result_ttl(duration(key, value)?),
        "dead_ttl" => task.dead_ttl(duration(key, value)?),
        "aliases" => names(key, value)?.into_iter().fold(task, CommandTask::alias),
        "retries" => task.retries(number(key, value)?),
        "clear_env" => match value.get_ref() {
            DeValue::Boolean(true) => task.clear_env(),
            DeValue::Boolean(false) => task,
            other => return Err(Problem::at(value, format!("clear_env must be true or false, not {}", kind(other)))),
        },
        "env" => {
            let variables = environment(key, value)?;
            names_a_store = variables.iter().any(|(name, _)| name == STORE_VARIABLE);
            variables.into_iter().fold(task, |task, (name, value)| task.env(name, value))
        }
        _ => return Err(unknown_task_key(task_name, key, value)),
    };
    Ok(Command { task, names_a_store })
}

fn unknown_key(task_name: &TaskName, entries: &DeTable<'_>) -> Option<Problem> {
    let (key, value) = entries.iter().find(|(key, _)| !TASK_KEYS.contains(&key.get_ref().as_ref()))?;
    Some(unknown_task_key(task_name, key, value))
}

fn unknown_task_key(task_name: &TaskName, key: Key<'_>, value: Value<'_>) -> Problem {
    let name = key.get_ref();
    let hint = match nearest(name, &TASK_KEYS) {
        Some(hint) => hint,
        // TOML takes the dots of a bare name for levels.
        None if matches!(value.get_ref(), DeValue::Table(_)) => {
            format!("a task name with dots must be quoted: [tasks.\"{task_name}.{name}\"]")
        }
        None => format!("there are {}", TASK_KEYS.join(", ")),
    };
    Problem::at(key, format!("unknown key {name:?} in [tasks.{task_name}]; {hint}"))
}

fn table<'d>(key: Key<'_>, value: Value<'d>) -> Result<&'d DeTable<'d>, Problem> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        other => Err(Problem::at(value, format!("{} must be a table, not {}", key.get_ref(), kind(other)))),
    }
}

fn string<'d>(key: Key<'_>, value: Value<'d>) -> Result<&'d str, Problem> {
    match value.get_ref() {
        DeValue::String(text) if text.contains('\0') => {
            Err(Problem::at(value, format!("{} must not hold a NUL character", key.get_ref())))
        }
        DeValue::String(text) => Ok(text),
        other => Err(Problem::at(value, format!("{} must be a string, not {}", key.get_ref(), kind(other)))),
    }
}

fn number(key: Key<'_>, value: Value<'_>) -> Result<u32, Problem> {
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

fn duration(key: Key<'_>, value: Value<'_>) -> Result<Duration, Problem> {
    celeriac_core::parse_duration(duration_text(key, value)?).map_err(|error| Problem::at(value, error))
}

/// Names of tasks.
fn names(key: Key<'_>, value: Value<'_>) -> Result<Vec<String>, Problem> {
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

/// The program and its arguments.
fn command_line(key: Key<'_>, value: Value<'_>) -> Result<(String, Vec<String>), Problem> {
    let parts = match value.get_ref() {
        DeValue::Array(parts) => parts.iter().map(|part| string(key, part)).collect::<Result<Vec<_>, _>>()?,
        DeValue::String(_) => {
            let text = "command must be a list, one string for each part, as in [\"./thumbnail\", \"--size\", \"200\"]; \
                        no shell is involved";
            return Err(Problem::at(value, text));
        }
        other => return Err(Problem::at(value, format!("command must be a list of strings, not {}", kind(other)))),
    };
    match parts.split_first() {
        Some((program, arguments)) if !program.is_empty() => {
            Ok(((*program).to_owned(), arguments.iter().map(ToString::to_string).collect()))
        }
        _ => Err(Problem::at(value, "command names no program")),
    }
}

fn environment(key: Key<'_>, value: Value<'_>) -> Result<Vec<(String, String)>, Problem> {
    let variable = |(name, value): (Key<'_>, Value<'_>)| {
        let plain = name.get_ref();
        if plain.is_empty() || plain.contains(['=', '\0']) {
            return Err(Problem::at(name, format!("{plain:?} cannot name a variable")));
        }
        match value.get_ref() {
            DeValue::String(_) => Ok((plain.to_string(), string(name, value)?.to_owned())),
            other => {
                let text = format!("the variable {plain} must be a string in quotes, not {}", kind(other));
                Err(Problem::at(value, text))
            }
        }
    };
    table(key, value)?.iter().map(variable).collect()
}

#[cfg(test)]
mod tests;
