//! Input that means no good: names, arguments and texts that no honest program sends. It is refused in a sentence, put aside with a reason,
//! or kept to the byte; the worker lives, and no terminal is taken over.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod support;

use std::io::Write as _;
use std::process::{Output, Stdio};

use celeriac::broker::{Batch, IdOrigin, JobView, Lane, NewJob, Start};
use celeriac::{
    Client, Context, EnqueueError, JobHandle, JobId, JobState, QueueName, Record, Signature, TaskError, TaskName,
    Tasks, Worker, task,
};
use celeriac_testkit::shared_redis;
use serde_json::Value;
use serde_json::value::RawValue;
use support::Bench;

/// Clears the screen, rings, moves the cursor in one byte of C1, and deletes.
const TAKEOVER: &str = "\u{1b}[2J\u{7}\u{9b}31m\u{7f}";
const MEGABYTE: usize = 1 << 20;
const DEPTH: usize = 100_000;
/// Numbers that change in `f64`, in `u64`, and when zeros or signs are taken for noise.
const NUMBERS: &str = "[1e400, 18446744073709551617, -0, 1.10, 0.1000000000000000055511151231257827, 1E+2]";

/// Answers its argument as it was written.
#[task("echo")]
async fn echo(value: Box<RawValue>) -> Result<Box<RawValue>, TaskError> {
    Ok(value)
}

/// Reads its argument into a tree.
#[task("read")]
async fn read(value: Value) -> Result<bool, TaskError> {
    Ok(value.is_array())
}

#[task("count", retries = 0)]
async fn count(number: u64) -> Result<u64, TaskError> {
    Ok(number)
}

#[task("rude", retries = 0)]
async fn rude(context: Context) -> Result<(), TaskError> {
    context.progress(1, 2, format!("{TAKEOVER}progress"));
    context.log(format!("{TAKEOVER}line"));
    Err(TaskError::retry(format!("{TAKEOVER}error\n{TAKEOVER}second line")))
}

async fn sqlite_bench() -> Bench {
    Bench::sqlite()
}

/// On a namespace of the server that the tests of this file share.
async fn redis_bench() -> Bench {
    Bench { folder: tempfile::tempdir().unwrap(), redis: None, url: shared_redis().await.expose() }
}

/// Runs all there is to do. That it returns says that nothing ended the worker.
async fn burst(client: &Client) {
    let tasks = Tasks::new().task::<echo>().task::<read>().task::<count>().task::<rude>();
    Worker::builder(client, tasks).burst(true).build().unwrap().run().await.unwrap();
}

async fn view<T>(job: &JobHandle<T>) -> JobView {
    job.status().await.unwrap().unwrap()
}

fn raw(json: impl Into<String>) -> Box<RawValue> {
    RawValue::from_string(json.into()).unwrap()
}

fn deep() -> String {
    "[".repeat(DEPTH) + &"]".repeat(DEPTH)
}

/// Runs the command line. What it says is UTF-8 without control characters, in sentences and not in megabytes.
fn says(bench: &Bench, arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut command = bench.celeriac(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may refuse before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let [out, err] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    for text in [&out, &err] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{arguments:?}: {text:?}");
    }
    assert!(err.len() < 2000, "{arguments:?}: {} bytes of complaint", err.len());
    (status.code().unwrap(), out, err)
}

fn is_refused(bench: &Bench, arguments: &[&str], input: &[u8]) -> String {
    let (code, out, err) = says(bench, arguments, input);
    assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
    assert!(err.starts_with("error: "), "{arguments:?}: {err:?}");
    err
}

#[tokio::test]
async fn the_client_refuses_names_that_are_none() {
    let client = Client::connect("sqlite::memory:").await.unwrap();
    for name in [TAKEOVER.to_owned(), "a\0".to_owned(), "x".repeat(MEGABYTE), TAKEOVER.repeat(MEGABYTE / 10)] {
        let as_task = client.enqueue_signature(Signature::new(name.clone(), raw("{}"))).await.map(|_| ());
        let as_queue = client.enqueue(count { number: 1 }).queue(name).await.map(|_| ());
        for answer in [as_task, as_queue] {
            let Err(EnqueueError::Invalid(error)) = answer else { panic!("{answer:?}") };
            let text = error.to_string();
            assert!(text.len() < 1000 && !text.contains(char::is_control), "{text:?}");
        }
    }
    assert_eq!(client.broker().jobs(&celeriac::broker::JobFilter::default()).await.unwrap().len(), 0);
}

