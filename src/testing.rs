//! A test kit for applications: a queue inside the test, a clock to turn, and a worker that runs one job when it is told to.
//!
//! Nothing here sleeps and nothing listens: a job runs when the test says [`TestQueue::run_one`] or [`TestQueue::run_all`], a delay is over
//! when the test turns the clock, and a worker crashes where the test wants it. Jobs are run as a worker runs them: the same store
//! rules, decoding, time limits, retries and losses. Switch it on for tests only:
//!
//! ```toml
//! [dev-dependencies]
//! celeriac = { version = "0.1", features = ["testing"] }
//! ```
//!
//! ```
//! use celeriac::testing::TestQueue;
//! use celeriac::{Client, JobState, TaskError, Tasks, task};
//!
//! #[task("mail.welcome")]
//! async fn welcome(user: String) -> Result<(), TaskError> {
//!     if user.is_empty() { Err(TaskError::permanent("nobody")) } else { Ok(()) }
//! }
//!
//! // What is tested: some code of the application that enqueues.
//! async fn sign_up(client: &Client, user: &str) {
//!     let user = user.to_owned();
//!     client.enqueue(welcome { user }).delay(std::time::Duration::from_secs(60)).await.expect("stored");
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let mut queue = TestQueue::new(Tasks::new().task::<welcome>()).await;
//! sign_up(queue.client(), "ann").await;
//! queue.assert_enqueued::<welcome>(|job| job.user == "ann").await;
//! assert!(queue.run_one().await.is_none(), "not due yet");
//! queue.advance(std::time::Duration::from_secs(60)).await;
//! let ran = queue.run_one().await.expect("due now");
//! assert_eq!(ran.state, JobState::Succeeded);
//! # });
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::sqlite::SqliteBroker;
use celeriac_broker::{Broker, JobFilter, JobView, PageMark, StoreClock};
use celeriac_client::Client;
use celeriac_core::{State, Task, Timestamp};
use celeriac_worker::{Crash, Rig, Tasks};

pub use celeriac_worker::Step;

/// Where the clock of every test begins: 2030-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_fixed_millis(1_893_456_000_000);

/// The most attempts of one [`TestQueue::run_all`]. A job that enqueues itself would otherwise keep a test for ever.
const MOST_STEPS: usize = 10_000;

/// A queue inside a test: a store in memory, a clock that stands, and a worker that runs a job when it is told to.
///
/// Every method panics when something is wrong, with what to do: it is for tests.
pub struct TestQueue {
    clock: StoreClock,
    client: Client,
    rig: Rig,
}

impl fmt::Debug for TestQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestQueue").field("now", &self.now()).field("rig", &self.rig).finish_non_exhaustive()
    }
}

impl TestQueue {
    /// An empty queue for these tasks; the clock stands at [`START`].
    ///
    /// # Panics
    /// If the tasks do not fit together: a missing state, two handlers of one name.
    pub async fn new(tasks: Tasks) -> Self {
        Self::with(|_| tasks).await
    }

    /// Like [`TestQueue::new`], for tasks that enqueue others: they are made with the client of the queue.
    ///
    /// # Panics
    /// Like [`TestQueue::new`].
    pub async fn with(tasks: impl FnOnce(Client) -> Tasks) -> Self {
        let clock = StoreClock::manual(START);
        let url = "sqlite::memory:".parse().expect("it is the address of a store");
        let store = SqliteBroker::open(&url, clock.clone()).await.expect("a store in memory can be opened");
        let broker: Arc<dyn Broker> = Arc::new(store);
        let client = Client::new(Arc::clone(&broker));
        let rig = match Rig::new(broker, tasks(client.clone())).await {
            Ok(rig) => rig,
            Err(error) => panic!("no worker can run these tasks: {error}"),
        };
        Self { clock, client, rig }
    }

