//! A producer and a worker, each a process of its own, at a steady pace for as long as it is told: neither grows, and nothing is left in the store
//! but what its documentation says.
//!
//! It takes minutes or hours, so it runs only when it is asked for:
//! `CELERIAC_SOAK=20m cargo test --release --test soak -- --ignored --nocapture`
//!
//! `CELERIAC_SOAK_RATE` is the number of jobs a second, 300 unless set, for each of the two stores.
#![expect(clippy::print_stdout, reason = "it shows what it measured")]
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use celeriac::{Client, Context, EnqueueError, JobHandle, JobState, ResultError, TaskError, Tasks, Worker, task};
use celeriac_testkit::{RedisOptions, RedisServer};
use support::{Bench, Process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// Names the part that the ignored test below plays in a process of its own.
const PART: &str = "CELERIAC_SOAK_PART";

/// How long ends and dead jobs are kept, in the tasks below.
const KEPT: Duration = Duration::from_secs(60);

/// How long what is kept no more may take to go, beyond that time.
const PATIENCE: Duration = Duration::from_secs(180);

/// A process may be larger by a tenth and this in the last quarter than in the second.
const SLACK: u64 = 2 << 20;

/// What a handler does, by the number of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Die,
    FailOnce,
    PanicOnce,
    SnoozeOnce,
    Linger,
    Succeed,
}

fn act_of(number: u64) -> Act {
    match number % 100 {
        0 => Act::Die,
        1 | 2 => Act::FailOnce,
        3 => Act::PanicOnce,
        4 => Act::SnoozeOnce,
        5 => Act::Linger,
        _ => Act::Succeed,
    }
}

#[task("steady", result_ttl = "1m", dead_ttl = "1m", retries = 2, backoff = "50ms..400ms")]
async fn steady(number: u64, text: String, context: Context) -> Result<String, TaskError> {
    let first = context.attempt() == 1;
    match act_of(number) {
        Act::Die => Err(TaskError::permanent("as ordered")),
        Act::FailOnce if first => Err(TaskError::retry("as ordered")),
        Act::PanicOnce if first => panic!("as ordered"),
        Act::SnoozeOnce if first => Err(TaskError::snooze(Duration::from_millis(100))),
        Act::Linger => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(text)
        }
        _ => Ok(text),
    }
}

fn variable(name: &str, unless_set: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| unless_set.to_owned())
}

#[test]
#[ignore = "a part of the soaks, which start it as a process of its own"]
fn a_part_of_a_soak() {
    let Ok(part) = std::env::var(PART) else { return };
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::ERROR)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(&std::env::var("CELERIAC_BROKER").unwrap()).await.unwrap();
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        let told = async move {
            terminate.recv().await;
        };
        if part == "worker" {
            let worker = Worker::builder(client, Tasks::new().task::<steady>()).name("steady").build().unwrap();
            worker.run_until(told).await.unwrap();
        } else {
            produce(client, told).await;
        }
    });
}

/// Enqueues at a steady pace until told to end, then waits for what is under way. A result that is wrong ends the process.
async fn produce(client: Client, told: impl Future<Output = ()>) {
    let rate: u32 = variable("CELERIAC_SOAK_RATE", "300").parse().unwrap();
    let mut pace = tokio::time::interval(Duration::from_secs(1) / rate);
    let (mut lives, mut numbers) = (JoinSet::new(), 0..);
    tokio::pin!(told);
    loop {
        tokio::select! {
            () = &mut told => break,
            Some(lived) = lives.join_next() => lived.unwrap(),
            _ = pace.tick() => drop(lives.spawn(live(client.clone(), numbers.next().unwrap()))),
        }
    }
    while let Some(lived) = lives.join_next().await {
        lived.unwrap();
    }
    client.close().await;
    println!("{} jobs", numbers.next().unwrap());
}

/// One job, from its enqueueing to its end.
async fn live(client: Client, number: u64) {
    let text = format!("{number} {}", "x".repeat(usize::try_from(number % 300).unwrap()));
    let mut job = client.enqueue(steady { number, text: text.clone() }).header("traceparent", "00-ab");
    match number % 20 {
        0 => job = job.delay(Duration::from_millis(number % 2000)),
        1 => job = job.priority(8),
        2 => job = job.unique(format!("key-{}", number % 1000)),
        _ => {}
    }
    let is_revoked = number.is_multiple_of(150);
    if is_revoked {
        // A store that ends a waiting job by itself does not know its task.
        job = job.result_ttl(KEPT);
    }
    let job = match job.await {
        Err(EnqueueError::UniqueInUse { .. }) => return,
        answer => answer.unwrap(),
    };
    if is_revoked {
        job.revoke().await.unwrap();
    }
    is_right(number, is_revoked, &job, &text).await;
}

