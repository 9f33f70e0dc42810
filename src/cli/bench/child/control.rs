//! A child's side of the conversation: what it is told, and what it tells.

use std::io::BufRead as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::cli::bench::protocol::{Event, GO, Order, STOP};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::print_json;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(20);

/// Reads the order, the first line of standard input.
pub(super) fn order() -> Result<Order, Failure> {
    let mut line = String::new();
    let failed = |error: &dyn std::fmt::Display| Failure::usage(format!("this verb is for `bench` alone: {error}"));
    std::io::stdin().read_line(&mut line).map_err(|error| failed(&error))?;
    serde_json::from_str(&line).map_err(|error| failed(&error))
}

/// What the child is told while it runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Control {
    go: Arc<Notify>,
    stop: Arc<Notify>,
}

impl Control {
    /// Listens from now on. When standard input closes, the benchmark has ended or was killed, and this process goes too.
    pub(super) fn listen() -> Self {
        let control = Self::default();
        let told = control.clone();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                match line.as_str() {
                    GO => told.go.notify_one(),
                    STOP => told.stop.notify_one(),
                    _ => {}
                }
            }
            std::process::exit(i32::from(Exit::Failed as u8));
        });
        control
    }

    /// Says that all is prepared, and waits for the word.
    pub(super) async fn ready(&self) -> Result<(), Failure> {
        print_json(&Event::Ready)?;
        self.told_to_go().await;
        Ok(())
    }

    /// Waits for the word, which may come again.
    pub(super) async fn told_to_go(&self) {
        self.go.notified().await;
    }

    /// Waits to be told to end.
    pub(super) async fn stopped(&self) {
        self.stop.notified().await;
    }
}

/// Tells the progress of a counter until it is dropped.
#[derive(Debug)]
pub(super) struct Teller {
    task: JoinHandle<()>,
}

impl Teller {
    pub(super) fn of(done: Arc<AtomicU64>) -> Self {
        Self {
            task: tokio::spawn(async move {
                let mut told = 0;
                loop {
                    tokio::time::sleep(TELL_EVERY).await;
                    let now = done.load(Ordering::Relaxed);
                    // A benchmark that has gone is noticed at standard input.
                    if now != told && print_json(&Event::Progress(now)).is_ok() {
                        told = now;
                    }
                }
            }),
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.task.abort();
    }
}
