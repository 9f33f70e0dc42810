//! The processes of a torture: slots that are never empty for long, each with one life after another.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::order::{Order, Role};
use crate::cli::exit::{Exit, Failure};

/// The verb that plays a part; hidden from `--help`.
const VERB: &str = "torture-child";

/// How often an ending process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A place for one process.
pub(super) struct Slot {
    pub(super) role: Role,
    /// What the first part of its names is.
    label: String,
    lives: u32,
    living: Option<Living>,
    /// The order to its next life, but for the name and the seed.
    order: Order,
    log: PathBuf,
    /// When a new life begins, if the slot is empty.
    pub(super) reborn_at: Instant,
    /// More variables for the environment of the next life.
    pub(super) environment: Vec<(String, String)>,
}

struct Living {
    name: String,
    child: Child,
    stopped: bool,
}

impl Slot {
    pub(super) fn new(label: String, order: Order, log: PathBuf) -> Self {
        Self {
            role: order.role,
            label,
            lives: 0,
            living: None,
            order,
            log,
            reborn_at: Instant::now(),
            environment: Vec::new(),
        }
    }

    pub(super) fn is_worker(&self) -> bool {
        self.role == Role::Work
    }

    /// The name of its present life.
    pub(super) fn name(&self) -> Option<&str> {
        self.living.as_ref().map(|living| living.name.as_str())
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.living.as_ref().is_some_and(|living| living.stopped)
    }

    /// Begins a life.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        self.lives += 1;
        let name = format!("{}-{}", self.label, self.lives);
        // Far from the lives of other slots and of other seeds.
        let seed = self.order.seed.wrapping_add(u64::from(self.lives).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let order = Order { name: name.clone(), seed, ..self.order.clone() };
        let child = self.spawn(&order).map_err(|error| broken(&name, &error))?;
        self.living = Some(Living { name, child, stopped: false });
        Ok(())
    }

    fn spawn(&self, order: &Order) -> std::io::Result<Child> {
        let log: File = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg(VERB)
            // Nothing of where somebody happens to start it, a celeriac.toml least of all, has a part in it.
            .current_dir(self.log.parent().unwrap_or(std::path::Path::new("/")))
            // The order names the store.
            .env_remove("CELERIAC_BROKER")
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        // The pipe stays open for as long as the child lives: its end is what tells it to go.
        if let Some(stdin) = &mut child.stdin {
            writeln!(stdin, "{}", serde_json::to_string(order)?)?;
        }
        Ok(child)
    }

    /// How its process has ended, if it has.
    pub(super) fn ended(&mut self) -> Option<(String, ExitStatus)> {
        let status = self.living.as_mut()?.child.try_wait().ok().flatten()?;
        self.living.take().map(|living| (living.name.clone(), status))
    }

    /// Sends a signal to its process.
    pub(super) fn signal(&mut self, signal: Signal) {
        let Some(living) = &mut self.living else { return };
        let pid = i32::try_from(living.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It was not waited for, so the id is its own, also when it has ended.
            let _ = kill_process(pid, signal);
        }
        match signal {
            Signal::STOP => living.stopped = true,
            Signal::CONT => living.stopped = false,
            _ => {}
        }
    }

    /// Waits for its end; `None` if that does not come in time.
    pub(super) async fn end(&mut self, patience: Duration) -> Option<(String, ExitStatus)> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(ended) = self.ended() {
                return Some(ended);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        None
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn broken(name: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{name} of the torture does not start: {error}"))
}
