//! Which tasks other live workers know, so that a job this worker cannot run is passed on and not put aside.
//!
//! It matters while a deployment rolls: old and new workers serve one queue, and the old ones meet jobs only the new ones know.

use std::collections::HashSet;
use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use celeriac_broker::Broker;
use celeriac_core::{QueueName, TaskName};
use tokio::sync::Mutex;

/// How long an answer of the store is used. A worker that registers within it releases what was parked after its first release in a second
/// one, see the pruner.
const FRESH: Duration = Duration::from_secs(1);

/// How long after passing a job on this worker lets others go first, and by how much.
const COURTESY: Duration = Duration::from_secs(5);
const HEAD_START: Duration = Duration::from_millis(50);

/// What the store said last about the other workers.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    answer: Mutex<Option<Answer>>,
    passed_on: StdMutex<Option<Instant>>,
}

#[derive(Debug)]
struct Answer {
    asked: Instant,
    known: HashSet<(TaskName, QueueName)>,
}

impl Elsewhere {
    /// By how much other workers fetch first, for a while after a job was passed on. All idle workers are woken by the same job, and the
    /// one that passes it on might otherwise be the first to get it again, every time.
    pub(crate) fn head_start(&self) -> Option<Duration> {
        let passed_on = *self.passed_on.lock().unwrap_or_else(PoisonError::into_inner);
        passed_on.filter(|at| at.elapsed() < COURTESY).map(|_| HEAD_START)
    }

    /// Whether a registered worker that serves `queue` knows `task`. A store that does not answer counts as no.
    pub(crate) async fn knows(&self, broker: &dyn Broker, task: &TaskName, queue: &QueueName) -> bool {
        let mut answer = self.answer.lock().await;
        if answer.as_ref().is_none_or(|answer| answer.asked.elapsed() >= FRESH) {
            let workers = broker.workers().await.unwrap_or_default();
            let pairs = workers.iter().flat_map(|worker| {
                worker.tasks.iter().flat_map(|task| worker.queues.iter().map(|queue| (task.clone(), queue.clone())))
            });
            *answer = Some(Answer { asked: Instant::now(), known: pairs.collect() });
        }
        let knows = answer.as_ref().is_some_and(|answer| answer.known.contains(&(task.clone(), queue.clone())));
        if knows {
            self.passes_on();
        }
        knows
    }

    /// Notes that this worker passes a job on.
    pub(crate) fn passes_on(&self) {
        *self.passed_on.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}
