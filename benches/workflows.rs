//! What workflows cost, beside a floor of the same run: the time between two steps of a chain on an idle system beside a PING, and a member
//! of a large chord beside a plain job whose result is kept.
//!
//! `cargo bench --bench workflows -- --members 100000`; without arguments 20,000 members. On a redis-server of its own, and the
//! chain on a SQLite file too.
#![expect(clippy::print_stdout, reason = "this is what a benchmark is for")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use celeriac::broker::{Broker, StoreUrl};
use celeriac::canvas::{Canvas, Step, Takes, Workflow};
use celeriac::{Client, State, Task, TaskError, Tasks, Worker, WorkerHandle};
use celeriac_testkit::{RedisOptions, RedisServer};
use celeriac_workflow::{NewId, submit};
use serde::{Deserialize, Serialize};

const HOPS: usize = 200;
const ROUNDS: usize = 5;
const PAIRS: usize = 5;

/// When each attempt began and ended.
type Moments = Arc<Mutex<Vec<(Instant, Instant)>>>;

/// A step of a chain: one more than it is given.
#[derive(Serialize, Deserialize)]
struct Hop(u64);

impl Task for Hop {
    const NAME: &'static str = "hop";
    type Output = u64;
}

async fn hop(Hop(number): Hop, State(moments): State<Moments>) -> Result<u64, TaskError> {
    let began = Instant::now();
    moments.lock().unwrap_or_else(PoisonError::into_inner).push((began, Instant::now()));
    Ok(number + 1)
}

/// A member of a chord, and a plain job.
#[derive(Serialize, Deserialize)]
struct Member {
    index: u64,
}

impl Task for Member {
    const NAME: &'static str = "member";
    type Output = u64;
}

async fn member(Member { index }: Member) -> Result<u64, TaskError> {
    Ok(index * 2)
}

/// The body of a chord: reads all results page by page, and answers their sum.
#[derive(Serialize, Deserialize)]
struct Sum {}

impl Task for Sum {
    const NAME: &'static str = "sum";
    type Output = u64;
}

async fn sum(_: Sum, context: celeriac::Context) -> Result<u64, TaskError> {
    let mut inputs = context.inputs().await.map_err(TaskError::permanent)?;
    let mut sum = 0;
    while let Some(page) = inputs.next_page::<u64>(500).await.map_err(TaskError::permanent)? {
        sum += page.iter().sum::<u64>();
    }
    Ok(sum)
}

struct Bench {
    client: Client,
    broker: Arc<dyn Broker>,
    moments: Moments,
    worker: WorkerHandle,
    running: tokio::task::JoinHandle<()>,
}

impl Bench {
    async fn start(url: &str, concurrency: usize) -> Result<Self> {
        let broker = celeriac::broker::connect(&url.parse::<StoreUrl>()?).await?;
        let client = Client::connect(url).await?;
        let moments = Moments::default();
        let tasks = Tasks::new().handle(hop).handle(member).handle(sum).state(Arc::clone(&moments));
        let worker = Worker::builder(&client, tasks).concurrency(concurrency).build()?;
        let handle = worker.handle();
        let running = tokio::spawn(async move {
            if let Err(error) = worker.run().await {
                println!("the worker ended: {error}");
            }
        });
        Ok(Self { client, broker, moments, worker: handle, running })
    }

    async fn run(&self, workflow: &Workflow) -> Result<String> {
        let plan = submit(self.broker.as_ref(), workflow, NewId::generate(), |_| None).await?;
        let outcome = self.broker.wait_result(&plan.workflow().as_str().parse()?).await?;
        outcome.result.map(|result| result.get().to_owned()).context(outcome.error.unwrap_or_default())
    }

    async fn stop(self) -> Result<()> {
        self.worker.stop();
        Ok(self.running.await?)
    }
}

/// The times between the steps of chains, and those of whatever `floor` does.
async fn chains<F: Future<Output = Result<()>>>(bench: &Bench, name: &str, floor: impl Fn() -> F) -> Result<()> {
    let (mut gaps, mut floors) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let first = Step::new("hop").args(serde_json::value::to_raw_value(&0)?);
        let rest = (1..HOPS).map(|_| Step::new("hop").takes(Takes::Arguments));
        let chain = Canvas::chain(std::iter::once(Canvas::from(first)).chain(rest));
        bench.moments.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let result = bench.run(&Workflow::new(chain)).await?;
        anyhow::ensure!(result == HOPS.to_string(), "the chain answered {result}");
        let mut pings = Vec::new();
        for _ in 0..HOPS {
            let began = Instant::now();
            floor().await?;
            pings.push(began.elapsed());
        }
        // The first round warms up.
        if round > 0 {
            let moments = bench.moments.lock().unwrap_or_else(PoisonError::into_inner);
            gaps.extend(moments.windows(2).map(|pair| pair[1].0 - pair[0].1));
            floors.extend(pings);
        }
    }
    let (gap, floor) = (quantiles(&mut gaps), quantiles(&mut floors));
    println!(
        "{name}: between two steps of a chain p50 {:?}, p99 {:?}; floor p50 {:?}, p99 {:?}; ratio p50 {:.2}",
        gap.0,
        gap.1,
        floor.0,
        floor.1,
        gap.0.as_secs_f64() / floor.0.as_secs_f64()
    );
    Ok(())
}

