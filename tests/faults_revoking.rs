//! Jobs that are revoked while they are handed out, run, end, and while the link to the store is cut; and queues that are purged under the hands
//! of their workers. Whatever the answer says is so.
//!
//! `CELERIAC_SEED=7 cargo test --test faults_revoking` repeats one seed.
#![expect(clippy::print_stdout, reason = "how many of each kind there were is shown to who asks for it")]
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use celeriac::broker::Revocation;
use celeriac::{Client, Context, JobId, JobState, Outcome, QueueName, State, TaskError, Tasks, Worker, task};
use celeriac_testkit::{FaultProxy, RedisOptions, RedisServer};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Seeds of each test.
const SEEDS: u64 = 5;

/// Jobs of each seed.
const JOBS: usize = 150;

const PATIENCE: Duration = Duration::from_secs(90);

/// How often each job began.
#[derive(Clone, Default)]
struct Begun(Arc<Mutex<BTreeMap<String, u32>>>);

/// Takes some milliseconds and does what it is told.
#[task("brief", result_ttl = "1h")]
async fn brief(takes: u64, context: Context, begun: State<Begun>) -> Result<(), TaskError> {
    *begun.0.0.lock().unwrap().entry(context.job_id().to_string()).or_default() += 1;
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(takes)) => Ok(()),
        () = context.cancelled() => Err(TaskError::retry("told to stop")),
    }
}

/// A store, a link to it that may be cut, a client that is never cut, and a worker and a revoker that may be.
struct Scene {
    _server: Option<RedisServer>,
    _folder: TempDir,
    proxy: Option<FaultProxy>,
    straight: Client,
    revoker: Client,
    begun: Begun,
    worker: celeriac::WorkerHandle,
    working: tokio::task::JoinHandle<celeriac::Summary>,
}

impl Scene {
    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("queue.db").display());
        Self::new(None, None, folder, [url.clone(), url]).await
    }

    async fn redis() -> Self {
        let server = RedisServer::start(&RedisOptions::default());
        let url = server.url().expose();
        Self::new(Some(server), None, tempfile::tempdir().unwrap(), [url.clone(), url]).await
    }

    async fn cut_redis() -> Self {
        let server = RedisServer::start(&RedisOptions::default());
        let proxy = FaultProxy::start(server.port()).await.unwrap();
        let urls = [server.url().expose(), server.url_through(proxy.port(), "celeriac").expose()];
        Self::new(Some(server), Some(proxy), tempfile::tempdir().unwrap(), urls).await
    }

    async fn new(server: Option<RedisServer>, proxy: Option<FaultProxy>, folder: TempDir, urls: [String; 2]) -> Self {
        let [straight, linked] = urls;
        let begun = Begun::default();
        let tasks = Tasks::new().task::<brief>().state(begun.clone());
        // Each has connections of its own, as in processes of their own.
        let own = Client::connect(&linked).await.unwrap();
        let worker = Worker::builder(own, tasks).concurrency(8).build().unwrap();
        Self {
            _server: server,
            _folder: folder,
            proxy,
            straight: Client::connect(&straight).await.unwrap(),
            revoker: Client::connect(&linked).await.unwrap(),
            begun,
            worker: worker.handle(),
            working: tokio::spawn(async move { worker.run().await.unwrap() }),
        }
    }

    fn clients(&self) -> [Client; 2] {
        [self.revoker.clone(), self.straight.clone()]
    }

    fn began(&self, id: &JobId) -> u32 {
        self.begun.0.lock().unwrap().get(id.as_str()).copied().unwrap_or_default()
    }

    async fn end_of(&self, id: &JobId) -> Outcome {
        let end = self.straight.broker().wait_result(id);
        tokio::time::timeout(PATIENCE, end).await.unwrap_or_else(|_| panic!("job {id} has not ended")).unwrap()
    }

    async fn stop(self) {
        self.worker.stop();
        self.working.await.unwrap();
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("CELERIAC_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..SEEDS).collect(),
    }
}

/// The answers to two who revoke one job, the second at the same time or after the first; `None` for nobody knows. The link of the first may be
/// cut.
type Answers = [Option<Revocation>; 2];

async fn revoke(client: Client, id: JobId) -> Option<Revocation> {
    client.broker().revoke(&[id], "a test").await.ok().map(|answers| answers[0])
}

async fn revoke_twice(clients: [Client; 2], id: JobId, first: Duration, second: Duration) -> (JobId, Answers) {
    let [linked, straight] = clients;
    let once = async |client, after| {
        tokio::time::sleep(after).await;
        revoke(client, id.clone()).await
    };
    let answers = tokio::join!(once(linked, first), once(straight, second));
    (id.clone(), answers.into())
}

/// One job of each kind that the race may lack on a slow machine.
async fn one_of_each(scene: &Scene) -> Vec<(JobId, Answers)> {
    let enqueue = async |takes: u64, delay: u64| {
        let job = scene.straight.enqueue(brief { takes }).delay(Duration::from_secs(delay)).await.unwrap();
        job.id().clone()
    };
    let (waits, ends, runs) = (enqueue(0, 3600).await, enqueue(0, 0).await, enqueue(600_000, 0).await);
    scene.end_of(&ends).await;
    while scene.began(&runs) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut answers = Vec::new();
    for id in [waits, ends, runs] {
        answers.push(revoke_twice(scene.clients(), id, Duration::ZERO, Duration::ZERO).await);
    }
    answers
}