async fn is_right(number: u64, is_revoked: bool, job: &JobHandle<String>, text: &str) {
    match job.result_within(Duration::from_secs(60)).await {
        Ok(result) => assert!(result == text && act_of(number) != Act::Die, "job {number}"),
        Err(ResultError::Failed { state: JobState::Dead, .. }) => assert_eq!(act_of(number), Act::Die, "job {number}"),
        Err(ResultError::Failed { state: JobState::Revoked, .. }) => assert!(is_revoked, "job {number}"),
        Err(error) => panic!("job {number}: {error}"),
    }
}

/// A store under a soak.
enum Store {
    Redis(RedisServer),
    Sqlite,
}

/// What a store holds: keys or rows, and bytes.
struct Holds {
    items: u64,
    bytes: u64,
}

impl Store {
    fn name(&self) -> &'static str {
        if let Self::Redis(_) = self { "Redis" } else { "SQLite" }
    }

    fn holds(&self, bench: &Bench) -> Holds {
        match self {
            Self::Redis(server) => {
                let mut connection = connection(server);
                let info: String = redis::cmd("INFO").arg("memory").query(&mut connection).unwrap();
                let bytes = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
                let items = redis::cmd("DBSIZE").query(&mut connection).unwrap();
                Holds { items, bytes: bytes.parse().unwrap() }
            }
            Self::Sqlite => {
                let items = rows(bench).iter().map(|(_, rows)| rows).sum();
                let files = ["queue.db", "queue.db-wal"].map(|file| std::fs::metadata(bench.path(file)));
                Holds { items, bytes: files.into_iter().flatten().map(|file| file.len()).sum() }
            }
        }
    }

    /// What is left that nobody keeps for the time after its jobs: keys, or tables with rows.
    fn leftovers(&self, bench: &Bench) -> Vec<String> {
        match self {
            Self::Redis(server) => {
                let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection(server)).unwrap();
                // docs/redis-layout.md: they stay, or go with the registration or a day after the producer.
                let stays = ["queues", "counts", "meta", "workers", "worker:", "wake:", "producer:", "unreadable"];
                let is_left = |key: &String| {
                    let name = key.strip_prefix("{celeriac}:").unwrap_or(key);
                    !stays.iter().any(|stay| name == *stay || (stay.ends_with(':') && name.starts_with(stay)))
                };
                keys.into_iter().filter(is_left).collect()
            }
            Self::Sqlite => {
                let stays = ["meta", "queues", "workers", "producers"];
                let left =
                    rows(bench).into_iter().filter(|(table, rows)| *rows > 0 && !stays.contains(&table.as_str()));
                left.map(|(table, rows)| format!("{table}: {rows}")).collect()
            }
        }
    }
}

fn connection(server: &RedisServer) -> redis::Connection {
    redis::Client::open(server.url().address()).unwrap().get_connection().unwrap()
}

/// The tables of the file, and how many rows each has.
fn rows(bench: &Bench) -> Vec<(String, u64)> {
    let file = rusqlite::Connection::open(bench.path("queue.db")).unwrap();
    file.busy_timeout(Duration::from_secs(60)).unwrap();
    let mut tables = file.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let count = |table: &String| -> i64 {
        file.query_row(&format!("SELECT count(*) FROM \"{table}\""), [], |row| row.get(0)).unwrap()
    };
    tables.iter().map(|table| (table.clone(), count(table).cast_unsigned())).collect()
}

fn start(bench: &Bench, part: &str) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "a_part_of_a_soak", "--ignored", "--nocapture"])
        .env(PART, part)
        .env("RUST_BACKTRACE", "0");
    bench.start(part, command)
}