    /// The client to give to the code under test.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Now, by the clock of the queue.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.manual_now().unwrap_or_default()
    }

    /// Turns the clock forward, and makes ready what is due by then.
    ///
    /// # Panics
    /// If the store refuses.
    pub async fn advance(&self, by: Duration) {
        self.clock.advance_to(self.now().after(by));
        self.rig.promote().await.expect("due jobs can be made ready");
    }

    /// Runs the next ready job to the end of its attempt, and says what became of it; `None` if nothing is ready.
    ///
    /// # Panics
    /// If the store refuses.
    pub async fn run_one(&mut self) -> Option<Step> {
        self.step(None).await
    }

    /// Runs ready jobs until none is left, those that they enqueue included. What waits for its time stays: turn the clock.
    ///
    /// # Panics
    /// If there is no end, after 10,000 attempts, or if the store refuses.
    pub async fn run_all(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(step) = self.run_one().await {
            steps.push(step);
            assert!(steps.len() < MOST_STEPS, "there is no end: each job makes another one ready at once");
        }
        steps
    }

    /// Hands out the next ready job to a worker that vanishes before its handler begins. The attempt counts as lost, and the job comes
    /// again, up to three times.
    ///
    /// # Panics
    /// If the store refuses.
    pub async fn crash_before_run(&mut self) -> Option<Step> {
        self.step(Some(Crash::BeforeTheHandler)).await
    }

    /// Runs the next ready job, and lets its worker vanish before the end is settled: the work is done and the job comes again. What a
    /// handler must bear, because delivery is at least once.
    ///
    /// # Panics
    /// If the store refuses.
    pub async fn crash_after_run(&mut self) -> Option<Step> {
        self.step(Some(Crash::AfterTheHandler)).await
    }

    async fn step(&mut self, crash: Option<Crash>) -> Option<Step> {
        match self.rig.step(crash).await {
            Ok(step) => step,
            Err(error) => panic!("the test queue broke down: {error}"),
        }
    }

    /// The arguments of all jobs of task `T` that have not run yet: ready ones first, then those that wait for their time.
    ///
    /// # Panics
    /// If the store refuses, or if the arguments of a job of this name are no `T`.
    pub async fn enqueued<T: Task>(&self) -> Vec<T> {
        let decode = |view: JobView| {
            let payload = view.payload.unwrap_or_default();
            serde_json::from_slice(&payload).unwrap_or_else(|error| {
                let text = String::from_utf8_lossy(&payload);
                panic!("job {} of task {:?} has other arguments, {text}: {error}", view.id, T::NAME)
            })
        };
        self.waiting().await.into_iter().filter(|view| view.task.as_str() == T::NAME).map(decode).collect()
    }

    /// All that has not run yet, of any task.
    ///
    /// # Panics
    /// If the store refuses.
    pub async fn waiting(&self) -> Vec<JobView> {
        let mut waiting = Vec::new();
        for state in [State::Queued, State::Scheduled] {
            let mut filter = JobFilter::default();
            filter.state = Some(state);
            let mut mark = None::<PageMark>;
            loop {
                let page = self.client.broker().page(&filter, mark.as_ref()).await.expect("jobs can be listed");
                waiting.extend(page.jobs);
                match page.next {
                    Some(next) => mark = Some(next),
                    None => break,
                }
            }
        }
        waiting
    }

    /// Checks that a job of task `T` waits whose arguments fit.
    ///
    /// # Panics
    /// If there is none; the text says what waits instead.
    pub async fn assert_enqueued<T: Task>(&self, fits: impl Fn(&T) -> bool) {
        if self.enqueued::<T>().await.iter().any(fits) {
            return;
        }
        panic!("no job of task {:?} with such arguments waits; {}", T::NAME, self.inventory().await);
    }

    /// Checks that no job of task `T` waits.
    ///
    /// # Panics
    /// If there is one; the text says what waits.
    pub async fn assert_not_enqueued<T: Task>(&self) {
        if !self.enqueued::<T>().await.is_empty() {
            panic!("a job of task {:?} waits; {}", T::NAME, self.inventory().await);
        }
    }

    async fn inventory(&self) -> String {
        let waiting = self.waiting().await;
        if waiting.is_empty() {
            return "nothing waits".to_owned();
        }
        let line = |view: &JobView| {
            let payload = view.payload.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            format!("  {} {payload} on queue {}", view.task, view.queue)
        };
        format!("this waits:\n{}", waiting.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}
