//! A redis-server, a link to it that fails on order, and who works and waits at both ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use celeriac::{
    CancelReason, Client, Context, JobHandle, State, Summary, TaskError, Tasks, Worker, WorkerBuilder, WorkerError,
    WorkerHandle, task,
};
use celeriac_testkit::{Commands, Fault, FaultProxy, Order, RedisOptions, RedisServer, Rule};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long an awaited event may take before the test fails. Far above what is normal: machines are noisy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What handlers tell the test, and the test handlers.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    runs: watch::Sender<BTreeMap<String, u32>>,
    gate: watch::Sender<bool>,
    told: watch::Sender<BTreeMap<String, CancelReason>>,
    ended: watch::Sender<BTreeSet<String>>,
}

/// Ends at once.
#[task("count", queue = "counted", result_ttl = "1h")]
pub(crate) async fn count(name: String, ledger: State<Ledger>) -> Result<String, TaskError> {
    ledger.begins(&name);
    Ok(name)
}

/// Ends when the gate is open, whatever it is told.
#[task("stay", queue = "counted", retries = 0)]
pub(crate) async fn stay(name: String, context: Context, ledger: State<Ledger>) -> Result<String, TaskError> {
    ledger.begins(&name);
    let mut gate = ledger.gate.subscribe();
    let told = async {
        context.cancelled().await;
        let reason = context.cancel_reason().unwrap();
        ledger.told.send_modify(|told| {
            told.insert(name.clone(), reason);
        });
        std::future::pending::<()>().await;
    };
    tokio::select! {
        opened = gate.wait_for(|open| *open) => drop(opened.unwrap()),
        () = told => {}
    }
    ledger.ended.send_modify(|ended| {
        ended.insert(name.clone());
    });
    Ok(name)
}

/// Fails at its first attempt.
#[task("stumble", queue = "counted", retries = 5, result_ttl = "1h")]
pub(crate) async fn stumble(name: String, ledger: State<Ledger>) -> Result<String, TaskError> {
    ledger.begins(&name);
    if ledger.runs(&name) == 1 {
        return Err(TaskError::retry_in(Duration::from_millis(10), "the first attempt always fails"));
    }
    Ok(name)
}

impl Ledger {
    fn begins(&self, name: &str) {
        self.runs.send_modify(|runs| *runs.entry(name.to_owned()).or_default() += 1);
    }

    /// How often this job has begun.
    pub(crate) fn runs(&self, name: &str) -> u32 {
        self.runs.borrow().get(name).copied().unwrap_or(0)
    }

    /// How often any job has begun.
    pub(crate) fn all_runs(&self) -> u32 {
        self.runs.borrow().values().sum()
    }

    /// Waits until this job has begun so many times.
    pub(crate) async fn has_begun(&self, name: &str, times: u32) {
        let begun = |runs: &BTreeMap<String, u32>| runs.get(name).is_some_and(|runs| *runs >= times);
        soon(self.runs.subscribe().wait_for(begun)).await.unwrap();
    }

    /// Waits until the handler of a job that stays has come to its end.
    pub(crate) async fn has_ended(&self, name: &str) {
        soon(self.ended.subscribe().wait_for(|ended| ended.contains(name))).await.unwrap();
    }

    /// Waits until the handler of this job was told to stop; says why.
    pub(crate) async fn was_told(&self, name: &str) -> CancelReason {
        let mut told = self.told.subscribe();
        soon(told.wait_for(|told| told.contains_key(name))).await.unwrap()[name]
    }

    /// Lets those that stay end.
    pub(crate) fn open(&self) {
        self.gate.send_replace(true);
    }
}

/// A redis-server, a link to it that can fail, and two clients: one straight, one through the link.
pub(crate) struct Link {
    pub(crate) server: RedisServer,
    pub(crate) proxy: FaultProxy,
    pub(crate) straight: Client,
    pub(crate) linked: Client,
    pub(crate) ledger: Ledger,
}

/// A worker at work.
pub(crate) struct AtWork {
    pub(crate) handle: WorkerHandle,
    pub(crate) end: JoinHandle<Result<Summary, WorkerError>>,
}

pub(crate) async fn link() -> Link {
    let server = RedisServer::start(&RedisOptions::default());
    let proxy = FaultProxy::start(server.port()).await.unwrap();
    let straight = Client::connect(&server.url().expose()).await.unwrap();
    let linked = Client::connect(&server.url_through(proxy.port(), "celeriac").expose()).await.unwrap();
    Link { server, proxy, straight, linked, ledger: Ledger::default() }
}

