//! Tasks that run a command: JSON in on standard input, JSON out on standard output.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use celeriac_core::{MAX_ERROR_BYTES, MAX_PAYLOAD_BYTES, RetryPolicy, TaskError, TaskOptions};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::value::{RawValue, to_raw_value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::context::Context;
use crate::handler::{Definition, RunResult, Runnable, Started};
use crate::state::{Need, States};

/// The exit code by which a command says "not now": the job runs again later and no failure is counted.
pub const EXIT_NOT_NOW: i32 = 75;

/// How long output is awaited after the command has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a job waits whose command said "not now".
const NOT_NOW_DELAY: Duration = Duration::from_secs(10);

/// How long a job waits whose command this worker cannot start for lack of descriptors, processes or memory. Running commands give theirs back
/// when they end, and another worker may have some.
const NO_ROOM_DELAY: Duration = Duration::from_secs(1);

/// A task that runs a command for each job.
///
/// The arguments arrive as JSON on standard input. What the command prints is the result: as JSON if it is JSON,
/// otherwise as text. Exit code 0 is success, 75 means not now, any other fails the attempt with the end of standard error as its text.
/// The command runs in a process group of its own, which is killed as a whole when the time limit is over, the worker shuts down
/// or the job is lost. The environment is inherited unless cleared, and `CELERIAC_JOB_ID`, `CELERIAC_ATTEMPT`, `CELERIAC_TASK`,
/// `CELERIAC_QUEUE` and `CELERIAC_FENCE` are added. The command line adds `CELERIAC_BROKER`; a program that wants its commands to
/// know the store adds it with [`CommandTask::env`].
#[derive(Debug, Clone)]
pub struct CommandTask {
    name: String,
    program: String,
    arguments: Vec<String>,
    queue: String,
    retry: RetryPolicy,
    timeout: Option<Duration>,
    soft_timeout: Option<Duration>,
    aliases: Vec<String>,
    result_ttl: Duration,
    dead_ttl: Duration,
    clear_env: bool,
    environment: BTreeMap<String, String>,
}

impl CommandTask {
    /// A task of this name that runs `program` with `arguments`; no shell is involved.
    #[must_use]
    pub fn new(name: impl Into<String>, program: impl Into<String>, arguments: Vec<String>) -> Self {
        let defaults = TaskOptions::default();
        Self {
            name: name.into(),
            program: program.into(),
            arguments,
            queue: defaults.queue.to_owned(),
            retry: defaults.retry,
            timeout: None,
            soft_timeout: None,
            aliases: Vec::new(),
            result_ttl: defaults.result_ttl,
            dead_ttl: defaults.dead_ttl,
            clear_env: false,
            environment: BTreeMap::new(),
        }
    }

    /// Names the queue its jobs go to.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = queue.into();
        self
    }

    /// Sets how many failures lead to another attempt.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retry.retries = retries;
        self
    }

    /// Limits how long one attempt may run.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long the end of a job can be read; zero keeps nothing.
    #[must_use]
    pub fn result_ttl(mut self, ttl: Duration) -> Self {
        self.result_ttl = ttl;
        self
    }

    /// Sets how long its dead jobs are kept.
    #[must_use]
    pub fn dead_ttl(mut self, ttl: Duration) -> Self {
        self.dead_ttl = ttl;
        self
    }

    /// Starts the command with an empty environment, but for what [`CommandTask::env`] and celeriac add.
    #[must_use]
    pub fn clear_env(mut self) -> Self {
        self.clear_env = true;
        self
    }

    /// Sends the command SIGTERM after this long; it may end in order until the time limit kills it.
    #[must_use]
    pub fn soft_timeout(mut self, timeout: Duration) -> Self {
        self.soft_timeout = Some(timeout);
        self
    }

    /// Adds a name by which jobs may ask for it too: the one it had before it was renamed.
    #[must_use]
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.aliases.push(name.into());
        self
    }

    /// Adds a variable to the command's environment.
    #[must_use]
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(key.into(), value.into());
        self
    }

    /// The name of the task.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn definition(&self) -> Definition {
        Definition {
            queue: self.queue.clone(),
            retry: self.retry,
            timeout: self.timeout,
            soft_timeout: self.soft_timeout,
            aliases: self.aliases.clone(),
            result_ttl: self.result_ttl,
            dead_ttl: self.dead_ttl,
        }
    }

    fn spawn(&self, context: &Context) -> Result<ProcessGroup, TaskError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        if self.clear_env {
            command.env_clear();
        }
        command
            .env("CELERIAC_JOB_ID", context.job_id().as_str())
            .env("CELERIAC_ATTEMPT", context.attempt().to_string())
            .env("CELERIAC_TASK", context.task().as_str())
            .env("CELERIAC_QUEUE", context.queue().as_str())
            .env("CELERIAC_FENCE", context.fence().to_string())
            .env("CELERIAC_HEADERS", serde_json::to_string(context.headers()).unwrap_or_default())
            .envs(&self.environment);
        let child = command.spawn().map_err(|error| self.not_started(&error))?;
        Ok(ProcessGroup { child })
    }

    /// A worker that has no descriptor, process or memory left for one command more says "not now": that is no failure of the job.
    fn not_started(&self, error: &std::io::Error) -> TaskError {
        let lacks = [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM];
        if Errno::from_io_error(error).is_some_and(|errno| lacks.contains(&errno)) {
            tracing::warn!(%error, program = self.program, "the command cannot be started now");
            return TaskError::snooze(NO_ROOM_DELAY);
        }
        TaskError::retry(format!("cannot start {:?}: {error}", self.program))
    }
}

