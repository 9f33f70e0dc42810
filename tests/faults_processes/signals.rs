//! SIGTERM at any moment: while a process starts, waits for a store that is away, sleeps between two attempts, waits for an answer, works.
//!
//! `CELERIAC_SEED=7 cargo test --test faults_processes signals` repeats one moment.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac::{Client, JobId};
use celeriac_testkit::{FaultProxy, Way};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::jobs::{signature, success_of, until_held};
use crate::support::{Bench, Process, wait_for};

/// How many moments are tried.
const MOMENTS: u64 = 36;

/// With a grace of a second a worker ends in six; five times that is a worker that does not end in time, on any machine.
const LONGEST: Duration = Duration::from_secs(30);

/// `stuck` ends when the file `go` is there, `flaky` fails its first attempt.
const TASKS: &str = r#"
[tasks.quick]
command = ["sh", "-c", "echo $CELERIAC_JOB_ID"]

[tasks.stuck]
command = ["sh", "-c", "while [ ! -e go ]; do sleep 0.05; done"]

[tasks.flaky]
command = ["sh", "-c", "[ $CELERIAC_ATTEMPT != 1 ]"]
"#;

/// What a worker does when it is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Starting,
    WaitingForAnAbsentStore,
    BackingOff,
    Reconnecting,
    ReconnectingWithAJob,
    Fetching,
    Running,
    Hurrying,
}

const DOINGS: [Doing; 9] = [
    Doing::Starting,
    Doing::Starting,
    Doing::WaitingForAnAbsentStore,
    Doing::BackingOff,
    Doing::Reconnecting,
    Doing::ReconnectingWithAJob,
    Doing::Fetching,
    Doing::Running,
    Doing::Hurrying,
];

/// One seed's worker and jobs, in a queue of its own, behind a link of its own.
struct Moment {
    seed: u64,
    doing: Doing,
    bench: Arc<Bench>,
    client: Client,
    proxy: FaultProxy,
    name: String,
}

impl Moment {
    async fn new(seed: u64, bench: Arc<Bench>) -> Self {
        let doing = DOINGS[usize::try_from(seed).unwrap() % DOINGS.len()];
        let proxy = FaultProxy::start(bench.redis.as_ref().unwrap().port()).await.unwrap();
        let client = bench.client().await;
        Self { seed, doing, bench, client, proxy, name: format!("moment-{seed}") }
    }

    fn worker(&self) -> Process {
        let url = self.bench.redis.as_ref().unwrap().url_through(self.proxy.port(), "celeriac").expose();
        self.bench.worker_at(&url, &self.name, &["-c", "4", "--grace", "1s", "--lease", "5s", "-q", &self.name])
    }

    async fn enqueue(&self, task: &str, count: usize) -> Vec<JobId> {
        let jobs = (0..count).map(|_| signature(task).queue(self.name.clone())).collect();
        self.client.enqueue_all(jobs).await.unwrap().into_iter().map(|(id, _)| id).collect()
    }

    /// Waits for a line in the log; on a thread of its own, because the links of all moments share those of the runtime.
    async fn until(&self, text: &'static str) {
        let (bench, log) = (Arc::clone(&self.bench), format!("{}.log", self.name));
        tokio::task::spawn_blocking(move || bench.wait_for_text(&log, text)).await.unwrap();
    }

    /// Starts a worker and leads it to where it is to be; answers the jobs there are.
    async fn prepare(&self) -> (Process, Vec<JobId>) {
        if self.doing == Doing::WaitingForAnAbsentStore {
            self.proxy.refuse();
        }
        let mut jobs = match self.doing {
            Doing::BackingOff => self.enqueue("flaky", 4).await,
            Doing::Running | Doing::ReconnectingWithAJob => self.enqueue("stuck", 1).await,
            Doing::Hurrying => self.enqueue("quick", 300).await,
            _ => self.enqueue("quick", 3).await,
        };
        let worker = self.worker();
        match self.doing {
            Doing::Starting => {}
            Doing::WaitingForAnAbsentStore => self.until("waiting for the store").await,
            Doing::BackingOff => self.until("will be retried").await,
            Doing::Running | Doing::ReconnectingWithAJob => self.until_holds(1).await,
            Doing::Hurrying => {
                success_of(&self.client, &jobs[0]).await;
            }
            Doing::Reconnecting | Doing::Fetching => {
                success_of(&self.client, &jobs[2]).await;
                self.until_holds(0).await;
            }
        }
        match self.doing {
            Doing::Reconnecting | Doing::ReconnectingWithAJob => {
                self.proxy.refuse();
                self.until("waiting for the store").await;
            }
            Doing::Fetching => {
                self.proxy.hold(Way::ToClient);
                jobs.extend(self.enqueue("quick", 1).await);
            }
            _ => {}
        }
        (worker, jobs)
    }

