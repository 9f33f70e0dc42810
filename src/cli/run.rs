//! From the arguments of a process to its exit code.

use std::process::ExitCode;

use celeriac_broker::StoreUrl;
use celeriac_worker::Tasks;
use clap::error::ContextValue;
use clap::{CommandFactory, Parser};

use crate::cli::application::ApplicationSchedules;
use crate::cli::args::{CommandLine, DEFAULT_STORE, Verb, told_apart};
use crate::cli::exit::{Exit, Failure};
use crate::cli::log_lines::LogLines;
use crate::cli::logging::{self, LogFormat};
use crate::cli::output::{brief, note, print};
use crate::cli::{
    beat, bench, dead, doctor, enqueue, enqueue_file, job, queue, result, schedule, torture, worker, workers, workflow,
};

/// How much of an argument is repeated in a complaint about it, in characters: a name has at most 200.
const REPEATED: usize = 300;

/// Reads the arguments of the process and does what they say.
pub(crate) async fn run(tasks: Tasks, schedules: ApplicationSchedules) -> ExitCode {
    let line = match CommandLine::try_parse_from(told_apart(std::env::args_os())) {
        Ok(line) => line,
        Err(answer) => {
            let answer = without_control_characters(answer);
            // Help and version are such answers too, and go to standard output.
            let _ = answer.print();
            return if answer.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    let log = start_log(&line.verb);
    let ended = obey(line, tasks, schedules).await;
    let is_read = log.is_none_or(|lines| lines.wait_until_written());
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Who does not read the log does not read this either, and would be waited for.
            if is_read {
                note(&format!("error: {}", failure.message));
            }
            failure.exit.into()
        }
    }
}

/// A complaint about arguments repeats them: as far as they may stand on a terminal, and no more of them than is needed to know them.
fn without_control_characters(mut complaint: clap::Error) -> clap::Error {
    let given = complaint.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) => Some((kind, brief(text, REPEATED))),
        _ => None,
    });
    for (kind, text) in given.collect::<Vec<_>>() {
        complaint.insert(kind, ContextValue::String(text));
    }
    complaint
}

/// What every verb needs to know.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The tasks of the application.
    pub(crate) tasks: Tasks,
    /// Its schedules.
    pub(crate) schedules: ApplicationSchedules,
    /// The address of the store.
    pub(crate) url: StoreUrl,
    /// Whether somebody named that address, or it is the default, which `bench` must not use.
    pub(crate) is_named: bool,
    /// Whether the answer is JSON.
    pub(crate) json: bool,
}

async fn obey(line: CommandLine, tasks: Tasks, schedules: ApplicationSchedules) -> Result<(), Failure> {
    // An empty one, as an empty environment variable gives, is none.
    let named = line.broker.filter(|text| !text.is_empty());
    let url = store_url(named.as_deref())?;
    let setting = Setting { tasks, schedules, url, is_named: named.is_some(), json: line.json };
    match line.verb {
        Verb::Worker(args) => worker::run(args, setting).await,
        Verb::Beat(args) => beat::run(args, setting).await,
        Verb::Schedule(verb) => schedule::run(verb, setting).await,
        Verb::Enqueue(args) => match args.from.clone() {
            Some(file) => enqueue_file::run(&file, args, setting).await,
            None => enqueue::run(args, setting).await,
        },
        Verb::Workflow(verb) => workflow::run(verb, setting).await,
        Verb::Job(verb) => job::run(verb, &setting).await,
        Verb::Result(args) => result::run(args, &setting).await,
        Verb::Dead(verb) => dead::run(verb, &setting).await,
        Verb::Queue(verb) => queue::run(verb, &setting).await,
        Verb::Workers => workers::run(&setting).await,
        Verb::Doctor => doctor::run(&setting).await,
        Verb::Bench(args) => bench::run(&args, &setting).await,
        Verb::BenchChild => bench::run_child().await,
        Verb::Torture(args) => torture::run(&args, &setting).await,
        Verb::TortureChild => torture::run_child().await,
        Verb::Completions { shell } => print_completions(shell),
    }
}

/// Starts the log; what waits in it is to be written before the process ends.
fn start_log(verb: &Verb) -> Option<LogLines> {
    match verb {
        Verb::Worker(args) => logging::start_lasting(args.log_format),
        Verb::Beat(args) => logging::start_lasting(args.log_format),
        Verb::TortureChild => logging::start_lasting(LogFormat::Text),
        _ => {
            logging::start();
            None
        }
    }
}

fn store_url(named: Option<&str>) -> Result<StoreUrl, Failure> {
    named.unwrap_or(DEFAULT_STORE).parse().map_err(|error| Failure::usage(format!("the address of the store: {error}")))
}

fn print_completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    // An application that embeds this command line has a name of its own.
    let program = std::env::args_os().next().map(std::path::PathBuf::from);
    let name = program.as_deref().and_then(|path| path.file_name()?.to_str()).unwrap_or("celeriac");
    let mut script = Vec::new();
    let whole = CommandLine::command();
    let shown = whole.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect::<Vec<_>>();
    let mut offered = clap::Command::new("celeriac").args(whole.get_arguments().cloned()).subcommands(shown);
    clap_complete::generate(shell, &mut offered, name, &mut script);
    print(&String::from_utf8_lossy(&script))
}
