//! What may be typed. The text of `--help` is in the doc comments here.

mod beat;
mod bench;
mod queues;
mod schedule;
mod torture;
mod worker;
mod workflow;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use celeriac_core::{DurationError, JobId, QueueName, State, TaskName, UniqueKey, excerpt, parse_duration};
use clap::{ArgGroup, Args, Parser, Subcommand};

pub(crate) use beat::BeatArgs;
pub(crate) use bench::BenchArgs;
pub(crate) use queues::WeighedQueue;
pub(crate) use schedule::{AddArgs, NextArgs, ScheduleVerb};
pub(crate) use torture::{FaultKind, TortureArgs, TorturedStore};
pub(crate) use worker::WorkerArgs;
pub(crate) use workflow::{RunArgs, WorkflowVerb};

/// Where jobs are kept unless something else is said.
pub(crate) const DEFAULT_STORE: &str = "sqlite:celeriac.db";

const STORE_HELP: &str = "The store: sqlite:PATH, redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://…; ?prefix=NAME \
    separates namespaces [default: sqlite:celeriac.db; bench starts a redis-server of its own]";

/// A task queue: enqueue jobs, run them, look after them.
#[derive(Debug, Parser)]
#[command(name = "celeriac", version, max_term_width = 100)]
#[command(
    arg_required_else_help = true,
    after_help = "Durations: 250ms 10s 5m 2h 7d.\n\
    Exit codes: 0 done, 1 the job or operation failed, 2 usage, 3 store unreachable, 4 not found, 5 id, unique key or name in use."
)]
pub(crate) struct CommandLine {
    // The value of the variable is hidden, because it may hold a password.
    #[arg(long, global = true, value_name = "URL", env = "CELERIAC_BROKER", hide_env_values = true, help = STORE_HELP)]
    pub(crate) broker: Option<String>,
    /// Answer with exactly one JSON value on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run jobs
    Worker(WorkerArgs),
    /// Enqueue the jobs of schedules when they are due
    Beat(BeatArgs),
    /// Look at schedules, add, pause and remove them
    #[command(subcommand)]
    Schedule(ScheduleVerb),
    /// Enqueue a job, or a file of jobs
    Enqueue(EnqueueArgs),
    /// Run workflows, look at them, retry and revoke them
    #[command(subcommand)]
    Workflow(WorkflowVerb),
    /// Look at jobs, revoke them, explain why one has not run
    #[command(subcommand)]
    Job(JobVerb),
    /// Show the result of a job
    Result(ResultArgs),
    /// Look at dead jobs, retry and delete them
    #[command(subcommand)]
    Dead(DeadVerb),
    /// Look at queues, pause and purge them
    #[command(subcommand)]
    Queue(QueueVerb),
    /// Show the workers that are registered
    Workers,
    /// Look for what is wrong: the store, what a crash loses, queues that nobody serves
    Doctor,
    /// Measure this machine: rates, latency, cost and memory, each beside its floor
    Bench(BenchArgs),
    /// Play a part in a benchmark
    #[command(hide = true)]
    BenchChild,
    /// Break everything that can break around jobs, and check that none is lost and none runs twice without a cause
    Torture(TortureArgs),
    /// Play a part in a torture
    #[command(hide = true)]
    TortureChild,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["task", "from"]).required(true))]
