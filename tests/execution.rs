//! How attempts are run: on threads, inside middleware, under limits, and how they are told to stop.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use celeriac::broker::Revocation;
use celeriac::{
    Client, CommandTask, Context, JobState, Middleware, Next, ResultError, Signature, State, TaskError, Tasks,
    TasksError, Worker, WorkerBuilder, WorkerHandle, task,
};
use celeriac_testkit::shared_redis;
use serde_json::value::RawValue;
use tokio::sync::Notify;

/// What the tasks of this file share.
#[derive(Clone, Default)]
struct Shared {
    runs: Arc<AtomicU32>,
    most: Arc<AtomicU32>,
    started: Arc<Notify>,
    go: Arc<Notify>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Shared {
    fn saw(&self, what: impl Into<String>) {
        self.seen.lock().unwrap().push(what.into());
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// A blocking task: the most that ran at once are noted.
#[task("crunch", aliases = ["old.crunch"])]
fn crunch(number: u64, how: String, context: Context, shared: State<Shared>) -> Result<u64, TaskError> {
    let now = shared.runs.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most.fetch_max(now, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(20));
    shared.runs.fetch_sub(1, Ordering::SeqCst);
    match how.as_str() {
        "panic" => panic!("out of numbers"),
        "later" if context.attempt() == 1 => Err(TaskError::retry_in(Duration::from_millis(1), "not yet")),
        _ => Ok(number * 2),
    }
}

/// Runs until it is told to stop, and says why.
#[task("patient", retries = 0, soft_timeout = "30ms", timeout = "1h")]
async fn patient(context: Context, shared: State<Shared>) -> Result<String, TaskError> {
    shared.started.notify_one();
    context.cancelled().await;
    Ok(format!("{:?}", context.cancel_reason()))
}

/// Goes on, whatever it is told.
#[task("stubborn")]
async fn stubborn(context: Context, shared: State<Shared>) -> Result<(), TaskError> {
    shared.started.notify_one();
    context.cancelled().await;
    shared.saw(format!("{:?}", context.cancel_reason()));
    std::future::pending().await
}

#[task("told")]
async fn told(context: Context, shared: State<Shared>) -> Result<(), TaskError> {
    context.progress(3, 10, "third");
    context.log("line one");
    shared.started.notify_one();
    shared.go.notified().await;
    context.progress(10, 10, "all");
    context.log("line two");
    Ok(())
}

#[task("headers")]
async fn headers(context: Context) -> Result<Option<String>, TaskError> {
    Ok(context.headers().get("traceparent").map(str::to_owned))
}

fn tasks(shared: Shared) -> Tasks {
    let tasks = Tasks::new().task::<crunch>().task::<patient>().task::<stubborn>();
    tasks.task::<told>().task::<headers>().state(shared)
}

struct Running {
    client: Client,
    handle: WorkerHandle,
    worker: tokio::task::JoinHandle<celeriac::Summary>,
}

/// A worker on a store of its own; it ends when the handle tells it.
async fn start(url: &str, tasks: Tasks, set_up: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Running {
    let client = Client::connect(url).await.unwrap();
    let builder = Worker::builder(&client, tasks).lease(Duration::from_secs(20)).grace(Duration::ZERO);
    let worker = set_up(builder).build().unwrap();
    let handle = worker.handle();
    Running { client, handle, worker: tokio::spawn(async move { worker.run().await.unwrap() }) }
}

async fn start_sqlite(shared: &Shared) -> Running {
    start("sqlite::memory:", tasks(shared.clone()), |builder| builder).await
}

fn crunched(number: u64, how: &str) -> crunch {
    crunch { number, how: how.to_owned() }
}

#[tokio::test]
async fn blocking_tasks_run_on_so_many_threads_and_leave_the_runtime_alone() {
    let shared = Shared::default();
    let running = start("sqlite::memory:", tasks(shared.clone()), |builder| builder.blocking(3).concurrency(20)).await;
    let jobs = running.client.enqueue_many((0..12).map(|number| crunched(number, ""))).await.unwrap();
    for (number, job) in (0..).zip(jobs) {
        assert_eq!(job.result().await.unwrap(), number * 2);
    }
    assert_eq!(shared.most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_blocking_task_fails_and_panics_like_any_other() {
    let running = start_sqlite(&Shared::default()).await;
    let later = running.client.enqueue(crunched(1, "later")).await.unwrap();
    assert_eq!(later.result().await.unwrap(), 2);
    let panics = running.client.enqueue(crunched(1, "panic")).retries(0).await.unwrap();
    let Err(ResultError::Failed { error, .. }) = panics.result().await else { panic!("it ended otherwise") };
    assert_eq!(error, "panicked: out of numbers");
}

#[tokio::test]
async fn a_time_limit_ends_the_attempt_of_a_blocking_task_and_not_its_thread() {
    let shared = Shared::default();
    let running = start("sqlite::memory:", tasks(shared.clone()), |builder| builder.blocking(1)).await;
    let limited = running.client.enqueue(crunched(1, "")).timeout(Duration::from_millis(1)).retries(0);
    let Err(ResultError::Failed { error, .. }) = limited.await.unwrap().result().await else { panic!("it ended") };
    assert_eq!(error, "ran longer than 1ms");
    // The one thread is free when the first has come to its end, not before.
    let next = running.client.enqueue(crunched(2, "")).await.unwrap();
    assert_eq!((next.result().await.unwrap(), shared.most.load(Ordering::SeqCst)), (4, 1));
}

#[tokio::test]
async fn a_renamed_task_runs_the_jobs_of_its_old_name() {
    let running = start_sqlite(&Shared::default()).await;
    let args = RawValue::from_string(r#"{"number": 4, "how": ""}"#.to_owned()).unwrap();
    let job = running.client.enqueue_signature(Signature::new("old.crunch", args)).await.unwrap();
    assert_eq!(job.result().await.unwrap().get(), "8");
    let workers = running.client.broker().workers().await.unwrap();
    assert!(workers[0].tasks.iter().any(|task| task.as_str() == "old.crunch"));
}

#[test]
fn an_alias_is_nobody_elses_name() {
    let command = |name: &str| CommandTask::new(name, "true", Vec::new());
    let twice = |tasks: Tasks| matches!(tasks.check(), Err(TasksError::Duplicate(name)) if name == "a");
    assert!(twice(Tasks::new().command(command("b").alias("a")).command(command("a"))));
    assert!(twice(Tasks::new().command(command("a")).command(command("b").alias("a"))));
    assert!(twice(Tasks::new().command(command("b").alias("a")).command(command("c").alias("a"))));
    assert!(twice(Tasks::new().command(command("a").alias("a"))));
}

#[test]
fn a_soft_limit_is_shorter_than_the_hard_one() {
    let second = Duration::from_secs(1);
    let command = CommandTask::new("a", "true", Vec::new()).timeout(second).soft_timeout(second);
    assert!(matches!(Tasks::new().command(command).check(), Err(TasksError::SoftTimeout(name)) if name == "a"));
}

#[tokio::test]
async fn a_soft_limit_tells_the_handler_and_lets_it_end() {
    let running = start_sqlite(&Shared::default()).await;
    let job = running.client.enqueue(patient {}).await.unwrap();
    assert_eq!(job.result().await.unwrap(), "Some(SoftTimeout)");
}

#[tokio::test]
async fn a_command_gets_a_term_signal_at_its_soft_limit() {
    let script = "trap 'echo \"\\\"in order\\\"\"; exit 0' TERM; while :; do sleep 0.02; done";
    let command = CommandTask::new("loop", "sh", vec!["-c".into(), script.into()]);
    let tasks = Tasks::new().command(command.soft_timeout(Duration::from_millis(300)).retries(0));
    let running = start("sqlite::memory:", tasks, |builder| builder).await;
    let args = RawValue::from_string("{}".to_owned()).unwrap();
    let job = running.client.enqueue_signature(Signature::new("loop", args)).await.unwrap();
    assert_eq!(job.result().await.unwrap().get(), "\"in order\"");
}

async fn a_revoked_job_is_told_and_given_up(url: &str) {
    let shared = Shared::default();
    let running = start(url, tasks(shared.clone()), |builder| builder).await;
    let polite = running.client.enqueue(patient {}).soft_timeout(Duration::from_secs(3600)).await.unwrap();
    shared.started.notified().await;
    assert_eq!(polite.revoke().await.unwrap(), Revocation::Told);
    assert_eq!(polite.result().await.unwrap(), "Some(Revoked)", "a handler that ends well has done its work");
    let stubborn = running.client.enqueue(stubborn {}).await.unwrap();
    shared.started.notified().await;
    assert_eq!(stubborn.revoke().await.unwrap(), Revocation::Told);
    let Err(ResultError::Failed { state, error, .. }) = stubborn.result().await else { panic!("it has a result") };
    assert_eq!((state, error.as_str()), (JobState::Revoked, "revoked while it ran"));
    assert_eq!(shared.seen(), ["Some(Revoked)"]);
    running.handle.stop();
    running.worker.await.unwrap();
}

#[tokio::test]
async fn a_revoked_job_is_told_and_given_up_on_sqlite() {
    a_revoked_job_is_told_and_given_up("sqlite::memory:").await;
}

#[tokio::test]
async fn a_revoked_job_is_told_and_given_up_on_redis() {
    a_revoked_job_is_told_and_given_up(&shared_redis().await.expose()).await;
}

async fn what_a_job_tells_can_be_read_while_it_runs(url: &str) {
    let shared = Shared::default();
    let running = start(url, tasks(shared.clone()), |builder| builder).await;
    let job = running.client.enqueue(told {}).await.unwrap();
    shared.started.notified().await;
    let notes = loop {
        let notes = job.notes().await.unwrap();
        if notes.progress.is_some() {
            break notes;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!((notes.progress.unwrap().percent(), notes.lines.len()), (Some(30), 1));
    shared.go.notify_one();
    job.result().await.unwrap();
    let notes = job.notes().await.unwrap();
    assert_eq!(notes.progress.unwrap().message, "all");
    assert_eq!(notes.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["line one", "line two"]);
    running.handle.stop();
    running.worker.await.unwrap();
}

#[tokio::test]
async fn what_a_job_tells_can_be_read_while_it_runs_on_sqlite() {
    what_a_job_tells_can_be_read_while_it_runs("sqlite::memory:").await;
}

#[tokio::test]
async fn what_a_job_tells_can_be_read_while_it_runs_on_redis() {
    what_a_job_tells_can_be_read_while_it_runs(&shared_redis().await.expose()).await;
}

#[tokio::test]
async fn headers_reach_the_handler_untouched() {
    let running = start_sqlite(&Shared::default()).await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let job = running.client.enqueue(headers {}).header("traceparent", parent).await.unwrap();
    assert_eq!(job.result().await.unwrap().as_deref(), Some(parent));
}

/// Notes when it begins and ends, under a name.
struct Noting(&'static str, Shared);

impl Middleware for Noting {
    fn call(&self, context: Context, next: Next) -> celeriac::AttemptFuture {
        let (name, shared) = (self.0, self.1.clone());
        Box::pin(async move {
            shared.saw(format!("{name} {}", context.task()));
            let answer = next.run().await;
            shared.saw(format!("{name} {}", answer.is_ok()));
            answer
        })
    }
}

#[tokio::test]
async fn middleware_surrounds_every_attempt_in_order() {
    let shared = Shared::default();
    let refuse = |context: Context, next: Next| async move {
        if context.headers().get("forbidden").is_some() {
            return Err(TaskError::permanent("not allowed"));
        }
        next.run().await
    };
    let layered = tasks(shared.clone())
        .middleware(Noting("outer", shared.clone()))
        .middleware(Noting("inner", shared.clone()))
        .middleware(refuse);
    let running = start("sqlite::memory:", layered, |builder| builder).await;
    running.client.enqueue(crunched(1, "")).await.unwrap().result().await.unwrap();
    assert_eq!(shared.seen(), ["outer crunch", "inner crunch", "inner true", "outer true"]);
    let refused = running.client.enqueue(headers {}).header("forbidden", "yes").await.unwrap();
    let Err(ResultError::Failed { error, .. }) = refused.result().await else { panic!("it ran") };
    assert_eq!((error.as_str(), shared.seen()[6].as_str()), ("not allowed", "inner false"));
}

#[tokio::test]
async fn a_quiet_worker_fetches_no_more_and_finishes_what_runs() {
    let shared = Shared::default();
    let running = start_sqlite(&shared).await;
    let first = running.client.enqueue(told {}).await.unwrap();
    shared.started.notified().await;
    running.handle.quiet();
    // Quiet is noticed by the loop that fetches; a wait under way may still bring a job or two.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = running.client.enqueue(crunched(1, "")).await.unwrap();
    shared.go.notify_one();
    first.result().await.unwrap();
    let state = second.status().await.unwrap().unwrap().state;
    assert_eq!(state, JobState::Queued);
    running.handle.stop();
    running.worker.await.unwrap();
}

#[tokio::test]
async fn a_worker_ends_after_so_many_jobs_and_leaves_the_others() {
    let shared = Shared::default();
    let client = Client::connect("sqlite::memory:").await.unwrap();
    client.enqueue_many((0..50).map(|number| crunched(number, ""))).await.unwrap();
    let worker = Worker::builder(&client, tasks(shared)).max_tasks(7).blocking(4).build().unwrap();
    let summary = worker.run().await.unwrap();
    assert_eq!(summary.succeeded, 7);
    let queue = client.broker().queues().await.unwrap().remove(0);
    assert_eq!((queue.ready, queue.running), (43, 0));
}

#[tokio::test]
async fn an_expired_job_never_starts_and_a_deadline_ends_a_running_one() {
    let shared = Shared::default();
    let client = Client::connect("sqlite::memory:").await.unwrap();
    let late = client.enqueue(crunched(1, "")).expires(Duration::from_millis(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let builder = Worker::builder(&client, tasks(shared.clone())).grace(Duration::ZERO);
    let worker = builder.build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(async move { worker.run().await.unwrap() });
    let Err(ResultError::Failed { state, attempts, .. }) = late.result().await else { panic!("it ran") };
    assert_eq!((state, attempts, shared.most.load(Ordering::SeqCst)), (JobState::Expired, 0, 0));
    let endless = client.enqueue(patient {}).soft_timeout(Duration::from_secs(3600));
    let endless = endless.deadline(Duration::from_millis(200)).await.unwrap();
    let Err(ResultError::Failed { state, error, .. }) = endless.result().await else { panic!("it ended") };
    assert_eq!((state, error.as_str()), (JobState::Dead, "was still running at its deadline"));
    handle.stop();
    running.await.unwrap();
}

async fn twenty_racing_enqueues_of_one_unique_key_make_one_job(url: &str) {
    let mut race = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let client = Client::connect(url).await.unwrap();
        for _ in 0..5 {
            let client = client.clone();
            race.spawn(async move { client.enqueue(crunched(1, "")).unique("only-one").await });
        }
    }
    let answers = race.join_all().await;
    let accepted: Vec<_> = answers.iter().flatten().map(|job| job.id().clone()).collect();
    assert_eq!(accepted.len(), 1);
    let holders = answers.iter().filter_map(|answer| match answer {
        Err(celeriac::EnqueueError::UniqueInUse { holder, .. }) => Some(holder.clone()),
        _ => None,
    });
    assert_eq!(holders.collect::<Vec<_>>(), vec![accepted[0].clone(); 19]);
}

#[tokio::test]
async fn twenty_racing_enqueues_of_one_unique_key_make_one_job_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("queue.db").display());
    twenty_racing_enqueues_of_one_unique_key_make_one_job(&url).await;
}

#[tokio::test]
async fn twenty_racing_enqueues_of_one_unique_key_make_one_job_on_redis() {
    twenty_racing_enqueues_of_one_unique_key_make_one_job(&shared_redis().await.expose()).await;
}