/// Linux takes at most 128 KiB in one argument, so a megabyte comes in a file.
#[test]
fn the_command_line_refuses_names_that_are_none() {
    let bench = Bench::sqlite();
    for name in [TAKEOVER.to_owned(), "x".repeat(100_000), TAKEOVER.repeat(5000)] {
        is_refused(&bench, &["enqueue", &name], b"");
        is_refused(&bench, &["enqueue", "t", "{}", "--queue", &name], b"");
        is_refused(&bench, &["enqueue", "t", "{}", "--unique", &name], b"");
        is_refused(&bench, &["enqueue", "t", "{}", "--id", &name], b"");
        is_refused(&bench, &["worker", "--queue", &name], b"");
        is_refused(&bench, &["job", "get", &name], b"");
        is_refused(&bench, &[&name], b"");
    }
    for name in [TAKEOVER.to_owned(), "x".repeat(MEGABYTE / 2), TAKEOVER.repeat(50_000)] {
        for field in ["task", "queue", "id", "unique"] {
            let mut line = serde_json::json!({ "task": "t" });
            line[field] = name.as_str().into();
            is_refused(&bench, &["enqueue", "--from", "-"], line.to_string().as_bytes());
        }
    }
    assert!(!bench.path("queue.db").exists(), "nothing was begun");
}

#[test]
fn paths_and_addresses_are_repeated_without_their_control_characters() {
    let bench = Bench::sqlite();
    let path = format!("./{TAKEOVER}");
    is_refused(&bench, &["enqueue", "--from", &path], b"");
    is_refused(&bench, &["worker", "--config", &path], b"");
    for store in ["redis://", "sqlite:/nowhere/", "mysql://"] {
        let (code, _, _) = says(&bench, &["--broker", &format!("{store}{TAKEOVER}/x"), "workers"], b"");
        assert_ne!(code, 0);
    }
}

/// On a terminal the complaint has colours, and nothing but those.
#[test]
fn colours_let_nothing_else_through() {
    let bench = Bench::sqlite();
    let output = bench.celeriac(&["enqueue", TAKEOVER]).env("CLICOLOR_FORCE", "1").output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("\u{1b}["), "{err:?}");
    assert!(!err.contains("\u{1b}[2J") && !err.contains(['\u{7}', '\u{9b}', '\u{7f}']), "{err:?}");
}

#[test]
fn input_that_is_no_utf_8_or_no_json_is_refused() {
    let bench = Bench::sqlite();
    assert!(is_refused(&bench, &["enqueue", "t", "-"], b"\"\xff\"").contains("UTF-8"));
    is_refused(&bench, &["enqueue", "--from", "-"], b"{\"task\": \"t\", \"args\": \"\xff\"}\n");
    is_refused(&bench, &["enqueue", "t", "-"], TAKEOVER.as_bytes());
    is_refused(&bench, &["enqueue", "t", "-"], "[".repeat(DEPTH).as_bytes());
    assert!(!bench.path("queue.db").exists(), "nothing was begun");
}

