//! Reads `celeriac.toml`: tasks that run a command, and schedules.
//!
//! The file is read key by key and not through serde, so that every complaint has a line, says what to write, and an
//! unknown key gets the name that was probably meant. All of it is checked by whoever reads it, whatever they need of it: [`tasks`] and
//! [`schedules`] say what may stand in a table, [`values`] what a value must be, [`source`] where something is wrong.

mod schedules;
mod source;
mod tasks;
mod values;

use std::path::{Path, PathBuf};

use celeriac_broker::{ScheduleEntry, StoreUrl};
use celeriac_core::ScheduleName;
use celeriac_worker::Tasks;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::cli::exit::Failure;
use source::{Problem, Source, nearest};
use tasks::Command;

/// The file that is read when no other is named.
pub(crate) const DEFAULT_FILE: &str = "celeriac.toml";

/// The variable that tells a command where its own jobs are kept.
const STORE_VARIABLE: &str = "CELERIAC_BROKER";

const KEYS: [&str; 3] = ["owner", "tasks", "schedules"];

type Key<'d> = &'d Spanned<DeString<'d>>;
type Value<'d> = &'d Spanned<DeValue<'d>>;

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// The tasks of the application and those of the file.
    pub(crate) tasks: Tasks,
    /// The schedules of the file; there may be none.
    pub(crate) schedules: FileSchedules,
}

/// The schedules of a file and where they stand, for complaints that only whoever runs them can make.
#[derive(Debug, Default)]
pub(crate) struct FileSchedules {
    /// Whether there is a file at all.
    pub(crate) is_there: bool,
    path: PathBuf,
    text: String,
    /// To whom they belong, if the file says so.
    pub(crate) owner: Option<(usize, ScheduleName)>,
    /// Where the first of them stands.
    first: usize,
    /// The schedules by name, each with its place.
    pub(crate) entries: Vec<(usize, ScheduleEntry)>,
}

impl FileSchedules {
    /// Something that cannot work, at a place of the file.
    pub(crate) fn failure(&self, at: usize, text: impl Into<String>) -> Failure {
        self.source().failure(&Problem { at, text: text.into() })
    }

    /// File, line and column of a place.
    pub(crate) fn place(&self, at: usize) -> String {
        self.source().place(at)
    }

    /// The complaint that nobody is named to whom they belong.
    pub(crate) fn without_owner(&self) -> Failure {
        let text = "[schedules] needs an owner: write owner = \"NAME\" at the top of this file, before the first table, with a name for this \
                    application. It tells these schedules from those of other applications in the same store: what this owner has there and \
                    this file has not is removed, and nobody else's schedules are touched";
        self.failure(self.first, text)
    }

    fn source(&self) -> Source<'_> {
        Source { path: &self.path, text: &self.text }
    }
}

/// Adds the command tasks of `file`, or of the default file if there is one, and reads its schedules. Each command is told the address of the
/// store.
pub(crate) fn read(tasks: Tasks, file: Option<&Path>, store: &StoreUrl) -> Result<Config, Failure> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Config { tasks, ..Config::default() });
        }
        Err(error) => return Err(Failure::usage(format!("cannot read {}: {error}", path.display()))),
    };
    read_text(path, &text, tasks, store)
}

/// The tasks alone, for those who run no schedules.
pub(crate) fn add_commands(tasks: Tasks, file: Option<&Path>, store: &StoreUrl) -> Result<Tasks, Failure> {
    read(tasks, file, store).map(|config| config.tasks)
}

fn read_text(path: &Path, text: &str, tasks: Tasks, store: &StoreUrl) -> Result<Config, Failure> {
    let source = Source { path, text };
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        source.failure(&Problem { at, text: error.message().to_owned() })
    })?;
    read_document(document.get_ref(), &source, tasks, store).map_err(|problem| source.failure(&problem))
}

fn read_document(
    document: &DeTable<'_>,
    source: &Source<'_>,
    mut tasks: Tasks,
    store: &StoreUrl,
) -> Result<Config, Problem> {
    if let Some((key, _)) = document.iter().find(|(key, _)| !KEYS.contains(&key.get_ref().as_ref())) {
        let name = key.get_ref();
        let hint =
            nearest(name, &KEYS).unwrap_or_else(|| "there are owner, [tasks.NAME] and [schedules.NAME]".to_owned());
        return Err(Problem::at(key, format!("unknown key {name:?}; {hint}")));
    }
    if let Some((key, value)) = document.get_key_value("tasks") {
        for (name, task) in values::table(key, value)? {
            tasks = add(tasks, name.span().start, tasks::read(name, task)?, store)?;
        }
    }
    let (path, text) = (source.path.to_owned(), source.text.to_owned());
    let mut schedules = FileSchedules { is_there: true, path, text, ..FileSchedules::default() };
    if let Some((key, value)) = document.get_key_value("owner") {
        let owner = ScheduleName::new(values::string(key, value)?);
        let owner = owner.map_err(|error| Problem::at(value, format!("owner: {error}")))?;
        schedules.owner = Some((value.span().start, owner));
    }
    if let Some((key, value)) = document.get_key_value("schedules") {
        schedules.first = key.span().start;
        for (name, schedule) in values::table(key, value)? {
            schedules.entries.push((name.span().start, schedules::read(name, schedule, &tasks)?));
        }
    }
    Ok(Config { tasks, schedules })
}

fn add(tasks: Tasks, at: usize, command: Command, store: &StoreUrl) -> Result<Tasks, Problem> {
    if tasks.names().any(|name| name == command.task.name()) {
        let text = format!("task {:?} is one of the application's own already", command.task.name());
        return Err(Problem { at, text });
    }
    let own = command.names_a_store;
    Ok(tasks.command(if own { command.task } else { command.task.env(STORE_VARIABLE, store.expose()) }))
}

#[cfg(test)]
mod tests;