/// Enqueues jobs and revokes each at a random time, twice.
async fn race(scene: &Scene, seed: u64) -> Vec<(JobId, Answers)> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut races = JoinSet::new();
    // Some end before their worker can hear of the revocation, and some do not.
    let takes = |chance: &mut fastrand::Rng| if chance.u32(0..15) == 0 { 3000 } else { chance.u64(0..12) };
    let jobs: Vec<_> = (0..JOBS).map(|_| brief { takes: takes(&mut chance) }).collect();
    for job in scene.straight.enqueue_many(jobs).await.unwrap() {
        // About as long as they take; so some wait, some run and some have ended.
        let first = Duration::from_micros(chance.u64(0..300_000));
        let second = if chance.bool() { first } else { first + Duration::from_micros(chance.u64(0..20_000)) };
        races.spawn(revoke_twice(scene.clients(), job.id().clone(), first, second));
    }
    let mut answers = one_of_each(scene).await;
    while let Some(raced) = races.join_next().await {
        answers.push(raced.unwrap());
        if let Some(proxy) = &scene.proxy {
            fail(proxy, &mut chance).await;
        }
    }
    answers
}

/// Now and then cuts the link, or cuts it for a while.
async fn fail(proxy: &FaultProxy, chance: &mut fastrand::Rng) {
    match chance.u32(0..40) {
        0 => proxy.cut(),
        1 => {
            proxy.refuse();
            tokio::time::sleep(Duration::from_millis(chance.u64(0..200))).await;
            proxy.heal();
        }
        _ => {}
    }
}

/// What must be so after these answers.
fn check(scene: &Scene, answers: Answers, end: &Outcome) -> &'static str {
    let (id, state, began) = (&end.id, end.state, scene.began(&end.id));
    let is = |answer| answers.contains(&Some(answer));
    let what = || format!("{id}: answers {answers:?}, {state}, began {began} times, attempt {}", end.attempt);
    assert!(!is(Revocation::Unknown), "ends are kept: {}", what());
    assert!(matches!(state, JobState::Succeeded | JobState::Revoked), "{}", what());
    assert!(began <= 1, "{}", what());
    assert_ne!(answers, [Some(Revocation::Ended); 2], "it ends once");
    if is(Revocation::Ended) {
        assert_eq!((state, began, end.attempt), (JobState::Revoked, 0, 0), "revoked, so it never starts: {}", what());
        return "before it began";
    }
    if is(Revocation::Told) {
        return if state == JobState::Revoked { "while it ran" } else { "while it ran, and it succeeded" };
    }
    if answers == [Some(Revocation::TooLate); 2] {
        assert_eq!((state, began), (JobState::Succeeded, 1), "{}", what());
    }
    if is(Revocation::TooLate) { "too late" } else { "nobody knows" }
}

async fn what_a_revocation_answers_is_so(store: &str, scene: impl AsyncFn() -> Scene) {
    let mut kinds = BTreeMap::<_, u32>::new();
    for seed in seeds() {
        let scene = scene().await;
        for (id, answers) in race(&scene, seed).await {
            let end = scene.end_of(&id).await;
            *kinds.entry(check(&scene, answers, &end)).or_default() += 1;
        }
        scene.stop().await;
    }
    println!("S10, {store}: {kinds:?}");
    for kind in ["before it began", "while it ran", "too late"] {
        assert!(kinds.contains_key(kind), "{kind}: {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_revocation_answers_is_so_on_sqlite() {
    what_a_revocation_answers_is_so("SQLite", Scene::sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_revocation_answers_is_so_on_redis() {
    what_a_revocation_answers_is_so("Redis", Scene::redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_revocation_answers_is_so_although_links_are_cut() {
    what_a_revocation_answers_is_so("Redis, cut", Scene::cut_redis).await;
}

/// Purges a queue a few jobs at a time while a worker drains it.
async fn what_is_purged_never_began(scene: impl AsyncFn() -> Scene) {
    let mut in_all = 0;
    for seed in seeds() {
        let scene = scene().await;
        let mut chance = fastrand::Rng::with_seed(seed);
        let jobs: Vec<_> = (0..JOBS * 5).map(|_| brief { takes: chance.u64(0..20) }).collect();
        let jobs = scene.straight.enqueue_many(jobs).await.unwrap();
        let (mut purged, mut left) = (0, true);
        while left {
            let step = scene.revoker.broker().purge(&QueueName::default(), chance.usize(1..8), "a test").await.unwrap();
            purged += step.count;
            left = step.more;
            tokio::time::sleep(Duration::from_micros(chance.u64(0..10_000))).await;
        }
        let mut revoked = 0;
        for job in &jobs {
            let end = scene.end_of(job.id()).await;
            let expected = if end.state == JobState::Revoked { 0 } else { 1 };
            assert_eq!((scene.began(job.id()), end.attempt), (expected, expected), "seed {seed}: {end:?}");
            revoked += usize::from(end.state == JobState::Revoked);
        }
        assert_eq!(revoked, purged, "seed {seed}");
        in_all += purged;
        scene.stop().await;
    }
    println!("S16: {in_all} jobs purged under the hands of their workers");
    assert!(in_all > 0, "nothing was left to purge");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_purged_never_began_on_sqlite() {
    what_is_purged_never_began(Scene::sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_purged_never_began_on_redis() {
    what_is_purged_never_began(Scene::redis).await;
}
