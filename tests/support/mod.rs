//! What the end-to-end tests share: real worker processes, a ledger that handlers write, and waiting for events.
#![expect(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use celeriac::Client;
use celeriac_testkit::{RedisOptions, RedisServer};
use tempfile::TempDir;

/// How long an awaited event may take before the test fails. Far above what is normal: machines are noisy.
const PATIENCE: Duration = Duration::from_secs(90);

/// A store of the test's own, and a folder for its files.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) redis: Option<RedisServer>,
    pub(crate) url: String,
}

impl Bench {
    /// On a SQLite file in the folder.
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("queue.db").display());
        Self { folder, redis: None, url }
    }

    /// On a redis-server of its own, with an append-only file.
    pub(crate) fn redis() -> Self {
        let redis = RedisServer::start(&RedisOptions::default().append_only());
        let url = redis.url().expose();
        Self { folder: tempfile::tempdir().unwrap(), redis: Some(redis), url }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a celeriac.toml with one task `note` that runs this shell script; `$LEDGER` is the ledger's path.
    pub(crate) fn task(&self, script: &str) {
        let ledger = self.path("ledger");
        let toml = format!(
            "[tasks.note]\ncommand = [\"sh\", \"-c\", '''{script}''']\nretries = 3\nenv = {{ LEDGER = \"{}\" }}\n",
            ledger.display()
        );
        std::fs::write(self.path("celeriac.toml"), toml).unwrap();
    }

    /// A celeriac command in the folder, on the store.
    pub(crate) fn celeriac(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
        command.args(arguments).current_dir(self.folder.path()).env("CELERIAC_BROKER", &self.url);
        command
    }

    /// Starts a worker, with a lease of two seconds unless the arguments name another; what it says goes to `NAME.log`.
    pub(crate) fn worker(&self, name: &str, arguments: &[&str]) -> Process {
        self.worker_at(&self.url, name, arguments)
    }

    /// The same at another address: through a link that can fail, for example.
    pub(crate) fn worker_at(&self, url: &str, name: &str, arguments: &[&str]) -> Process {
        let mut command = self.celeriac(&["worker", "--name", name]);
        if !arguments.contains(&"--lease") {
            command.args(["--lease", "2s"]);
        }
        command.args(arguments);
        self.start_at(url, name, command)
    }

    /// Starts any program in the folder, on the store; what it says goes to `NAME.log`.
    pub(crate) fn start(&self, name: &str, command: Command) -> Process {
        self.start_at(&self.url, name, command)
    }

    pub(crate) fn start_at(&self, url: &str, name: &str, mut command: Command) -> Process {
        let log = std::fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        command.current_dir(self.folder.path()).env("CELERIAC_BROKER", url).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Process { child }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.url).await.unwrap()
    }

    /// The lines that handlers wrote, counted.
    pub(crate) fn ledger(&self) -> BTreeMap<String, usize> {
        let mut lines = BTreeMap::new();
        let text = std::fs::read_to_string(self.path("ledger")).unwrap_or_default();
        text.lines().for_each(|line| *lines.entry(line.to_owned()).or_default() += 1);
        lines
    }

    pub(crate) fn ledger_lines(&self) -> usize {
        self.ledger().values().sum()
    }

    /// Waits until a file of the folder holds a text.
    pub(crate) fn wait_for_text(&self, file: &str, text: &str) {
        let path = self.path(file);
        wait_for(&format!("{text:?} in {file}"), || read(&path).contains(text).then_some(()));
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Polls until the condition answers; panics with its name when patience ends.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = condition() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A child process that is killed by its id when the test forgets it.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Takes over a child that was started elsewhere.
    pub(crate) fn of(child: Child) -> Self {
        Self { child }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill -s {name}");
    }

    /// Kills it without warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("the end of a process", || self.child.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
