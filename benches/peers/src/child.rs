//! Child processes as the parent sees them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child as Process, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::spec::{Message, Produced, Spec, Worked};

/// The argument that makes this program a child.
pub(crate) const ROLE: &str = "--role";

/// How long a child may be without any progress.
const PATIENCE: Duration = Duration::from_secs(30);

/// A child process; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    stdin: Option<ChildStdin>,
    messages: Receiver<Message>,
}

impl Child {
    pub(crate) fn start(spec: &Spec) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([ROLE, &serde_json::to_string(spec)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(process.stdout.take().context("it is piped")?);
        let (sender, messages) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let Ok(message) = serde_json::from_str(&line) else { continue };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let stdin = process.stdin.take();
        Ok(Self { process, stdin, messages })
    }

    /// Waits for a child that enqueues.
    pub(crate) fn produced(self) -> Result<Produced> {
        match self.messages.recv_timeout(PATIENCE * 4) {
            Ok(Message::Produced(produced)) => Ok(produced),
            Ok(_) => bail!("a producer answered like a worker"),
            Err(error) => Err(self.why(error)),
        }
    }

    fn go(&mut self) -> Result<()> {
        self.stdin.as_mut().context("it is piped")?.write_all(b"go\n")?;
        Ok(())
    }

    /// The latest progress, waiting at most `timeout` for news.
    fn progress(&self, timeout: Duration) -> Result<Option<u64>> {
        match self.messages.recv_timeout(timeout) {
            Ok(Message::Progress(handled)) => Ok(Some(handled)),
            Ok(_) => bail!("a worker ended before it was told to"),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(error) => Err(self.why(error)),
        }
    }

    /// Tells a worker to stop and waits for its report.
    fn worked(mut self) -> Result<Worked> {
        drop(self.stdin.take());
        loop {
            match self.messages.recv_timeout(PATIENCE) {
                Ok(Message::Worked(worked)) => return Ok(worked),
                Ok(_) => {}
                Err(error) => return Err(self.why(error)),
            }
        }
    }

    fn why(&self, error: RecvTimeoutError) -> anyhow::Error {
        let process = self.process.id();
        match error {
            RecvTimeoutError::Timeout => anyhow::anyhow!("process {process} is stuck"),
            RecvTimeoutError::Disconnected => anyhow::anyhow!("process {process} ended early; see its message above"),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.stdin.take());
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Workers that run side by side.
#[derive(Debug)]
pub(crate) struct Workers(Vec<Child>);

impl Workers {
    /// Starts the processes first, and lets them begin together.
    pub(crate) fn start(spec: &Spec, processes: usize) -> Result<Self> {
        let mut workers = (0..processes).map(|_| Child::start(spec)).collect::<Result<Vec<_>>>()?;
        thread::sleep(Duration::from_millis(200));
        for worker in &mut workers {
            worker.go()?;
        }
        Ok(Self(workers))
    }

    /// Waits until `jobs` runs are counted, then stops the workers.
    pub(crate) fn finish(self, jobs: u64) -> Result<Vec<Worked>> {
        let mut handled = vec![0; self.0.len()];
        let mut news = Instant::now();
        while handled.iter().sum::<u64>() < jobs {
            for (worker, handled) in self.0.iter().zip(&mut handled) {
                if let Some(progress) = worker.progress(Duration::from_millis(2))? {
                    *handled = progress;
                    news = Instant::now();
                }
            }
            if news.elapsed() > PATIENCE {
                bail!("the workers ran {} of {jobs} jobs and then none for {PATIENCE:?}", handled.iter().sum::<u64>());
            }
        }
        self.0.into_iter().map(Child::worked).collect()
    }
}