/// Deep enough to end a process that follows it by calling itself. What reads it into a tree is told so; what does not, gets it whole.
async fn arguments_may_be_deep_and_end_no_worker(bench: Bench) {
    let client = bench.client().await;
    let args = format!("{{\"value\": {}}}", deep());
    for task in ["read", "echo"] {
        let (code, _, err) = says(&bench, &["enqueue", task, "-", "--id", task], args.as_bytes());
        assert_eq!(code, 0, "{err}");
    }
    let next = client.enqueue(count { number: 7 }).await.unwrap();
    burst(&client).await;
    assert_eq!(next.result().await.unwrap(), 7);
    let refused = view(&client.handle::<read>(JobId::new("read").unwrap())).await;
    assert_eq!(refused.state, JobState::Parked);
    assert!(refused.error.as_ref().unwrap().contains("recursion limit exceeded"), "{:?}", refused.error);
    let whole = client.handle::<echo>(JobId::new("echo").unwrap()).result().await.unwrap();
    assert_eq!(whole.get(), deep());
    for arguments in [&["job", "get", "read", "echo"][..], &["job", "list"], &["result", "echo"]] {
        for json in [&[][..], &["--json"]] {
            let (code, _, err) = says(&bench, &[arguments, json].concat(), b"");
            assert_eq!(code, 0, "{arguments:?}: {err}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_may_be_deep_and_end_no_worker_on_sqlite() {
    arguments_may_be_deep_and_end_no_worker(sqlite_bench().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_may_be_deep_and_end_no_worker_on_redis() {
    arguments_may_be_deep_and_end_no_worker(redis_bench().await).await;
}

/// What a program writes that is not celeriac's client, and checks nothing.
async fn records_that_nobody_checked_are_put_aside(bench: Bench) {
    let client = bench.client().await;
    let broker = client.broker();
    let payloads =
        [deep(), "[".repeat(DEPTH), String::new(), "{}{}".to_owned(), TAKEOVER.to_owned(), "null".to_owned()];
    let payloads = payloads.map(String::into_bytes).into_iter().chain([b"{\"value\": \"\xff\"}".to_vec()]);
    let jobs: Vec<_> = payloads
        .map(|payload| {
            let record = Record::new(JobId::generate(), TaskName::new("read").unwrap(), QueueName::default(), payload);
            NewJob { record, start: Start::Now, id_origin: IdOrigin::Generated }
        })
        .collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.record.id.clone()).collect();
    let lane = Lane { producer: JobId::generate().to_string(), index: 0, made_at: broker.now().await.unwrap() };
    broker.enqueue(&Batch { lane, number: 1, jobs }).await.unwrap();
    let next = client.enqueue(count { number: 7 }).await.unwrap();

    burst(&client).await;

    assert_eq!(next.result().await.unwrap(), 7);
    for id in ids {
        let view = view(&client.handle::<read>(id)).await;
        assert_eq!(view.state, JobState::Parked, "{view:?}");
        assert!(view.error.is_some_and(|error| error.contains("arguments")));
        let (code, out, _) = says(&bench, &["job", "get", view.id.as_str()], b"");
        assert!(code == 0 && out.contains("parked"), "{out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_nobody_checked_are_put_aside_on_sqlite() {
    records_that_nobody_checked_are_put_aside(sqlite_bench().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_nobody_checked_are_put_aside_on_redis() {
    records_that_nobody_checked_are_put_aside(redis_bench().await).await;
}

async fn numbers_of_any_size_stay_as_they_were_written(bench: Bench) {
    let client = bench.client().await;
    let typed = client.enqueue(echo { value: raw(NUMBERS) }).await.unwrap();
    let args = format!("{{\"value\": {NUMBERS}}}");
    let (code, _, err) = says(&bench, &["enqueue", "echo", &args, "--id", "typed-by-hand"], b"");
    assert_eq!(code, 0, "{err}");
    let too_large = client.enqueue_signature(Signature::new("count", raw(r#"{"number": 18446744073709551616}"#)));
    let too_large = too_large.await.unwrap();

    burst(&client).await;

    assert_eq!(typed.result().await.unwrap().get(), NUMBERS);
    let by_hand = client.handle::<echo>(JobId::new("typed-by-hand").unwrap());
    assert_eq!(by_hand.result().await.unwrap().get(), NUMBERS);
    let (_, shown, _) = says(&bench, &["result", "typed-by-hand"], b"");
    assert_eq!(shown.trim_end(), NUMBERS);
    let parked = view(&too_large).await;
    assert_eq!(parked.state, JobState::Parked);
    assert!(parked.error.as_ref().unwrap().contains("u64"), "{:?}", parked.error);
    let (_, shown, _) = says(&bench, &["job", "get", too_large.id().as_str(), "--json"], b"");
    assert!(shown.contains("18446744073709551616"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_any_size_stay_as_they_were_written_on_sqlite() {
    numbers_of_any_size_stay_as_they_were_written(sqlite_bench().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_any_size_stay_as_they_were_written_on_redis() {
    numbers_of_any_size_stay_as_they_were_written(redis_bench().await).await;
}

/// The control characters are gone and the words are not.
async fn what_a_handler_says_cannot_write_over_a_terminal(bench: Bench) {
    let client = bench.client().await;
    let job = client.enqueue(rude {}).await.unwrap();
    burst(&client).await;
    assert_eq!(view(&job).await.state, JobState::Dead);
    let id = job.id().as_str();
    for (arguments, words) in [
        (&["job", "get", id][..], &["[2J", "progress", "line", "error", "second line"][..]),
        (&["job", "list"], &["[2J", "error"]),
        (&["dead", "list"], &["[2J", "error"]),
        (&["job", "explain", id], &["error"]),
    ] {
        let (code, out, err) = says(&bench, arguments, b"");
        assert_eq!(code, 0, "{arguments:?}: {err}");
        assert!(words.iter().all(|word| out.contains(word)), "{arguments:?}: {out:?}");
    }
    let (code, _, err) = says(&bench, &["result", id], b"");
    assert!(code == 1 && err.contains("error"), "{err:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_says_cannot_write_over_a_terminal_on_sqlite() {
    what_a_handler_says_cannot_write_over_a_terminal(sqlite_bench().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_says_cannot_write_over_a_terminal_on_redis() {
    what_a_handler_says_cannot_write_over_a_terminal(redis_bench().await).await;
}

/// What a command says on standard error ends in the log of its worker too.
#[test]
fn what_a_command_says_cannot_write_over_the_log_of_its_worker() {
    let bench = Bench::sqlite();
    bench.task("printf \"\\033[2J\\007gone\" >&2; exit 1");
    says(&bench, &["enqueue", "note", "--retries", "0"], b"");
    let (code, _, err) = says(&bench, &["worker", "--burst"], b"");
    assert!(code == 0 && err.contains("gone"), "{err:?}");
}