/// Bytes of a process that are in memory.
fn resident(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// The sizes of producer and worker at each look.
async fn watch(bench: &Bench, store: &Store, producer: &mut Process, worker: &mut Process) -> Vec<[u64; 2]> {
    let time = celeriac_core::parse_duration(&variable("CELERIAC_SOAK", "2m")).unwrap();
    let every = Duration::from_secs(10).min(time / 12);
    let (began, mut sizes) = (Instant::now(), Vec::new());
    println!("{}: time s, producer MiB, worker MiB, keys or rows, store MiB", store.name());
    while began.elapsed() < time {
        tokio::time::sleep(every).await;
        assert!(!producer.has_ended() && !worker.has_ended(), "a part has ended: {}", said(bench));
        let (size, holds) = ([resident(producer), resident(worker)], store.holds(bench));
        let [producer, worker] = size.map(mebibytes);
        let (seconds, bytes) = (began.elapsed().as_secs(), mebibytes(holds.bytes));
        println!("{}: {seconds:6} {producer:>8} {worker:>8} {:9} {bytes:>8}", store.name(), holds.items);
        sizes.push(size);
    }
    sizes
}

/// The end of what the parts have written.
fn said(bench: &Bench) -> String {
    let logs = ["producer.log", "worker.log"].map(|log| std::fs::read_to_string(bench.path(log)).unwrap());
    logs.map(|log| log.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n"))
        .join("\n")
}

fn median(sizes: &[[u64; 2]], of: usize) -> u64 {
    let mut sizes: Vec<u64> = sizes.iter().map(|size| size[of]).collect();
    sizes.sort_unstable();
    sizes[sizes.len() / 2]
}

/// Compares the last quarter with the second.
fn stays_flat(store: &Store, sizes: &[[u64; 2]]) {
    let quarter = sizes.len() / 4;
    for (of, part) in ["producer", "worker"].into_iter().enumerate() {
        let before = median(&sizes[quarter..2 * quarter], of);
        let after = median(&sizes[sizes.len() - quarter..], of);
        println!("{}: {part} {} MiB, then {} MiB", store.name(), mebibytes(before), mebibytes(after));
        assert!(after <= before + before / 10 + SLACK, "{}: the {part} grows: {sizes:?}", store.name());
    }
}

/// Ends are removed by workers every few minutes, and here by whoever waits for it.
async fn is_empty_after_retention(bench: &Bench, store: &Store, client: &Client) {
    tokio::time::sleep(KEPT).await;
    let began = Instant::now();
    loop {
        client.broker().prune(500).await.unwrap();
        let left = store.leftovers(bench);
        if left.is_empty() {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{}: left behind: {left:?}", store.name());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn soak(bench: Bench, store: Store) {
    let client = bench.client().await;
    let mut worker = start(&bench, "worker");
    let first = client.enqueue(steady { number: 7, text: "first".into() }).await.unwrap();
    assert_eq!(first.result().await.unwrap(), "first");
    let base = store.holds(&bench);
    let mut producer = start(&bench, "producer");
    let sizes = watch(&bench, &store, &mut producer, &mut worker).await;
    producer.signal("TERM");
    assert!(producer.wait().success(), "{}", said(&bench));
    is_empty_after_retention(&bench, &store, &client).await;
    let end = store.holds(&bench);
    let (before, after) = (mebibytes(base.bytes), mebibytes(end.bytes));
    println!(
        "{}: {} keys or rows and {before} MiB before, {} and {after} MiB after",
        store.name(),
        base.items,
        end.items
    );
    // One more for the lanes of the producer; in SQLite each lane has a row.
    let lanes = if let Store::Redis(_) = store { 1 } else { 16 };
    assert!(end.items <= base.items + lanes, "{}: {} were there, {} are", store.name(), base.items, end.items);
    // A file keeps its size and uses its pages again.
    let grown = matches!(store, Store::Redis(_)) && end.bytes > base.bytes + base.bytes / 10 + SLACK;
    assert!(!grown, "Redis: {before} MiB before and {after} MiB after");
    stays_flat(&store, &sizes);
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", said(&bench));
    println!("{}: {}", store.name(), said(&bench).lines().find(|line| line.ends_with(" jobs")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes as long as it is told"]
async fn a_soak_leaves_nothing_behind_on_redis() {
    let server = RedisServer::start(&RedisOptions::default());
    let bench = Bench { folder: tempfile::tempdir().unwrap(), redis: None, url: server.url().expose() };
    soak(bench, Store::Redis(server)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes as long as it is told"]
async fn a_soak_leaves_nothing_behind_on_sqlite() {
    soak(Bench::sqlite(), Store::Sqlite).await;
}
