//! Handlers that end the process they run in, or keep its threads, in a program of its own: the program of these tests, started again.

use std::hint::black_box;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use celeriac::{Client, Context, JobState, Signature, State, TaskError, Tasks, Worker, task};
use serde_json::value::RawValue;

use crate::jobs::{success_of, tell};
use crate::support::{Bench, Process};

/// Makes the ignored test below the program of a worker.
const PROGRAM: &str = "CELERIAC_TEST_PROGRAM";

/// Handlers at work in this process.
#[derive(Clone, Default)]
struct Busy(Arc<AtomicU32>);

fn write(line: &str) {
    let mut ledger = std::fs::File::options().create(true).append(true).open("ledger").unwrap();
    ledger.write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[task("live")]
async fn live(busy: State<Busy>) -> Result<(), TaskError> {
    busy.0.0.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(100)).await;
    busy.0.0.fetch_sub(1, Ordering::SeqCst);
    Ok(())
}

/// Ends its process, and writes down before that how many others run beside it.
#[task("die", retries = 0)]
async fn die(how: String, context: Context, busy: State<Busy>) -> Result<(), TaskError> {
    write(&format!("die {} beside {}", context.attempt(), busy.0.0.load(Ordering::SeqCst)));
    match how.as_str() {
        "abort" => std::process::abort(),
        "overflow" => Err(TaskError::permanent(deeper(0).to_string())),
        "memory" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(Vec::<u8>::with_capacity(1 << 30)));
            }
        }
        "panic twice" => {
            let _again = PanicsWhenDropped;
            panic!("once");
        }
        _ => Err(TaskError::permanent("no such death")),
    }
}

fn deeper(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { 0 } else { black_box(deeper(depth + 1)) + 1 }
}

/// A panic while another one unwinds cannot be caught.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("twice");
    }
}

/// Takes every descriptor there is, and each that is given back, until the file `go` is there.
#[task("hoard")]
pub(crate) async fn hoard() -> Result<usize, TaskError> {
    let mut files = Vec::new();
    let mut take_all = || {
        while let Ok(file) = std::fs::File::open("/dev/null") {
            files.push(file);
        }
        files.len()
    };
    write("hoards");
    while !std::path::Path::new("go").exists() {
        take_all();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(take_all())
}

#[test]
#[ignore = "a part of other tests, which start it as a process of its own"]
fn a_worker_of_dangerous_handlers() {
    if std::env::var_os(PROGRAM).is_none() {
        return;
    }
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(async {
        let client = Client::connect(&std::env::var("CELERIAC_BROKER").unwrap()).await.unwrap();
        let tasks = Tasks::new().task::<live>().task::<die>().task::<hoard>().state(Busy::default());
        let worker = Worker::builder(client, tasks).name("dangerous").lease(Duration::from_secs(2)).concurrency(4);
        worker.build().unwrap().run().await.unwrap();
    });
}

/// Starts that worker under a limit of the shell, as in `ulimit -n 64`.
pub(crate) fn start(bench: &Bench, url: &str, limit: &str) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "handlers::a_worker_of_dangerous_handlers", "--ignored", "--nocapture"]);
    command.env(PROGRAM, "1").env("RUST_BACKTRACE", "0");
    bench.start_at(url, "dangerous", command)
}

