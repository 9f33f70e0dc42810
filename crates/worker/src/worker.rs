//! A worker from start to end: register, run the activities, stop in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac_broker::Broker;
use celeriac_workflow::Conductor;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::backlog::Backlog;
use crate::builder::{WorkerBuilder, WorkerError};
use crate::clock::ClockEstimate;
use crate::context::order;
use crate::elsewhere::Elsewhere;
use crate::ends::Ends;
use crate::executor::Executor;
use crate::fetcher::Fetcher;
use crate::heartbeat::Heartbeat;
use crate::held::Held;
use crate::meters::Meters;
use crate::post::{Post, Settings, Signals};
use crate::progress::Progress;
use crate::session::{Backoff, SessionKeeper};
use crate::stalls::Epoch;
use crate::summary::{Counters, Summary};
use crate::tasks::Tasks;
use crate::threads::Threads;
use crate::{conductor, notebook, promoter, pruner, reclaimer, settler};

/// How much of the grace is kept for handing back and settling, at most.
const HAND_BACK_TIME: Duration = Duration::from_secs(3);

/// A worker that is set up and checked.
pub struct Worker {
    post: Arc<Post>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("settings", &self.post.settings).finish_non_exhaustive()
    }
}

/// Stops a running worker from outside.
#[derive(Clone)]
pub struct WorkerHandle {
    pub(crate) post: Arc<Post>,
}

impl std::fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerHandle").field("name", &self.post.settings.name).finish_non_exhaustive()
    }
}

impl WorkerHandle {
    /// Fetches no more and waits for running jobs up to the grace.
    pub fn stop(&self) {
        self.post.signals.stop.cancel();
    }

    /// Fetches no more and goes on with what runs, heartbeats included, until it is stopped: before a deployment, or to look at it in peace.
    pub fn quiet(&self) {
        if !self.post.signals.quiet.is_cancelled() {
            tracing::info!(running = self.post.held.len(), "quiet: no more jobs are fetched");
            self.post.signals.quiet.cancel();
        }
    }

    /// Fetches no more and hands running jobs back, as soon as the fetch under way is answered: a moment, or a few seconds if the store hangs.
    pub fn stop_now(&self) {
        self.post.signals.stop.cancel();
        // They are told when the last fetch is answered: it would take again what is handed back beside it.
        self.post.signals.hand_back.cancel();
    }

    /// How many jobs the worker holds.
    #[must_use]
    pub fn running(&self) -> usize {
        self.post.held.len()
    }
}

impl Worker {
    /// Begins to set a worker up. `store` is a client, or the store itself.
    pub fn builder(store: impl Into<Arc<dyn Broker>>, tasks: Tasks) -> WorkerBuilder {
        WorkerBuilder::new(store.into(), tasks)
    }

    pub(crate) fn new(broker: Arc<dyn Broker>, tasks: Tasks, settings: Settings) -> Self {
        let post = Post {
            meters: Meters::new(&tasks),
            progress: Progress::new(settings.patience / 2),
            tasks,
            clock: ClockEstimate::default(),
            held: Held::default(),
            backlog: Backlog::new(settings.concurrency, threads()),
            ends: Ends::default(),
            session: SessionKeeper::new(),
            counters: Counters::default(),
            elsewhere: Elsewhere::default(),
            notebook: Arc::default(),
            epoch: Epoch::default(),
            conductor: Arc::new(Conductor::new(Arc::clone(&broker))),
            broker,
            threads: Threads::new(settings.blocking, settings.patience),
            signals: Signals::new(),
            settings,
        };
        Self { post: Arc::new(post) }
    }

    /// What its activities share, without the activities.
    #[cfg(feature = "testing")]
    pub(crate) fn into_post(self) -> Arc<Post> {
        self.post
    }

