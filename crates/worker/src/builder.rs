//! Sets a worker up and checks it before it starts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::{Broker, BrokerError, DEFAULT_LEASE};
use celeriac_core::{Incarnation, NameError, QueueName};

use crate::post::Settings;
use crate::tasks::{Tasks, TasksError};
use crate::turns::{QueueOrder, Turns};
use crate::worker::Worker;

/// How long a worker that was told to stop waits for running jobs, unless something else is said.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// The shortest lease. Below it a heartbeat that is a little late would already cost the jobs.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// The longest lease. A job may run longer; this is how long it waits after its worker vanished.
const LONGEST_LEASE: Duration = Duration::from_secs(24 * 3600);

/// How long runnable work may wait beside free slots before the worker looks for what is wrong with itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Jobs at once for each core, for async tasks.
const ASYNC_JOBS_PER_CORE: usize = 16;

/// What keeps a worker from running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The tasks do not fit together.
    #[error(transparent)]
    Tasks(#[from] TasksError),
    /// A name is outside the alphabet.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An option has a value that cannot work.
    #[error("{0}")]
    Option(String),
    /// The store refused in a way that waiting does not mend.
    #[error(transparent)]
    Store(#[from] BrokerError),
    /// The system gave no thread for the heartbeat.
    #[error("the heartbeat's thread cannot be started")]
    Thread(#[source] std::io::Error),
}

/// Options of a worker; [`WorkerBuilder::build`] checks them.
#[derive(Debug)]
pub struct WorkerBuilder {
    broker: Arc<dyn Broker>,
    tasks: Tasks,
    name: Option<String>,
    queues: Option<Vec<String>>,
    concurrency: Option<usize>,
    blocking: Option<usize>,
    lease: Duration,
    grace: Duration,
    burst: bool,
    max_tasks: Option<u64>,
    order: QueueOrder,
    weights: HashMap<String, u32>,
    patience: Duration,
}

impl WorkerBuilder {
    pub(crate) fn new(broker: Arc<dyn Broker>, tasks: Tasks) -> Self {
        Self {
            broker,
            tasks,
            name: None,
            queues: None,
            concurrency: None,
            blocking: None,
            lease: DEFAULT_LEASE,
            grace: DEFAULT_GRACE,
            burst: false,
            max_tasks: None,
            order: QueueOrder::default(),
            weights: HashMap::new(),
            patience: PATIENCE,
        }
    }

    /// Names the worker; unless named it has the host's name. Two workers may have one name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Serves these queues and no others. Unless called, it serves `default` and every queue its tasks name.
    #[must_use]
    pub fn queues<I, Q>(mut self, queues: I) -> Self
    where
        I: IntoIterator<Item = Q>,
        Q: Into<String>,
    {
        self.queues = Some(queues.into_iter().map(Into::into).collect());
        self
    }

    /// Limits how many jobs run at once; see [`default_concurrency`].
    #[must_use]
    pub fn concurrency(mut self, jobs: usize) -> Self {
        self.concurrency = Some(jobs);
        self
    }

    /// Limits how many blocking tasks run at once, each on a thread; as many as there are cores unless set. Those beyond it wait, in slots
    /// of [`WorkerBuilder::concurrency`], and their time limits have not begun.
    #[must_use]
    pub fn blocking(mut self, threads: usize) -> Self {
        self.blocking = Some(threads);
        self
    }

    /// Sets how long the worker's jobs stay its own after its last heartbeat; 20 s unless set. A heartbeat is sent four times as often.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets how long a worker that was told to stop takes at most; 30 s unless set. What still runs shortly before is handed back.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Lets the worker end by itself when its queues are empty and nothing is due within a minute.
    #[must_use]
    pub fn burst(mut self, burst: bool) -> Self {
        self.burst = burst;
        self
    }

    /// Lets the worker end in order after it has begun so many jobs: a way to live with a program that grows.
    #[must_use]
    pub fn max_tasks(mut self, jobs: u64) -> Self {
        self.max_tasks = Some(jobs);
        self
    }

    /// Sets how it is decided which queue comes first; by weight unless set.
    #[must_use]
    pub fn queue_order(mut self, order: QueueOrder) -> Self {
        self.order = order;
        self
    }

    /// Sets how often a queue comes first, compared with the others: 1 unless set, at least 1. It has no effect on a strict order.
    #[must_use]
    pub fn weight(mut self, queue: impl Into<String>, weight: u32) -> Self {
        self.weights.insert(queue.into(), weight);
        self
    }

    /// Sets how long runnable work may wait beside free slots before the worker rebuilds its connections; for tests, which have no time.
    #[doc(hidden)]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// [`WorkerError`] names what cannot work: a missing state, two handlers of one name, a bad name, concurrency 0, a lease outside 1 s to 24 h, a weight of 0 or for a
    /// queue that is not served.
    pub fn build(self) -> Result<Worker, WorkerError> {
        self.tasks.check()?;
        let name = self.name.unwrap_or_else(host_name);
        Incarnation::generate(&name)?;
        let queues = match self.queues {
            Some(names) => names.into_iter().map(QueueName::new).collect::<Result<Vec<_>, _>>()?,
            None => self.tasks.queues(),
        };
        // A queue named twice is served once.
        let mut seen = HashSet::new();
        let queues: Vec<_> = queues.into_iter().filter(|queue| seen.insert(queue.clone())).collect();
        let concurrency = self.concurrency.unwrap_or_else(|| default_concurrency(&self.tasks));
        let blocking = self.blocking.unwrap_or_else(cores);
        if concurrency == 0 || blocking == 0 || queues.is_empty() {
            return Err(WorkerError::Option(
                "a worker needs at least one queue, a concurrency of at least 1, and at least 1 thread for blocking tasks"
                    .into(),
            ));
        }
        if self.lease < SHORTEST_LEASE || self.lease > LONGEST_LEASE {
            return Err(WorkerError::Option(format!("a lease must last 1 s to 24 h, not {:?}", self.lease)));
        }
        if self.max_tasks == Some(0) {
            return Err(WorkerError::Option("a worker that may begin no job has nothing to do".into()));
        }
        let turns = turns(queues, self.order, &self.weights)?;
        let name = name.into();
        let settings = Settings {
            name,
            queues: turns.queues().to_vec(),
            concurrency,
            blocking,
            lease: self.lease,
            grace: self.grace,
            burst: self.burst,
            max_tasks: self.max_tasks,
            turns,
            patience: self.patience,
        };
        Ok(Worker::new(self.broker, self.tasks, settings))
    }
}

fn turns(queues: Vec<QueueName>, order: QueueOrder, weights: &HashMap<String, u32>) -> Result<Turns, WorkerError> {
    if let Some(stray) = weights.keys().find(|name| !queues.iter().any(|queue| queue.as_str() == name.as_str())) {
        return Err(WorkerError::Option(format!("queue {stray:?} has a weight and is not served")));
    }
    if let Some((name, _)) = weights.iter().find(|(_, weight)| **weight == 0) {
        return Err(WorkerError::Option(format!(
            "queue {name:?} has weight 0; leave a queue out that shall not be served"
        )));
    }
    if let (QueueOrder::Strict, Some(name)) = (order, weights.keys().next()) {
        return Err(WorkerError::Option(format!("queue {name:?} has a weight, and a strict order knows none")));
    }
    let weighted = |queue: QueueName| {
        let weight = weights.get(queue.as_str()).copied().unwrap_or(1);
        (queue, weight)
    };
    Ok(Turns::new(queues.into_iter().map(weighted).collect(), order))
}

/// Jobs at once unless something else is said: 16 for each core, or one for each core if every task runs a command or blocks a thread.
#[must_use]
pub fn default_concurrency(tasks: &Tasks) -> usize {
    if tasks.only_heavy() { cores() } else { cores() * ASYNC_JOBS_PER_CORE }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The host's name, with what a worker's name may not hold replaced.
pub(crate) fn host_name() -> String {
    let system = rustix::system::uname();
    let name: String = system
        .nodename()
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .take(100)
        .collect();
    if name.is_empty() { "worker".to_owned() } else { name }
}
