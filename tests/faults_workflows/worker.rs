//! The worker process of the test, and what its tasks answer.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use celeriac::{Client, Context, Task, TaskError, TaskOptions, Tasks, Worker};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// Where the parts of the test find the folder.
pub(crate) const FOLDER: &str = "CELERIAC_TEST_FOLDER";

/// In the folder, once `fatal` does not fail any more.
pub(crate) const MENDED: &str = "mended";

macro_rules! task {
    ($name:ident, $text:literal) => {
        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        struct $name(Box<RawValue>);
        impl Task for $name {
            const NAME: &'static str = $text;
            type Output = Box<RawValue>;
            fn options() -> TaskOptions {
                TaskOptions::new().retries(3).backoff(Duration::from_millis(20), Duration::from_millis(40))
            }
        }
    };
}

task!(Mix, "mix");
task!(Quick, "quick");
task!(Flaky, "flaky");
task!(Fatal, "fatal");

/// What a task answers to these arguments. How often a step was attempted depends on whom was killed, so it does not count.
pub(crate) fn answer(task: &str, args: &str) -> Box<RawValue> {
    let mut hasher = DefaultHasher::new();
    let mut parts = args.split("\"attempts\":");
    (task, parts.next()).hash(&mut hasher);
    for part in parts {
        part.trim_start_matches(|c: char| c.is_ascii_digit()).hash(&mut hasher);
    }
    to_raw_value(&format!("{:016x}", hasher.finish())).unwrap()
}

fn folder() -> PathBuf {
    std::env::var_os(FOLDER).unwrap().into()
}

/// Notes that an attempt begins: the id, the attempt, and what it was given.
fn note(context: &Context, task: &str, args: &RawValue) -> Box<RawValue> {
    let answer = answer(task, args.get());
    let line = format!("{} {} {}\n", context.job_id(), context.attempt(), answer.get());
    let mut ledger = std::fs::OpenOptions::new().append(true).create(true).open(folder().join("ledger")).unwrap();
    ledger.write_all(line.as_bytes()).unwrap();
    answer
}

async fn mix(Mix(args): Mix, context: Context) -> Result<Box<RawValue>, TaskError> {
    let answer = note(&context, "mix", &args);
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(answer)
}

async fn quick(Quick(args): Quick, context: Context) -> Result<Box<RawValue>, TaskError> {
    Ok(note(&context, "quick", &args))
}

async fn flaky(Flaky(args): Flaky, context: Context) -> Result<Box<RawValue>, TaskError> {
    let answer = note(&context, "flaky", &args);
    if context.attempt() < 3 { Err(TaskError::retry("not yet")) } else { Ok(answer) }
}

async fn fatal(Fatal(args): Fatal, context: Context) -> Result<Box<RawValue>, TaskError> {
    let answer = note(&context, "fatal", &args);
    if folder().join(MENDED).exists() { Ok(answer) } else { Err(TaskError::permanent("fatal")) }
}

/// Works until it is killed.
pub(crate) async fn work() {
    let client = Client::connect(&std::env::var("CELERIAC_BROKER").unwrap()).await.unwrap();
    let tasks = Tasks::new().handle(mix).handle(quick).handle(flaky).handle(fatal);
    let worker = Worker::builder(&client, tasks).queues(["default", "other"]).concurrency(3);
    worker.lease(Duration::from_secs(1)).build().unwrap().run().await.unwrap();
}