pub(crate) struct EnqueueArgs {
    /// Name of the task
    pub(crate) task: Option<TaskName>,
    /// Arguments as JSON, - for standard input [default: {}]
    #[arg(value_name = "ARGS_JSON", allow_negative_numbers = true, conflicts_with = "from")]
    pub(crate) args: Option<String>,
    /// File of jobs, - for standard input: on each line an object with task, args, and the options below by their names
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Queue to enqueue on [default: the task's own]
    #[arg(short, long, conflicts_with = "from")]
    pub(crate) queue: Option<QueueName>,
    /// Run it no earlier than this long from now
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with_all = ["at", "from"])]
    pub(crate) delay: Option<Duration>,
    /// Run it no earlier than this instant, as in 2030-01-31T10:00:00Z
    #[arg(long, value_name = "RFC3339", value_parser = instant, conflicts_with = "from")]
    pub(crate) at: Option<SystemTime>,
    /// Id of the job; refused while it is in use [default: a new one]
    #[arg(long, conflicts_with = "from")]
    pub(crate) id: Option<JobId>,
    /// How many failures lead to another attempt [default: the task's own, or 25]
    #[arg(long, value_name = "N", conflicts_with = "from")]
    pub(crate) retries: Option<u32>,
    /// How long one attempt may run [default: the task's own, or no limit]
    #[arg(long, value_name = "DURATION", value_parser = time_limit, conflicts_with = "from")]
    pub(crate) timeout: Option<Duration>,
    /// How urgent it is in its queue: 0 to 9, 9 first [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9), conflicts_with = "from")]
    pub(crate) priority: Option<u8>,
    /// Key that no other unfinished job may have; refused while one has it
    #[arg(long, value_name = "KEY", conflicts_with = "from")]
    pub(crate) unique: Option<UniqueKey>,
    /// Begin no attempt later than this long from now; then it ends as expired
    #[arg(long, value_name = "DURATION", value_parser = time_limit, conflicts_with = "from")]
    pub(crate) expires: Option<Duration>,
    /// Be done this long from now: what runs then is given up and dead, what has not begun ends as expired
    #[arg(long, value_name = "DURATION", value_parser = time_limit, conflicts_with = "from")]
    pub(crate) deadline: Option<Duration>,
    /// Header that travels with the job, as in traceparent=00-…; may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header, conflicts_with = "from")]
    pub(crate) headers: Vec<(String, String)>,
    /// Wait for the end, at most DURATION if given
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = Wait::FOR_EVER)]
    pub(crate) wait: Option<Wait>,
    /// File of command tasks, to know their queues [default: celeriac.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobVerb {
    /// Show all that is known of jobs
    Get {
        /// Ids of the jobs
        #[arg(required = true, value_name = "ID")]
        ids: Vec<JobId>,
    },
    /// List jobs that wait, run, are parked or dead
    List {
        /// Only jobs in this state
        #[arg(long)]
        state: Option<State>,
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Revoke jobs: those that wait never start, those that run are told to stop
    Revoke {
        /// Ids of the jobs
        #[arg(required = true, value_name = "ID")]
        ids: Vec<JobId>,
    },
    /// Make dead jobs ready again, with their failures forgotten
    Retry {
        /// Ids of the jobs
        #[arg(required = true, value_name = "ID")]
        ids: Vec<JobId>,
    },
    /// Delete dead jobs
    Delete {
        /// Ids of the jobs
        #[arg(required = true, value_name = "ID")]
        ids: Vec<JobId>,
    },
    /// Say why a job has not run, and what to do
    Explain {
        /// Id of the job
        #[arg(value_name = "ID")]
        id: JobId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// Only jobs of this queue
    #[arg(short, long)]
    pub(crate) queue: Option<QueueName>,
    /// Only jobs of this task
    #[arg(long)]
    pub(crate) task: Option<TaskName>,
    /// Only jobs whose last error holds this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
    /// Only jobs that have been in their state for at least this long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) older_than: Option<Duration>,
    /// The most jobs to list
    #[arg(long, value_name = "N", default_value = "50", value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) limit: NonZeroUsize,
    /// Go on where an earlier list ended; it says with which mark
    #[arg(long, value_name = "MARK", allow_hyphen_values = true)]
    pub(crate) after: Option<String>,
}

/// Dead jobs by their ids, or all that fit.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["ids", "all", "queue", "task", "error", "older_than"]).required(true).multiple(true))]
pub(crate) struct WhichArgs {
    /// Ids of the jobs
    #[arg(value_name = "ID", conflicts_with_all = ["all", "queue", "task", "error", "older_than"])]
    pub(crate) ids: Vec<JobId>,
    /// Every dead job that fits the options below; all of them without any
    #[arg(long)]
    pub(crate) all: bool,
    /// Those of this queue
    #[arg(short, long)]
    pub(crate) queue: Option<QueueName>,
    /// Those of this task
    #[arg(long)]
    pub(crate) task: Option<TaskName>,
    /// Those whose last error holds this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
    /// Those that have been dead for at least this long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) older_than: Option<Duration>,
    /// Say how many there are, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResultArgs {
    /// Id of the job
    pub(crate) id: JobId,
    /// Wait for the end, at most DURATION if given
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = Wait::FOR_EVER)]
    pub(crate) wait: Option<Wait>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadVerb {
    /// List dead jobs
    List(FilterArgs),
    /// Make dead jobs ready again, with their failures forgotten
    Retry(WhichArgs),
    /// Delete dead jobs; what they ended with can be read as long as it is kept
    Delete {
        #[command(flatten)]
        which: WhichArgs,
        /// Do not ask before many are deleted
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueVerb {
    /// List queues and what is in them
    List,
    /// Hand out no more jobs of a queue; it goes on accepting them
    Pause {
        /// Name of the queue
        name: QueueName,
    },
    /// Hand out jobs of a queue again
    Resume {
        /// Name of the queue
        name: QueueName,
    },
    /// End all ready jobs of a queue as revoked; scheduled and running ones stay
    Purge {
        /// Name of the queue
        name: QueueName,
        /// Do not ask before
        #[arg(long)]
        yes: bool,
    },
}

/// How long to wait for an end; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Option<Duration>);

impl Wait {
    const FOR_EVER: &'static str = "forever";
}

impl FromStr for Wait {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        if text == Self::FOR_EVER { Ok(Self(None)) } else { parse_duration(text).map(|limit| Self(Some(limit))) }
    }
}

/// The arguments of this process, with `--wait` told apart from what follows it.
///
/// The duration after `--wait` may be left out, so `enqueue --wait TASK` would take the name of the task for it. A duration
/// begins with a digit.
pub(crate) fn told_apart(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter().peekable();
    let mut told = Vec::new();
    let mut options_end = false;
    while let Some(argument) = arguments.next() {
        options_end |= argument == "--";
        let next = arguments.peek().map(|next| next.as_encoded_bytes());
        let is_limit = next.and_then(<[u8]>::first).is_none_or(u8::is_ascii_digit);
        if argument == "--wait" && !options_end && !is_limit {
            told.push(format!("--wait={}", Wait::FOR_EVER).into());
        } else {
            told.push(argument);
        }
    }
    told
}

/// Reads an instant.
pub(crate) fn instant(text: &str) -> Result<SystemTime, String> {
    let instant = text.parse::<jiff::Timestamp>();
    instant.map(SystemTime::from).map_err(|_| {
        format!(
            "{:?} is no instant; write date, time and zone as in 2030-01-31T10:00:00Z or 2030-01-31T10:00:00+02:00",
            excerpt(text)
        )
    })
}

/// Reads a limit for an attempt.
pub(crate) fn time_limit(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("a time limit must be longer than zero".to_owned()),
        Ok(limit) => Ok(limit),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads a header. What it may hold is checked when the job is made.
fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(format!("{:?} has no value; write it as NAME=VALUE", excerpt(text))),
    }
}

fn at_least_one<N: std::str::FromStr>(text: &str) -> Result<N, &'static str> {
    text.parse().map_err(|_| "write a whole number, 1 at least")
}

#[cfg(test)]
mod tests;