impl Runnable for CommandTask {
    fn needs(&self) -> Vec<Need> {
        Vec::new()
    }

    fn is_heavy(&self) -> bool {
        true
    }

    fn start(&self, payload: &[u8], context: Context, _states: &States) -> Result<Started, String> {
        serde_json::from_slice::<&RawValue>(payload).map_err(|error| error.to_string())?;
        let (task, payload) = (self.clone(), payload.to_vec());
        Ok(Started::Async(Box::pin(async move { task.spawn(&context)?.communicate(&payload, &context).await })))
    }
}

/// A running command. Dropping it kills the command and everything it started in its group.
struct ProcessGroup {
    child: Child,
}

impl ProcessGroup {
    async fn communicate(mut self, input: &[u8], context: &Context) -> RunResult {
        let (stdin, stdout, stderr) = (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // A command may end without reading its input; its exit code tells what that means.
                let _ = stdin.write_all(input).await;
            }
        };
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let status = {
            let read_output = read_head(stdout, MAX_PAYLOAD_BYTES + 1, &mut output);
            let talk = async { tokio::join!(write, read_output, read_tail(stderr, MAX_ERROR_BYTES, &mut errors)) };
            tokio::pin!(talk);
            let cancelled = context.cancelled();
            tokio::pin!(cancelled);
            let (mut talked, mut told) = (false, false);
            let status = loop {
                tokio::select! {
                    biased;
                    _ = &mut talk, if !talked => talked = true,
                    status = self.child.wait() => break status,
                    // Asked to stop, the command may end in order; whoever asked kills it later.
                    () = &mut cancelled, if !told => {
                        told = true;
                        self.signal(Signal::TERM);
                    }
                }
            };
            if !talked {
                // What the command left in the background may keep the pipes open for ever; it is not waited for.
                let _ = tokio::time::timeout(LAST_WORDS, talk).await;
            }
            status
        };
        let status = status.map_err(|error| TaskError::retry(format!("cannot wait for the command: {error}")))?;
        answer(status, &output, &errors)
    }

    fn signal(&self, signal: Signal) {
        // `id` is `None` once the command was waited for: then its number may already name another group.
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

fn answer(status: ExitStatus, output: &[u8], errors: &[u8]) -> RunResult {
    match status.code() {
        Some(0) if output.len() > MAX_PAYLOAD_BYTES => {
            Err(TaskError::permanent(format!("the command printed more than {MAX_PAYLOAD_BYTES} bytes")))
        }
        Some(0) => result_of(output),
        Some(EXIT_NOT_NOW) => Err(TaskError::snooze(NOT_NOW_DELAY)),
        _ => {
            let text = String::from_utf8_lossy(errors);
            let text = text.trim();
            let separator = if text.is_empty() { "" } else { ": " };
            Err(TaskError::retry(format!("command ended with {status}{separator}{text}")))
        }
    }
}

fn result_of(output: &[u8]) -> RunResult {
    let text = String::from_utf8_lossy(output);
    let text = text.trim();
    if text.is_empty() {
        return Ok(RawValue::NULL.to_owned());
    }
    RawValue::from_string(text.to_owned())
        .or_else(|_| to_raw_value(text))
        .map_err(|error| TaskError::permanent(format!("the command's output cannot be kept: {error}")))
}

/// Reads to the end and keeps the first `limit` bytes, so that the command never blocks on a full pipe.
async fn read_head(source: Option<impl AsyncRead + Unpin>, limit: usize, kept: &mut Vec<u8>) {
    read(source, |chunk| {
        let room = limit.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
    })
    .await;
}

/// Reads to the end and keeps the last `limit` bytes.
async fn read_tail(source: Option<impl AsyncRead + Unpin>, limit: usize, kept: &mut Vec<u8>) {
    read(source, |chunk| {
        kept.extend_from_slice(chunk);
        let excess = kept.len().saturating_sub(limit);
        kept.drain(..excess);
    })
    .await;
}

async fn read(source: Option<impl AsyncRead + Unpin>, mut keep: impl FnMut(&[u8])) {
    let Some(mut source) = source else { return };
    let mut chunk = vec![0; 8192];
    while let Ok(length @ 1..) = source.read(&mut chunk).await {
        keep(&chunk[..length]);
    }
}