    /// A handle that stops the worker.
    #[must_use]
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle { post: Arc::clone(&self.post) }
    }

    /// The queues it serves.
    #[must_use]
    pub fn queues(&self) -> Vec<String> {
        self.post.settings.queues.iter().map(ToString::to_string).collect()
    }

    /// How many jobs run at once.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.post.settings.concurrency
    }

    /// Runs until the future resolves, then stops in order: no new jobs, wait for running ones up to the grace, hand the rest back.
    ///
    /// It waits for a store that is away, and installs no signal handler. Put it beside a server in one process with `tokio::join!` or `select!`,
    /// but let it come to its end: a worker that is dropped hands nothing back, and its jobs run again after their lease.
    ///
    /// # Errors
    /// [`WorkerError`] when the store refuses for good.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<Summary, WorkerError> {
        let handle = self.handle();
        let run = self.run();
        tokio::pin!(run);
        tokio::select! {
            ended = &mut run => return ended,
            () = shutdown => handle.stop(),
        }
        run.await
    }

    /// Runs until a [`WorkerHandle`] stops it, or, in a burst, until there is nothing left to do.
    ///
    /// # Errors
    /// [`WorkerError`] when the store refuses for good.
    pub async fn run(self) -> Result<Summary, WorkerError> {
        let post = self.post;
        match post.register(&mut Backoff::until(&post.signals.stop)).await {
            Ok(()) => {}
            Err(error) if error.is_transient() && post.signals.stop.is_cancelled() => return Ok(Summary::default()),
            Err(error) => return Err(error.into()),
        }
        pruner::release_parked(&post).await;
        let heartbeat = Heartbeat::start(Arc::clone(&post)).map_err(WorkerError::Thread)?;
        let services = start_services(&post);
        let running = TaskTracker::new();
        let executor = Executor { post: Arc::clone(&post), running: running.clone() };
        let settler = tokio::spawn(settler::run(executor.clone()));
        let fetcher = Fetcher::new(Arc::clone(&post), executor);
        let fetched = fetcher.run().await;
        running.close();
        stop(&post, &running, settler, fetched.is_ok()).await;
        end(&post, services, heartbeat).await;
        fetched?;
        Ok(post.counters.summary())
    }
}

/// Waits for running jobs, hands the rest back, and waits until all is settled.
async fn stop(post: &Post, running: &TaskTracker, settler: tokio::task::JoinHandle<()>, in_order: bool) {
    let began = Instant::now();
    let grace = if in_order { post.settings.grace } else { Duration::ZERO };
    let patience = grace.saturating_sub(HAND_BACK_TIME.min(grace / 3));
    if !post.held.is_empty() {
        tracing::info!(jobs = post.held.len(), grace = ?grace, "stopping; waiting for running jobs");
    }
    tokio::select! {
        () = post.held.empty() => {}
        () = post.signals.hand_back.cancelled() => {}
        () = tokio::time::sleep(patience) => {}
    }
    post.hand_back_all();
    let rest = grace.saturating_sub(began.elapsed()).max(Duration::from_secs(1));
    let settling = settler.abort_handle();
    let settled = async {
        running.wait().await;
        // The last job has left its end.
        post.ends.close();
        let _ = settler.await;
    };
    if tokio::time::timeout(rest, settled).await.is_err() {
        settling.abort();
        tracing::warn!(
            jobs = post.held.len(),
            "not everything could be handed back; the rest runs again after its lease"
        );
    }
}

async fn end(post: &Post, mut services: JoinSet<()>, heartbeat: Heartbeat) {
    post.signals.end.cancel();
    // A service in the middle of a call to a store that is away is not waited for; each of its calls leaves a sound store.
    services.shutdown().await;
    heartbeat.join().await;
    let Some(session) = post.session.current() else { return };
    // Best effort: a registration that stays expires by itself.
    let farewell = tokio::time::timeout(Duration::from_secs(1), post.broker.deregister(&session)).await;
    if let Ok(Err(error)) = farewell {
        tracing::debug!(%error, "could not deregister");
    }
}

/// How many jobs this runtime can run at once; a worker is built on one, or it could not be built on a client.
fn threads() -> usize {
    tokio::runtime::Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers())
}

impl Post {
    /// Gives running attempts up.
    fn hand_back_all(&self) {
        self.signals.hand_back.cancel();
        self.held.tell_all(order::STOP | order::HAND_BACK);
    }
}

fn start_services(post: &Arc<Post>) -> JoinSet<()> {
    let mut services = JoinSet::new();
    services.spawn(promoter::run(Arc::clone(post)));
    services.spawn(reclaimer::run(Arc::clone(post)));
    services.spawn(pruner::run(Arc::clone(post)));
    services.spawn(conductor::run(Arc::clone(post)));
    services.spawn(notebook::run(Arc::clone(post)));
    let mender = Arc::clone(post);
    services.spawn(async move { mender.mend_when_asked().await });
    services
}