impl Link {
    /// Starts a worker behind the link and runs one job for sure, so that it is connected and waits.
    pub(crate) async fn worker(&self, set: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> AtWork {
        let own = Client::connect(&self.server.url_through(self.proxy.port(), "celeriac").expose()).await.unwrap();
        self.start(&own, set).await
    }

    /// Starts a worker that no fault of the link concerns.
    pub(crate) async fn straight_worker(&self, set: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> AtWork {
        let own = Client::connect(&self.server.url().expose()).await.unwrap();
        self.start(&own, set).await
    }

    async fn start(&self, own: &Client, set: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> AtWork {
        let tasks = Tasks::new().task::<count>().task::<stay>().task::<stumble>().state(self.ledger.clone());
        let worker = set(Worker::builder(own, tasks)).build().unwrap();
        let handle = worker.handle();
        let at_work = AtWork { handle, end: tokio::spawn(worker.run()) };
        done(&self.straight.enqueue(count { name: "first".into() }).await.unwrap()).await;
        at_work
    }

    /// Counts commands, and does nothing to them.
    pub(crate) fn count(&self, commands: Commands) -> Order {
        let nothing = Fault::Delay { command: Duration::ZERO, answer: Duration::ZERO };
        self.proxy.set(Rule::new(commands, nothing).always())
    }

    /// Waits until two more of these commands were sent. The first call of a script may be answered `NOSCRIPT`, and losing that answer
    /// would show little.
    pub(crate) async fn sees_twice(&self, commands: Commands) {
        let seen = self.count(commands);
        eventually(async || seen.times() >= 2).await;
        seen.lift();
    }

    /// Expects so many jobs to be ready, and none anywhere else. A job that is listed twice under one id is two here, and one everywhere else.
    pub(crate) async fn has_ready(&self, jobs: u64) {
        let queues = self.straight.broker().queues().await.unwrap();
        let queue = queues.iter().find(|queue| queue.name.as_str() == "counted").unwrap();
        let elsewhere = (queue.running, queue.scheduled, queue.dead, queue.parked);
        assert_eq!((queue.ready, elsewhere), (jobs, (0, 0, 0, 0)), "{queue:?}");
    }

    /// Expects every job to have ended.
    pub(crate) async fn is_empty(&self) {
        self.has_ready(0).await;
    }

    /// Enqueues, straight, a job that ends at once.
    pub(crate) async fn counted(&self, name: &str) -> JobHandle<String> {
        self.straight.enqueue(count { name: name.into() }).await.unwrap()
    }
}

/// A command to a server, on a connection of its own.
pub(crate) fn order(server: &RedisServer, words: &[&str]) -> redis::RedisResult<redis::Value> {
    let mut connection = redis::Client::open(server.url().expose())?.get_connection()?;
    redis::cmd(words[0]).arg(&words[1..]).query(&mut connection)
}

/// What a worker sends to keep its lease.
pub(crate) fn heartbeats() -> Commands {
    Commands::named("EVALSHA").and_holding(":workers").and_holding(":revoked")
}

/// What a worker sends to compare what it runs with what it holds. It names three keys.
pub(crate) fn reconciles() -> Commands {
    Commands::named("EVALSHA").and_holding("\r\n$1\r\n3\r\n").and_holding(":running:")
}

/// What a worker sends to register.
pub(crate) fn registrations() -> Commands {
    Commands::named("EVALSHA").and_holding("\r\nhost\r\n")
}

/// What a worker sends to settle. Only such calls name the channel on which ends are told.
pub(crate) fn settlements() -> Commands {
    Commands::holding(":finished").and_holding(":running:")
}

/// Waits for what must come, but not for ever.
pub(crate) async fn soon<F: IntoFuture>(event: F) -> F::Output {
    timeout(PATIENCE, event.into_future()).await.unwrap_or_else(|_| panic!("waited in vain"))
}

/// The result of a job, which must come.
pub(crate) async fn done(job: &JobHandle<String>) -> String {
    soon(job.result()).await.unwrap()
}

/// Asks until the answer is yes.
pub(crate) async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    soon(async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// Shows how long a recovery took.
pub(crate) fn took(row: &str, what: &str, since: Instant) {
    println!("{row}: {what} after {:.2} s", since.elapsed().as_secs_f64());
}
