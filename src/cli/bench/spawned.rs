//! A child process of the benchmark, seen from the benchmark.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::place::Place;
use super::protocol::{Event, GO, Order, Report, Role, STOP};
use crate::cli::exit::{Exit, Failure};

/// The verb that plays a role; hidden from `--help`.
const VERB: &str = "bench-child";

/// How long a child may take to prepare itself; far more than it needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running child. It is killed when this is dropped, and ends by itself when this process is gone.
pub(super) struct Spawned {
    what: &'static str,
    _child: Child,
    stdin: ChildStdin,
    events: UnboundedReceiver<Event>,
    done: Arc<AtomicU64>,
    listener: JoinHandle<()>,
}

impl Spawned {
    /// Starts a child and waits until it is prepared.
    pub(super) async fn start(place: &Place, role: Role, jobs: u64, payload: usize) -> Result<Self, Failure> {
        let what = name(&role);
        let order = Order { store: place.secret_url(), jobs, payload, role };
        let program = std::env::current_exe().map_err(|error| broken(what, &error))?;
        let mut child = Command::new(program)
            .arg(VERB)
            // The order names the store.
            .env_remove("CELERIAC_BROKER")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A signal from the terminal is the benchmark's to handle; the child ends with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| broken(what, &error))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.ok_or_else(|| broken(what, &"it has no pipes"))?;
        let done = Arc::new(AtomicU64::new(0));
        let (sender, events) = unbounded_channel();
        let listener = tokio::spawn(listen(stdout, sender, Arc::clone(&done)));
        let mut spawned = Self { what, _child: child, stdin, events, done, listener };
        let line = serde_json::to_string(&order).map_err(|error| broken(what, &error))?;
        spawned.say(&line).await?;
        match tokio::time::timeout(PATIENCE, spawned.events.recv()).await {
            Ok(Some(Event::Ready)) => Ok(spawned),
            Ok(event) => Err(spawned.unexpected(event)),
            Err(_) => Err(broken(what, &format!("it was not ready within {} s", PATIENCE.as_secs()))),
        }
    }

    pub(super) async fn go(&mut self) -> Result<(), Failure> {
        self.say(GO).await
    }

    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        self.say(STOP).await
    }

    /// How many jobs it says are done.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// The same, to look at while something else waits for its end.
    pub(super) fn progress(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.done)
    }

    /// Waits for its end.
    pub(super) async fn report(&mut self) -> Result<Report, Failure> {
        match self.events.recv().await {
            Some(Event::Done(report)) => Ok(report),
            event => Err(self.unexpected(event)),
        }
    }

    /// Fails if it has ended before it was told to.
    pub(super) fn must_run(&mut self) -> Result<(), Failure> {
        match self.events.try_recv() {
            Ok(event) => Err(self.unexpected(Some(event))),
            Err(_) if self.listener.is_finished() => Err(self.unexpected(None)),
            Err(_) => Ok(()),
        }
    }

    async fn say(&mut self, line: &str) -> Result<(), Failure> {
        let said = self.stdin.write_all(format!("{line}\n").as_bytes()).await;
        match said {
            Ok(()) => Ok(()),
            // It may have said why it ended.
            Err(error) => match self.events.recv().await {
                Some(event) => Err(self.unexpected(Some(event))),
                None => Err(broken(self.what, &error)),
            },
        }
    }

    fn unexpected(&self, event: Option<Event>) -> Failure {
        match event {
            Some(Event::Failed(text)) => broken(self.what, &text),
            Some(Event::Done(_) | Event::Ready | Event::Progress(_)) => broken(self.what, &"it ended too early"),
            None => broken(self.what, &"it ended without a report"),
        }
    }
}

async fn listen(stdout: ChildStdout, events: UnboundedSender<Event>, done: Arc<AtomicU64>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Event::Progress(count)) => done.store(count, Ordering::Relaxed),
            // Nobody listens any more when the phase has failed.
            Ok(event) => drop(events.send(event)),
            Err(_) => drop(events.send(Event::Failed(format!("it said {line:?}, which is no answer")))),
        }
    }
}

fn name(role: &Role) -> &'static str {
    match role {
        Role::Produce(_) | Role::Probe { .. } => "the producer",
        Role::Work(_) => "a worker",
        Role::Seam => "the process on the seam",
        Role::Push | Role::Pop | Role::Spawn | Role::Sync(_) => "the floor",
    }
}

fn broken(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("{what} of the benchmark: {error}"))
}
