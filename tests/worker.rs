//! A worker in this process, on an embedded store: how attempts end and what becomes of their jobs.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use celeriac::broker::JobView;
use celeriac::{
    Client, CommandTask, Context, JobState, ResultError, Signature, State, TaskError, Tasks, TasksError, Worker,
    WorkerError, WorkerHandle, task,
};
use serde_json::value::RawValue;
use tokio::sync::Notify;

/// What the tasks of this file share.
#[derive(Clone, Default)]
struct Shared {
    runs: Arc<AtomicU32>,
    started: Arc<Notify>,
    go: Arc<Notify>,
}

#[task("add")]
async fn add(left: i64, #[serde(default)] right: i64) -> Result<i64, TaskError> {
    Ok(left + right)
}

#[task("fragile", retries = 1)]
async fn fragile(how: String, context: Context, shared: State<Shared>) -> Result<u32, TaskError> {
    shared.runs.fetch_add(1, Ordering::SeqCst);
    let soon = Duration::from_millis(1);
    match how.as_str() {
        "panic" => panic!("the floor gave way"),
        "permanent" => Err(TaskError::permanent("no such card")),
        "first" if context.attempt() == 1 => Err(TaskError::retry_in(soon, "not yet")),
        "always" => Err(TaskError::retry_in(soon, "never")),
        "snooze" if context.attempt() < 5 => Err(TaskError::snooze(soon)),
        _ => Ok(context.attempt()),
    }
}

#[task("sleepy", retries = 0, timeout = "20ms")]
async fn sleepy() -> Result<(), TaskError> {
    std::future::pending().await
}

#[task("gate")]
async fn gate(shared: State<Shared>) -> Result<u32, TaskError> {
    shared.started.notify_one();
    shared.go.notified().await;
    Ok(shared.runs.fetch_add(1, Ordering::SeqCst))
}

fn tasks(shared: Shared) -> Tasks {
    Tasks::new().task::<add>().task::<fragile>().task::<sleepy>().task::<gate>().state(shared)
}

async fn client() -> Client {
    Client::connect("sqlite::memory:").await.unwrap()
}