    async fn until_holds(&self, count: u64) {
        until_held(&self.client, &self.name, count).await;
    }

    /// Tells the worker to end after a random time, and looks how it does.
    async fn run(self) -> Ended {
        let (mut worker, jobs) = self.prepare().await;
        let mut chance = fastrand::Rng::with_seed(self.seed);
        // A process starts within milliseconds.
        let longest = if self.doing == Doing::Starting { 20_000 } else { 400_000 };
        tokio::time::sleep(Duration::from_micros(chance.u64(0..longest))).await;
        worker.signal("TERM");
        let told = Instant::now();
        let status = tokio::task::spawn_blocking(move || worker.wait()).await.unwrap();
        Ended { seed: self.seed, doing: self.doing, status, took: told.elapsed(), jobs }
    }
}

struct Ended {
    seed: u64,
    doing: Doing,
    status: ExitStatus,
    took: Duration,
    jobs: Vec<JobId>,
}

impl Ended {
    fn look(&self) {
        let Self { seed, doing, status, took, .. } = self;
        println!("W20: seed {seed}: {doing:?} ended after {:.1} s with {status}", took.as_secs_f64());
        assert!(*took < LONGEST, "seed {seed}: {doing:?} took {took:?}");
        let expected = match doing {
            // Before it hears signals the system ends it; it has nothing yet that could be handed back.
            Doing::Starting => status.success() || status.signal() == Some(15),
            // Documented: the store cannot be told.
            Doing::ReconnectingWithAJob => status.code() == Some(1),
            Doing::Fetching => matches!(status.code(), Some(0 | 1)),
            _ => status.success(),
        };
        assert!(expected, "seed {seed}: {doing:?} ended with {status}");
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("CELERIAC_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..MOMENTS).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_ends_in_time_whatever_it_does_when_it_is_told() {
    let bench = Arc::new(Bench::redis());
    std::fs::write(bench.path("celeriac.toml"), TASKS).unwrap();
    let turns = Arc::new(Semaphore::new(4));
    let mut moments = JoinSet::new();
    for seed in seeds() {
        let (bench, turns) = (Arc::clone(&bench), Arc::clone(&turns));
        moments.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            Moment::new(seed, bench).await.run().await
        });
    }
    let ended = moments.join_all().await;
    ended.iter().for_each(Ended::look);
    std::fs::write(bench.path("go"), "").unwrap();
    let queues: Vec<_> = ended.iter().map(|ended| format!("moment-{}", ended.seed)).collect();
    let _last = bench.worker("last", &["-c", "8", "-q", &queues.join(",")]);
    let client = bench.client().await;
    for Ended { seed, doing, status, jobs, .. } in &ended {
        for id in jobs {
            let outcome = success_of(&client, id).await;
            // Who ends in order hands back, and no attempt is spent; but not what it never heard of.
            let may_lose = !status.success() || *doing == Doing::Fetching;
            assert!(outcome.losses <= u32::from(may_lose), "seed {seed}: {doing:?} lost {id} and ended with {status}");
        }
    }
    wait_for("no worker but the last", || {
        let workers = bench.celeriac(&["workers", "--json"]).output().unwrap();
        let workers: Vec<serde_json::Value> = serde_json::from_slice(&workers.stdout).unwrap();
        let left = workers.iter().filter(|worker| worker["name"] != "last").count();
        (left <= ended.iter().filter(|ended| !ended.status.success()).count()).then_some(())
    });
}
