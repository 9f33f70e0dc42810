//! `[tasks.NAME]`: a task that runs a command.

use celeriac_core::{QueueName, TaskName};
use celeriac_worker::CommandTask;
use toml::de::{DeTable, DeValue};

use super::source::{Problem, kind, nearest};
use super::values::{boolean, duration, limit, names, number, string, table, texts};
use super::{Key, STORE_VARIABLE, Value};

const TASK_KEYS: [&str; 10] =
    ["command", "queue", "timeout", "soft_timeout", "retries", "result_ttl", "dead_ttl", "aliases", "clear_env", "env"];

/// A task of the file.
pub(super) struct Command {
    pub(super) task: CommandTask,
    /// Whether its `env` says itself which store the command shall use.
    pub(super) names_a_store: bool,
}

pub(super) fn read(name: Key<'_>, value: Value<'_>) -> Result<Command, Problem> {
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
        "timeout" => task.timeout(limit(key, value)?),
        "soft_timeout" => task.soft_timeout(limit(key, value)?),
        "result_ttl" => task.result_ttl(duration(key, value)?),
        "dead_ttl" => task.dead_ttl(duration(key, value)?),
        "aliases" => names(key, value)?.into_iter().fold(task, CommandTask::alias),
        "retries" => task.retries(number(key, value)?),
        "clear_env" => match boolean(key, value)? {
            true => task.clear_env(),
            false => task,
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
    texts("variable", key, value, |name| match name.is_empty() || name.contains(['=', '\0']) {
        true => Err(format!("{name:?} cannot name a variable")),
        false => Ok(()),
    })
}
