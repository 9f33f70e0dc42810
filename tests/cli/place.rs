//! A directory with a store of its own, and processes of the command line in it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Only guards against waiting for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tasks that tests run: one that answers its arguments, one that fails, one that never ends, one that shows its environment.
pub(crate) const TASKS: &str = r#"
[tasks.echo]
command = ["cat"]

[tasks.fail]
command = ["sh", "-c", "echo no way >&2; exit 3"]
retries = 0

[tasks.sleep]
command = ["sleep", "1000"]

[tasks.images]
command = ["sh", "-c", "env | grep ^CELERIAC | sort"]
queue = "images"
env = { CELERIAC_COLOUR = "green" }
"#;

/// A working directory. Its store is the SQLite file that is used when nobody names one, unless another is given.
pub(crate) struct Place {
    directory: TempDir,
    store: Option<String>,
}

/// How a process ended and what it said.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    pub(crate) fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        let code = output.status.code().expect("the process ended by itself");
        Self { code, out: text(output.stdout), err: text(output.stderr) }
    }

    /// The only JSON value on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {:?} {:?}", self.out, self.err))
    }
}

impl Place {
    /// A directory with the tasks above.
    pub(crate) fn new() -> Self {
        let place = Self { directory: TempDir::new().expect("a temporary directory"), store: None };
        place.write("celeriac.toml", TASKS);
        place
    }

    /// The same with another store than the default.
    pub(crate) fn with_store(store: impl Into<String>) -> Self {
        Self { store: Some(store.into()), ..Self::new() }
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).expect("the file is written");
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.directory.path().join(name).exists()
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// The names of the files in the directory.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).expect("the directory is there");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
        command.args(arguments).current_dir(self.directory.path());
        command.env_remove("RUST_LOG").env_remove("CELERIAC_BROKER").env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(store) = &self.store {
            command.env("CELERIAC_BROKER", store);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        Answer::from(self.command(arguments).output().expect("the binary starts"))
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Answer {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        stdin.write_all(input.as_bytes()).expect("the input is read");
        drop(stdin);
        Answer::from(child.wait_with_output().expect("the process ends"))
    }

    /// Runs what must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Answer {
        let answer = self.run(arguments);
        assert_eq!(answer.code, 0, "{arguments:?}: {}{}", answer.out, answer.err);
        answer
    }

    /// Runs what must succeed, with `--json`, and reads its answer.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.ok(&[arguments, &["--json"]].concat()).json()
    }

    /// A worker that is registered.
    pub(crate) fn worker(&self, arguments: &[&str]) -> Process {
        let worker = Process::start(self.command(&[&["worker"], arguments].concat()));
        worker.until("registered");
        worker
    }

    /// Runs all there is to do.
    pub(crate) fn burst(&self) -> Answer {
        self.ok(&["worker", "--burst", "--json"])
    }
}

/// A process that goes on until it is told to end; what it says on standard error can be waited for. It is killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Nobody listens any more when the test has seen enough.
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// Waits for a line with this text.
    pub(crate) fn until(&self, text: &str) -> String {
        self.until_within(PATIENCE, text)
    }

    /// The same with less patience: for what would happen later anyway, but for another reason.
    pub(crate) fn until_within(&self, patience: Duration, text: &str) -> String {
        let (began, mut seen) = (Instant::now(), Vec::new());
        loop {
            match self.lines.recv_timeout(patience.saturating_sub(began.elapsed())) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no line with {text:?} in {seen:#?}"),
            }
        }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the process is there");
    }

    /// Waits for the end: the exit code, standard output, and what was said on standard error since the last wait.
    pub(crate) fn end(mut self) -> Answer {
        let mut out = String::new();
        let mut stdout = self.child.stdout.take().expect("standard output is a pipe");
        std::io::Read::read_to_string(&mut stdout, &mut out).expect("output is UTF-8");
        let status = self.child.wait().expect("the process ends");
        let err = self.lines.iter().collect::<Vec<_>>().join("\n");
        Answer { code: status.code().expect("the process ended by itself"), out, err }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The ids of a list of jobs, sorted.
pub(crate) fn ids(jobs: &Value) -> Vec<&str> {
    let jobs = jobs.as_array().expect("a JSON array");
    let mut ids: Vec<_> = jobs.iter().map(|job| job["id"].as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids
}

/// The names of the fields of a JSON object, sorted.
pub(crate) fn fields(value: &Value) -> Vec<&str> {
    value.as_object().expect("a JSON object").keys().map(String::as_str).collect()
}
