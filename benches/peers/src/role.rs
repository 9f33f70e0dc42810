//! A child process: does what its [`Spec`] says and prints what it measured.
#![expect(clippy::print_stdout, reason = "the parent reads it")]

use std::io::{BufRead as _, stdin};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::clock;
use crate::spec::{Message, Role, Spec, Worked};
use crate::tally::Tally;

/// How often a worker says how far it is.
const REPORT: Duration = Duration::from_millis(10);

/// Carries out `spec`, a line of JSON.
pub(crate) fn play(spec: &str) -> Result<()> {
    let spec: Spec = serde_json::from_str(spec)?;
    let runtime = runtime(spec.tuning.threads)?;
    match spec.role {
        Role::Work => work(&spec, &runtime),
        Role::Prepare | Role::Enqueue | Role::Bulk | Role::Feed => {
            print(&Message::Produced(runtime.block_on(spec.system.produce(&spec))?))
        }
    }
}

fn work(spec: &Spec, runtime: &Runtime) -> Result<()> {
    let tally = Tally::prepare(spec.jobs);
    let (stop, stopped) = oneshot::channel();
    // The parent says "go" with a line, and "stop" by closing the pipe.
    let mut go = String::new();
    stdin().lock().read_line(&mut go)?;
    thread::spawn(move || {
        let mut rest = String::new();
        drop(stdin().lock().read_line(&mut rest));
        let _ = stop.send(());
    });
    thread::spawn(move || {
        let mut told = 0;
        loop {
            thread::sleep(REPORT);
            let handled = tally.handled();
            if handled != told && print(&Message::Progress(handled)).is_err() {
                return;
            }
            told = handled;
        }
    });
    let cpu = clock::cpu();
    let stop = async {
        drop(stopped.await);
    };
    runtime.block_on(spec.system.work(spec, stop))?;
    let cpu = clock::cpu() - cpu;
    print(&Message::Worked(Worked { span: tally.span(), cpu, runs: tally.runs(), starts: tally.starts() }))
}

fn print(message: &Message) -> Result<()> {
    println!("{}", serde_json::to_string(message)?);
    Ok(())
}

fn runtime(threads: usize) -> Result<Runtime> {
    let mut builder = if threads == 0 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(threads.max(1)).enable_all().build().context("no runtime")
}
