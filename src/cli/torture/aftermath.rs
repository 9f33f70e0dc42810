//! When all is healed: waits for quiet, asks every queue for a sign of life, reads how each job ended, and looks for what is left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac_broker::{Broker, JobFilter};
use celeriac_client::Client;
use celeriac_core::{JobId, State};
use tokio::task::JoinSet;

use super::arena::Arena;
use super::events::{Event, Line, Pen};
use super::evidence::End;
use super::jobs::{Act, QUEUES, Torture};
use crate::cli::exit::{Exit, Failure};
use crate::cli::store::Store;

/// How long nothing may move before what is unfinished counts as stuck: some leases and every back-off fit in.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often the store is asked whether it is quiet.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long a queue may take for one job on a machine at rest.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// How many ends are read at once.
const READERS: usize = 32;

/// Keys of the namespace that may be there when every job has ended and no dead one is kept: registries, counters and what
/// goes by itself. docs/redis-layout.md says of each how long it lives.
#[cfg(feature = "redis")]
const MAY_STAY: [&str; 15] = [
    "queues",
    "counts",
    "worker:",
    "workers",
    "orders:",
    "ends",
    "ended:",
    "keeps",
    "notes:",
    "producer:",
    "wake:",
    "ctl:",
    "meta",
    "probe",
    "schedules:changes",
];

/// A store after the storm.
pub(super) struct Aftermath<'a> {
    arena: &'a Arena,
    pub(super) store: Store,
}

impl<'a> Aftermath<'a> {
    pub(super) async fn open(arena: &'a Arena) -> Result<Self, Failure> {
        Ok(Self { arena, store: Store::open_or_make(&arena.url()?).await? })
    }

    fn broker(&self) -> &Arc<dyn Broker> {
        &self.store.broker
    }

    /// How many jobs wait or run.
    pub(super) async fn unfinished(&self) -> Result<u64, Failure> {
        let queues = self.store.ask(self.broker().queues()).await?;
        Ok(queues.iter().map(|queue| queue.ready + queue.scheduled + queue.running + queue.parked).sum())
    }

