//! Waits for the ends of jobs: one subscription for all waits of a process, and a slow poll beneath it.
//!
//! A message names jobs whose end can be read; it carries nothing else, so a lost one costs time and no result. All pending waits
//! are read when the subscription is confirmed, after each reconnect, and every few seconds. The task ends some time after the last wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use celeriac_core::{JobId, Outcome, Timestamp};
use futures_util::StreamExt;
use redis::Value;
use redis::aio::PubSub;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, timeout};

use super::errors;
use super::keys::Keys;
use super::link::{CONNECT_TIMEOUT, Link, Target};
use super::replies::{decode_end, read, read_time};
use crate::clock::StoreClock;
use crate::error::BrokerError;

/// How often all pending waits are read whatever the subscription says.
const FLOOR: Duration = Duration::from_secs(5);
/// How long the subscription is kept when nobody waits.
const LINGER: Duration = Duration::from_secs(10);
/// The pause before the subscription is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// Ends read in one command.
const CHUNK: usize = 100;

type End = Result<Outcome, BrokerError>;

/// The waits of a process and the task that serves them.
#[derive(Debug)]
pub(super) struct Results {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    keys: Arc<Keys>,
    commands: Arc<Link>,
    clock: StoreClock,
    waits: Mutex<Waits>,
    /// A wait was added, or the last one went.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waits {
    pending: HashMap<JobId, Vec<(u64, oneshot::Sender<End>)>>,
    /// Added since the task last looked.
    fresh: Vec<JobId>,
    /// The task will look at these waits; it says no under this lock before it ends.
    served: bool,
    next: u64,
}

/// A panic while the lock was held cannot leave half an entry, so the data is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a wait out when its future is dropped.
struct Entry<'a> {
    shared: &'a Shared,
    id: &'a JobId,
    number: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut waits = lock(&self.shared.waits);
        if let Some(senders) = waits.pending.get_mut(self.id) {
            senders.retain(|(number, _)| *number != self.number);
            if senders.is_empty() {
                waits.pending.remove(self.id);
            }
        }
    }
}

impl Results {
    pub(super) fn new(target: &Target, keys: &Arc<Keys>, commands: &Arc<Link>, clock: &StoreClock) -> Self {
        let (target, keys, commands, clock) = (target.clone(), keys.clone(), commands.clone(), clock.clone());
        let shared = Shared { target, keys, commands, clock, waits: Mutex::default(), changed: Notify::new() };
        Self { shared: Arc::new(shared), task: Mutex::default() }
    }

    pub(super) fn waits(&self) -> usize {
        lock(&self.shared.waits).pending.values().map(Vec::len).sum()
    }

    /// Waits for the end of a job.
    pub(super) async fn wait(&self, id: &JobId) -> End {
        loop {
            let (sender, receiver) = oneshot::channel();
            let number = self.shared.add(id, sender);
            let _entry = Entry { shared: &self.shared, id, number };
            self.ensure_task();
            self.shared.changed.notify_one();
            // The task drops a sender only when its runtime ends it; then another serves on.
            if let Ok(end) = receiver.await {
                return end;
            }
        }
    }

    fn ensure_task(&self) {
        let mut task = lock(&self.task);
        let served = std::mem::replace(&mut lock(&self.shared.waits).served, true);
        // A task whose runtime ended could not say so.
        if !served || task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(serve(self.shared.clone())));
        }
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

impl Shared {
    fn add(&self, id: &JobId, sender: oneshot::Sender<End>) -> u64 {
        let mut waits = lock(&self.waits);
        waits.next += 1;
        let number = waits.next;
        waits.pending.entry(id.clone()).or_default().push((number, sender));
        waits.fresh.push(id.clone());
        number
    }

    fn all(&self) -> Vec<JobId> {
        let mut waits = lock(&self.waits);
        waits.fresh.clear();
        waits.pending.keys().cloned().collect()
    }

    /// Whether the task may end: nobody waits, and nobody did since `last_busy`.
    fn is_deserted(&self, last_busy: &mut Instant) -> bool {
        let mut waits = lock(&self.waits);
        if !waits.pending.is_empty() {
            *last_busy = Instant::now();
        } else if last_busy.elapsed() > LINGER {
            waits.served = false;
            return true;
        }
        false
    }