/// Starts a worker; it ends when the handle tells it.
fn start(client: &Client, tasks: Tasks) -> (WorkerHandle, tokio::task::JoinHandle<celeriac::Summary>) {
    let worker = Worker::builder(client, tasks).lease(Duration::from_secs(1)).grace(Duration::ZERO).build().unwrap();
    let handle = worker.handle();
    (handle, tokio::spawn(async move { worker.run().await.unwrap() }))
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

/// Waits until a job is in a state. Polls, because a state that is no end has no event.
async fn until(client: &Client, id: &celeriac::JobId, state: JobState) -> JobView {
    let patience = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let view = client.broker().job(id).await.unwrap();
        if let Some(view) = view.filter(|view| view.state == state) {
            return view;
        }
        assert!(tokio::time::Instant::now() < patience, "job {id} never became {state}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn fragile_result(how: &str) -> (Result<u32, ResultError>, u32) {
    let (client, shared) = (client().await, Shared::default());
    let _worker = start(&client, tasks(shared.clone()));
    let job = client.enqueue(fragile { how: how.into() }).await.unwrap();
    (job.result().await, shared.runs.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_may_be_an_object_or_a_list() {
    let client = client().await;
    let _worker = start(&client, tasks(Shared::default()));
    for (arguments, sum) in [(r#"{"left":1,"right":2}"#, "3"), (r#"{"left":1}"#, "1"), ("[4,5]", "9"), ("[4]", "4")] {
        let job = client.enqueue_signature(Signature::new("add", json(arguments))).await.unwrap();
        assert_eq!(job.result().await.unwrap().get(), sum, "{arguments}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_fails_the_attempt_and_not_the_worker() {
    let (client, shared) = (client().await, Shared::default());
    let _worker = start(&client, tasks(shared.clone()));
    let job = client.enqueue(fragile { how: "panic".into() }).retries(0).await.unwrap();
    let error = job.result().await.unwrap_err().to_string();
    assert!(error.contains("panicked: the floor gave way"), "{error}");
    assert_eq!(client.enqueue(add { left: 1, right: 1 }).await.unwrap().result().await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_repeated_and_may_succeed() {
    let (result, runs) = fragile_result("first").await;
    assert_eq!((result.unwrap(), runs), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_last_retry_the_job_is_dead() {
    let (result, runs) = fragile_result("always").await;
    assert!(result.unwrap_err().to_string().contains("never"));
    assert_eq!(runs, 2, "one attempt and one retry");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_error_is_not_repeated() {
    let (result, runs) = fragile_result("permanent").await;
    assert!(result.unwrap_err().to_string().contains("no such card"));
    assert_eq!(runs, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snooze_spends_no_retry() {
    let (result, runs) = fragile_result("snooze").await;
    assert_eq!((result.unwrap(), runs), (5, 5), "four snoozes, and only one retry was allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_ends_at_its_time_limit() {
    let client = client().await;
    let _worker = start(&client, tasks(Shared::default()));
    let job = client.enqueue(sleepy {}).await.unwrap();
    let error = job.result().await.unwrap_err().to_string();
    assert!(error.contains("ran longer than 20ms"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_job_runs_again_when_an_operator_asks() {
    let (client, shared) = (client().await, Shared::default());
    let _worker = start(&client, tasks(shared.clone()));
    let job = client.enqueue(fragile { how: "permanent".into() }).await.unwrap();
    job.result().await.unwrap_err();
    let dead = until(&client, job.id(), JobState::Dead).await;
    assert_eq!((dead.error.as_deref(), dead.attempt), (Some("no such card"), 1));
    assert_eq!(client.broker().retry_dead(&[job.id().clone()]).await.unwrap(), [celeriac::broker::Retried::Done]);
    job.result().await.unwrap_err();
    assert_eq!(shared.runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_task_is_parked_until_a_worker_that_knows_it_registers() {
    let client = client().await;
    let first = start(&client, Tasks::new().task::<sleepy>());
    let job = client.enqueue(add { left: 2, right: 3 }).await.unwrap();
    let parked = until(&client, job.id(), JobState::Parked).await;
    assert_eq!(parked.attempt, 0, "parking costs no attempt");
    first.0.stop();
    let _second = start(&client, tasks(Shared::default()));
    assert_eq!(job.result().await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_task_is_passed_on_to_a_live_worker_that_knows_it() {
    let client = client().await;
    let _knows_not = start(&client, Tasks::new().task::<sleepy>());
    let _knows = start(&client, tasks(Shared::default()));
    for left in 0..5 {
        let job = client.enqueue(add { left, right: 0 }).await.unwrap();
        assert_eq!(job.result().await.unwrap(), left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_cannot_be_decoded_are_parked_unchanged() {
    let client = client().await;
    let _worker = start(&client, tasks(Shared::default()));
    let job = client.enqueue_signature(Signature::new("add", json(r#"{"left":"many"}"#))).await.unwrap();
    let parked = until(&client, job.id(), JobState::Parked).await;
    assert_eq!(parked.payload.as_deref(), Some(br#"{"left":"many"}"#.as_slice()));
    assert!(parked.error.unwrap().contains("cannot be decoded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_hands_back_and_spends_no_attempt() {
    let (client, shared) = (client().await, Shared::default());
    let (handle, worker) = start(&client, tasks(shared.clone()));
    let job = client.enqueue(gate {}).await.unwrap();
    shared.started.notified().await;
    handle.stop();
    assert_eq!(worker.await.unwrap().handed_back, 1);
    let waiting = until(&client, job.id(), JobState::Queued).await;
    assert_eq!(waiting.attempt, 0);
    let _second = start(&client, tasks(shared.clone()));
    shared.go.notify_one();
    assert_eq!(job.result().await.unwrap(), 0, "it ran to its end once");
}

#[task("block")]
async fn block() -> Result<u32, TaskError> {
    std::thread::sleep(Duration::from_secs(3));
    Ok(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_runtime_keeps_its_lease() {
    let client = client().await;
    let tasks_of_one = Tasks::new().task::<block>();
    let worker = Worker::builder(&client, tasks_of_one).lease(Duration::from_secs(1)).build().unwrap();
    let handle = worker.handle();
    // A runtime with one thread, which the handler blocks for three leases.
    let blocked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(worker.run()).unwrap()
    });
    let job = client.enqueue(block {}).await.unwrap();
    while handle.running() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let _rival = start(&client, tasks(Shared::default()).task::<block>());
    assert_eq!(job.result().await.unwrap(), 1);
    let outcome = client.broker().result(job.id()).await.unwrap().unwrap();
    assert_eq!((outcome.attempt, outcome.losses), (1, 0));
    handle.stop();
    assert_eq!(blocked.join().unwrap().leases_lost, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_has_no_lease_to_lose() {
    let client = client().await;
    let worker = Worker::builder(&client, tasks(Shared::default())).lease(Duration::from_secs(8)).build().unwrap();
    let _worker = tokio::spawn(worker.run());
    // Twice, because the first beat comes in any case.
    for _ in 0..2 {
        client.enqueue(add { left: 1, right: 1 }).await.unwrap().result().await.unwrap();
        // The lease of the fetch lasts eight seconds; the heartbeat after the job must end it before.
        loop {
            let looked = client.broker().condemn_expired(1).await.unwrap();
            assert!(looked.incarnations.is_empty(), "a live worker was condemned");
            if looked.next_expiry.is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_json_and_answers_json() {
    let client = client().await;
    let script = r#"read line; echo "{\"got\": $line, \"attempt\": $CELERIAC_ATTEMPT}""#;
    let command = CommandTask::new("shell", "sh", vec!["-c".into(), script.into()]);
    let _worker = start(&client, Tasks::new().command(command));
    let job = client.enqueue_signature(Signature::new("shell", json("[1,2]"))).await.unwrap();
    assert_eq!(job.result().await.unwrap().get(), r#"{"got": [1,2], "attempt": 1}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_leaves_the_end_of_its_standard_error() {
    let client = client().await;
    let command = CommandTask::new("shell", "sh", vec!["-c".into(), "echo no disk >&2; exit 3".into()]).retries(0);
    let _worker = start(&client, Tasks::new().command(command));
    let job = client.enqueue_signature(Signature::new("shell", json("{}"))).await.unwrap();
    let error = job.result().await.unwrap_err().to_string();
    assert!(error.contains("exit status: 3: no disk"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_killed_with_its_children_at_the_time_limit() {
    let client = client().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("sh -c 'echo $$ > {0}.part; mv {0}.part {0}; sleep 600' & wait", file.display());
    let command =
        CommandTask::new("shell", "sh", vec!["-c".into(), script]).retries(0).timeout(Duration::from_millis(500));
    let _worker = start(&client, Tasks::new().command(command));
    let job = client.enqueue_signature(Signature::new("shell", json("{}"))).await.unwrap();
    job.result().await.unwrap_err();
    let pid = std::fs::read_to_string(&file).unwrap();
    let process = std::path::PathBuf::from("/proc").join(pid.trim()).join("cmdline");
    let patience = tokio::time::Instant::now() + Duration::from_secs(60);
    // A killed process keeps its entry until its parent has collected it; its command line is empty at once.
    while std::fs::read(&process).is_ok_and(|line| !line.is_empty()) {
        assert!(tokio::time::Instant::now() < patience, "the command's child lives on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_ends_when_nothing_is_left() {
    let client = client().await;
    let jobs = client.enqueue_many((0..100).map(|left| add { left, right: 0 })).await.unwrap();
    client.enqueue(fragile { how: "first".into() }).await.unwrap();
    let worker = Worker::builder(&client, tasks(Shared::default())).burst(true).build().unwrap();
    let summary = worker.run().await.unwrap();
    assert_eq!((summary.succeeded, summary.retried), (jobs.len() as u64 + 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_refused_before_it_starts() {
    let client = client().await;
    let refusal = |tasks: Tasks| Worker::builder(&client, tasks).build().unwrap_err();
    let missing = refusal(Tasks::new().task::<gate>());
    assert!(
        missing.to_string().contains("\"gate\" needs State<") && missing.to_string().contains("Shared"),
        "{missing}"
    );
    assert!(matches!(refusal(Tasks::new()), WorkerError::Tasks(TasksError::Empty)));
    let twice = refusal(Tasks::new().task::<add>().merge(Tasks::new().task::<add>()));
    assert!(matches!(twice, WorkerError::Tasks(TasksError::Duplicate(name)) if name == "add"));
    let none = Worker::builder(&client, tasks(Shared::default())).concurrency(0).build();
    assert!(none.unwrap_err().to_string().contains("at least 1"));
}

/// Short jobs let a worker fetch in advance. When they turn into long ones, what it cannot run goes back to the queue, for others, and
/// what has ended is settled although nothing is fetched any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_long_jobs_hoards_none() {
    let (client, shared) = (client().await, Shared::default());
    let short = client.enqueue_many((0..2000).map(|left| add { left, right: 1 })).await.unwrap();
    client.enqueue_many((0..50).map(|_| gate {})).await.unwrap();
    let worker = Worker::builder(&client, tasks(shared)).concurrency(2).grace(Duration::ZERO).build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    for (left, job) in short.into_iter().enumerate() {
        assert_eq!(job.result().await.unwrap(), left as i64 + 1);
    }
    let patience = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let queue = client.broker().queues().await.unwrap().remove(0);
        // The store knows first what was handed back; the worker knows when it is answered.
        if (queue.running, queue.ready, handle.running()) == (2, 48, 2) {
            break;
        }
        assert!(tokio::time::Instant::now() < patience, "{queue:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    handle.stop_now();
    let summary = running.await.unwrap().unwrap();
    assert_eq!(summary.leases_lost, 0, "{summary:?}");
}