    /// Waits until no job waits or runs, or nothing has moved for too long; `look` is called in between.
    pub(super) async fn quiet(&self, mut look: impl AsyncFnMut(u64) -> Result<(), Failure>) -> Result<(), Failure> {
        let (mut moved, mut last) = (Instant::now(), u64::MAX);
        while moved.elapsed() < PATIENCE {
            let left = self.unfinished().await?;
            if left == 0 {
                return Ok(());
            }
            if left != last {
                (moved, last) = (Instant::now(), left);
            }
            look(left).await?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Queues that do not run a job now.
    pub(super) async fn silent_queues(&self, pen: &Pen) -> Result<Vec<String>, Failure> {
        let client = self.store.client()?;
        let mut silent = Vec::new();
        for queue in QUEUES {
            let id = format!("probe-{queue}");
            if !self.probe(&client, pen, &id, queue).await? {
                silent.push(format!(
                    "queue {queue} did not run a job within {} s after everything was healed",
                    SIGN_OF_LIFE.as_secs()
                ));
            }
        }
        Ok(silent)
    }

    async fn probe(&self, client: &Client, pen: &Pen, id: &str, queue: &str) -> Result<bool, Failure> {
        let write = |event| pen.write(id, event).map_err(|error| Failure::new(Exit::Failed, error.to_string()));
        let (queue_name, act) = (queue.to_owned(), Act::Succeed);
        write(Event::Asked { queue: queue_name, delay: 0, expires: false, unique: None, act })?;
        let task = Torture { act, takes: 0 };
        let enqueued = client.enqueue(task).id(id).queue(queue).await;
        let job = enqueued.map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", self.store)))?;
        write(Event::Accepted)?;
        Ok(matches!(tokio::time::timeout(SIGN_OF_LIFE, job.result()).await, Ok(Ok(_))))
    }

    /// How each job ended that somebody asked for.
    pub(super) async fn ends(&self, history: &[Line]) -> Result<BTreeMap<String, End>, Failure> {
        let asked = history.iter().filter(|line| matches!(line.event, Event::Asked { .. }));
        let jobs: Vec<String> = asked.map(|line| line.job.clone()).collect();
        let mut readers = JoinSet::new();
        for part in jobs.chunks(jobs.len() / READERS + 1) {
            let (part, store) = (part.to_vec(), self.store.clone());
            readers.spawn(async move {
                let mut ends = Vec::new();
                for job in part {
                    let end = end_of(&store, &job).await?;
                    ends.push((job, end));
                }
                Ok::<_, Failure>(ends)
            });
        }
        let mut ends = BTreeMap::new();
        while let Some(read) = readers.join_next().await {
            ends.extend(read.map_err(|error| Failure::new(Exit::Failed, error.to_string()))??);
        }
        Ok(ends)
    }

    /// Deletes the dead and says what is left that stands for no job.
    pub(super) async fn leftovers(&self) -> Result<Vec<String>, Failure> {
        self.delete_dead().await?;
        let began = Instant::now();
        loop {
            let left = self.look_for_leftovers().await?;
            // What a killed worker held nothing under goes when the next look at the leases finds it.
            if left.is_empty() || began.elapsed() > PATIENCE {
                return Ok(left);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn delete_dead(&self) -> Result<(), Failure> {
        let mut filter = JobFilter::default();
        (filter.state, filter.limit) = (Some(State::Dead), 100);
        loop {
            let dead = self.store.ask(self.broker().jobs(&filter)).await?;
            if dead.is_empty() {
                return Ok(());
            }
            let ids: Vec<JobId> = dead.into_iter().map(|job| job.id).collect();
            self.store.ask(self.broker().delete_dead(&ids)).await?;
        }
    }

    async fn look_for_leftovers(&self) -> Result<Vec<String>, Failure> {
        let mut left = Vec::new();
        for queue in self.store.ask(self.broker().queues()).await? {
            let counts = [
                ("ready", queue.ready),
                ("scheduled", queue.scheduled),
                ("running", queue.running),
                ("dead", queue.dead),
                ("parked", queue.parked),
            ];
            let wrong = counts.into_iter().filter(|(_, count)| *count != 0);
            left.extend(
                wrong
                    .map(|(what, count)| format!("queue {} counts {count} {what} jobs, and there is none", queue.name)),
            );
        }
        let checkup = self.store.ask(self.broker().checkup()).await?;
        let bad = checkup.findings.iter().filter(|finding| finding.grade == celeriac_broker::Grade::Bad);
        left.extend(bad.map(|finding| format!("{}: {}", finding.check, finding.detail)));
        left.extend(self.odd_keys().await?);
        Ok(left)
    }

    /// Keys of Redis that no job stands behind.
    #[cfg(feature = "redis")]
    async fn odd_keys(&self) -> Result<Vec<String>, Failure> {
        if self.arena.redis.is_none() {
            return Ok(Vec::new());
        }
        let url = self.arena.url()?;
        let away = |error: redis::RedisError| Failure::new(Exit::Unreachable, format!("{url}: {error}"));
        let client = redis::Client::open(url.address()).map_err(away)?;
        let mut connection = client.get_multiplexed_async_connection().await.map_err(away)?;
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.map_err(away)?;
        let prefix = format!("{{{}}}:", url.namespace());
        let odd = |key: &String| {
            let name = key.strip_prefix(&prefix).unwrap_or(key);
            !MAY_STAY.iter().any(|known| name == *known || (known.ends_with(':') && name.starts_with(known)))
        };
        Ok(keys.into_iter().filter(odd).map(|key| format!("the key {key} is there, and no job is")).collect())
    }

    #[cfg(not(feature = "redis"))]
    async fn odd_keys(&self) -> Result<Vec<String>, Failure> {
        let _ = self.arena;
        Ok(Vec::new())
    }
}

async fn end_of(store: &Store, job: &str) -> Result<End, Failure> {
    let id = JobId::new(job).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    if let Some(end) = store.ask(store.broker.result(&id)).await? {
        let fence = end.result.as_ref().and_then(|result| result.get().parse().ok());
        let (state, attempt, failures, losses) = (end.state, end.attempt, end.failures, end.losses);
        return Ok(End::Over { state, attempt, failures, losses, fence });
    }
    let view = store.ask(store.broker.job(&id)).await?;
    Ok(view.map_or(End::Absent, |view| End::Open(view.state)))
}