    fn fresh(&self) -> Vec<JobId> {
        std::mem::take(&mut lock(&self.waits).fresh)
    }

    /// The ids of a message that somebody here waits for.
    fn among(&self, message: &str) -> Vec<JobId> {
        let waits = lock(&self.waits);
        let ids = message.split(' ').filter_map(|id| JobId::new(id).ok());
        ids.filter(|id| waits.pending.contains_key(id)).collect()
    }

    fn resolve(&self, id: &JobId, end: impl Fn() -> End) {
        for (_, sender) in lock(&self.waits).pending.remove(id).unwrap_or_default() {
            // The receiver may be gone: its future was dropped.
            let _ = sender.send(end());
        }
    }

    /// Now, and the kept end of each of these jobs.
    async fn ends(&self, ids: &[JobId]) -> Result<(Timestamp, Vec<Option<Vec<u8>>>), BrokerError> {
        let mut both = redis::Pipeline::with_capacity(2);
        both.cmd("TIME").cmd("HMGET").arg(self.keys.ends());
        ids.iter().for_each(|id| {
            both.arg(id.as_str());
        });
        let [time, found] = self.commands.pipeline(&both).await?.try_into().unwrap_or([Value::Nil, Value::Nil]);
        let now = self.clock.manual_now().map_or_else(|| read_time(time), Ok)?;
        Ok((now, read(found)?))
    }

    /// Reads the ends of these jobs and answers those who wait for one that is there.
    async fn read(&self, ids: &[JobId]) {
        for ids in ids.chunks(CHUNK) {
            match self.ends(ids).await {
                Ok((now, found)) => {
                    for (id, bytes) in ids.iter().zip(found) {
                        match bytes.map(|bytes| decode_end(id, &bytes, now)) {
                            Some(Ok(Some(end))) => self.resolve(id, || Ok(end.clone())),
                            Some(Err(error)) => self.resolve(id, || Err(errors::copy(&error))),
                            Some(Ok(None)) | None => {}
                        }
                    }
                }
                Err(error) if error.is_transient() => {
                    tracing::debug!(%error, "results cannot be read now");
                    return;
                }
                Err(error) => ids.iter().for_each(|id| self.resolve(id, || Err(errors::copy(&error)))),
            }
        }
    }
}

/// Serves waits until there were none for a while.
async fn serve(shared: Arc<Shared>) {
    let mut last_busy = Instant::now();
    while !shared.is_deserted(&mut last_busy) {
        match subscribe(&shared).await {
            Ok(subscription) => {
                if listen(&shared, subscription, &mut last_busy).await {
                    return;
                }
            }
            Err(error) => tracing::debug!(%error, "the subscription to finished jobs failed"),
        }
        // Without a subscription the poll goes on at its own pace.
        shared.read(&shared.all()).await;
        sleep(RETRY).await;
    }
}

async fn subscribe(shared: &Shared) -> Result<PubSub, BrokerError> {
    let store = &shared.target.store;
    let attempt = async {
        let mut subscription = shared.target.client().get_async_pubsub().await?;
        subscription.subscribe(shared.keys.finished()).await?;
        Ok(subscription)
    };
    match timeout(CONNECT_TIMEOUT, attempt).await {
        Ok(subscription) => subscription.map_err(|error| errors::of_connecting(store, error)),
        Err(elapsed) => Err(errors::in_doubt(store, elapsed)),
    }
}

/// Listens until the connection breaks (false) or nobody waited for a while (true).
async fn listen(shared: &Shared, subscription: PubSub, last_busy: &mut Instant) -> bool {
    let mut messages = subscription.into_on_message();
    let mut floor = interval(FLOOR);
    loop {
        // Each branch is safe to drop: a stream's item, a stored permit, a tick.
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => {
                    let ids = message.get_payload::<String>().unwrap_or_default();
                    shared.read(&shared.among(&ids)).await;
                }
                None => return false,
            },
            () = shared.changed.notified() => shared.read(&shared.fresh()).await,
            _ = floor.tick() => shared.read(&shared.all()).await,
        }
        if shared.is_deserted(last_busy) {
            return true;
        }
    }
}