fn quantiles(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// A chord of so many members beside as many plain jobs, one after the other.
async fn chords(bench: &Bench, server: &mut redis::aio::MultiplexedConnection, members: u64) -> Result<()> {
    let mut ratios = Vec::new();
    for _ in 0..PAIRS {
        let before = memory(server).await?;
        let spent = processor(server).await?;
        let began = Instant::now();
        let jobs = (0..members).map(|index| Member { index });
        bench.client.enqueue_many(jobs).await?;
        until_idle(bench).await?;
        let plain = began.elapsed();
        let plain_bytes = memory(server).await?.saturating_sub(before);
        let plain_spent = processor(server).await? - spent;

        let before = memory(server).await?;
        let spent = processor(server).await?;
        let began = Instant::now();
        let step = |index| Ok(Step::new("member").args(serde_json::value::to_raw_value(&Member { index })?));
        let steps: Vec<Step> = (0..members).map(step).collect::<Result<_>>()?;
        let chord = Canvas::group(steps).join(Canvas::from(Step::new("sum")).takes(Takes::Nothing));
        let result = bench.run(&Workflow::new(chord)).await?;
        let chord = began.elapsed();
        let chord_bytes = memory(server).await?.saturating_sub(before);
        let chord_spent = processor(server).await? - spent;
        anyhow::ensure!(result == (members * (members - 1)).to_string(), "the chord answered {result}");
        let each = |time: Duration| time.as_secs_f64() * 1e6 / members as f64;
        println!(
            "{members} members: {chord:.1?}, {:.1} us each ({:.1} of the server's processor), {} bytes each kept; as plain jobs with result: \
             {plain:.1?}, {:.1} us each ({:.1} of the server's processor), {} bytes each kept",
            each(chord),
            each(chord_spent),
            chord_bytes / members,
            each(plain),
            each(plain_spent),
            plain_bytes / members
        );
        ratios.push(each(chord) / each(plain));
    }
    ratios.sort_by(f64::total_cmp);
    println!("a member of a chord costs {:.2} of a plain job (median of {PAIRS}; {ratios:.2?})", ratios[PAIRS / 2]);
    Ok(())
}

async fn until_idle(bench: &Bench) -> Result<()> {
    loop {
        let queues = bench.broker.queues().await?;
        if queues.iter().all(|queue| queue.ready + queue.running == 0) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The time that the server has spent on a processor.
async fn processor(server: &mut redis::aio::MultiplexedConnection) -> Result<Duration> {
    let info: String = redis::cmd("INFO").arg("cpu").query_async(server).await?;
    let spent = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    let (system, user) = (spent("used_cpu_sys:").context("no time")?, spent("used_cpu_user:").context("no time")?);
    Ok(Duration::from_secs_f64(system + user))
}

async fn memory(server: &mut redis::aio::MultiplexedConnection) -> Result<u64> {
    let info: String = redis::cmd("INFO").arg("memory").query_async(server).await?;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("no used_memory")?;
    Ok(line.trim().parse()?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let members = arguments.iter().position(|argument| argument == "--members");
    let members = members.and_then(|at| arguments.get(at + 1)).map_or(Ok(20_000), |text| text.parse())?;
    let server = RedisServer::start(&RedisOptions::default());
    let mut connection = redis::Client::open(server.url().expose())?.get_multiplexed_async_connection().await?;
    let bench = Bench::start(&server.url().expose(), 32).await?;
    let ping = connection.clone();
    chains(&bench, "Redis", || {
        let mut ping = ping.clone();
        async move { Ok(redis::cmd("PING").exec_async(&mut ping).await?) }
    })
    .await?;
    chords(&bench, &mut connection, members).await?;
    bench.stop().await?;

    let folder = tempfile::tempdir()?;
    let bench = Bench::start(&format!("sqlite:{}", folder.path().join("queue.db").display()), 32).await?;
    let file = folder.path().join("floor");
    chains(&bench, "SQLite (floor: write and sync 128 bytes)", || {
        let file = file.clone();
        async move {
            let synced = tokio::task::spawn_blocking(move || {
                use std::io::Write as _;
                let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
                file.write_all(&[0; 128])?;
                file.sync_data()
            });
            Ok(synced.await??)
        }
    })
    .await?;
    bench.stop().await
}