/// Two jobs in three have neighbours that die with them once.
async fn a_handler_that_ends_its_process_is_dead_after_three(bench: Bench, row: &str, how: &str, limit: &str) {
    let client = bench.client().await;
    let before = client.enqueue_many((0..3).map(|_| live {})).await.unwrap();
    let deadly = client.enqueue(die { how: how.to_owned() }).await.unwrap();
    let after = client.enqueue_many((0..6).map(|_| live {})).await.unwrap();
    let (mut deaths, mut worker, began) = (0, start(&bench, &bench.url, limit), Instant::now());
    while client.broker().result(deadly.id()).await.unwrap().is_none() {
        if worker.has_ended() {
            assert!(worker.wait().signal().is_some(), "it did not end by a signal");
            deaths += 1;
            worker = start(&bench, &bench.url, limit);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tell(row, &format!("{how}: three deaths and the dead job"), began);
    assert_eq!(deaths, 3);
    let dead = client.broker().job(deadly.id()).await.unwrap().unwrap();
    assert_eq!((dead.state, dead.attempt, dead.losses, dead.failures), (JobState::Dead, 3, 3, 0));
    assert!(dead.history.iter().all(|incident| format!("{:?}", incident.cause) == "WorkerLost"), "{:?}", dead.history);
    for job in before.iter().chain(&after) {
        assert!(success_of(&client, job.id()).await.losses <= 1, "an innocent died more than once");
    }
    let ledger = bench.ledger();
    assert!(ledger.contains_key("die 2 beside 0") && ledger.contains_key("die 3 beside 0"), "alone: {ledger:?}");
    assert_eq!(bench.ledger_lines(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_aborts_is_dead_after_three_on_sqlite() {
    a_handler_that_ends_its_process_is_dead_after_three(Bench::sqlite(), "W8", "abort", "true").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_while_it_panics_is_dead_after_three_on_redis() {
    a_handler_that_ends_its_process_is_dead_after_three(Bench::redis(), "W8", "panic twice", "true").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_overflows_its_stack_is_dead_after_three_on_redis() {
    a_handler_that_ends_its_process_is_dead_after_three(Bench::redis(), "W9", "overflow", "true").await;
}

/// 4 GiB of addresses; none of it is ever touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_takes_all_memory_is_dead_after_three_on_sqlite() {
    a_handler_that_ends_its_process_is_dead_after_three(Bench::sqlite(), "W6", "memory", "ulimit -v 4194304").await;
}

/// Starts the program that `torture` starts: the command line with a task more, whose handler can keep its thread.
fn start_program(bench: &Bench, name: &str) -> Process {
    let order = serde_json::json!({
        "name": name, "role": "work", "store": bench.url, "writes": bench.path("told"), "seed": 0, "poison": false,
        "lease": Duration::from_secs(2), "grace": Duration::from_secs(1),
    });
    let log = std::fs::File::create(bench.path(&format!("{name}.log"))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
    // With one thread the handler keeps all there are, and nobody hears a signal.
    command.arg("torture-child").env("TOKIO_WORKER_THREADS", "2").stdin(Stdio::piped()).stderr(log);
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "{order}").unwrap();
    Process::of(child)
}

async fn a_program_does_not_wait_for_a_handler_that_keeps_its_thread(bench: Bench) {
    let client = bench.client().await;
    let enqueue = async |takes: u64| {
        let args = serde_json::json!({ "act": "block", "takes": takes }).to_string();
        let job = Signature::new("torture", RawValue::from_string(args).unwrap()).queue("red");
        client.enqueue_signature(job.timeout(Duration::from_secs(1))).await.unwrap()
    };
    let kept = enqueue(600_000).await;
    let mut stuck = start_program(&bench, "stuck");
    bench.wait_for_text("stuck.log", "the handler blocks its thread");
    // Others go on beside it.
    success_of(&client, enqueue(1).await.id()).await;
    stuck.signal("TERM");
    let told = Instant::now();
    assert_eq!(stuck.wait().code(), Some(1), "a job could not be handed back");
    tell("W10", "a process with a kept thread and a grace of 1 s has ended", told);
    bench.wait_for_text("stuck.log", "run again after their lease");
    let view = client.broker().job(kept.id()).await.unwrap().unwrap();
    assert_eq!((view.state, view.losses), (JobState::Running, 0), "it is the dead one's until its lease has ended");
    let _second = start_program(&bench, "second");
    bench.wait_for_text("second.log", "the handler blocks its thread");
    let view = client.broker().job(kept.id()).await.unwrap().unwrap();
    assert_eq!((view.state, view.losses, view.attempt), (JobState::Running, 1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_does_not_wait_for_a_handler_that_keeps_its_thread_on_sqlite() {
    a_program_does_not_wait_for_a_handler_that_keeps_its_thread(Bench::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_does_not_wait_for_a_handler_that_keeps_its_thread_on_redis() {
    a_program_does_not_wait_for_a_handler_that_keeps_its_thread(Bench::redis()).await;
}
