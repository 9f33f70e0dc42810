//! Which tasks other live workers know, so that a job this worker cannot run is passed on and not put aside.
//!
//! It matters while a deployment rolls: old and new workers serve one queue, and the old ones meet jobs only the new ones know.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use celeriac_broker::Broker;
use celeriac_core::{QueueName, TaskName};
use tokio::sync::Mutex;

/// How long an answer of the store is used. A worker that registers within it releases what was parked just before, or the
/// pruner does later.
const FRESH: Duration = Duration::from_secs(1);

/// What the store said last about the other workers.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    answer: Mutex<Option<Answer>>,
}

#[derive(Debug)]
struct Answer {
    asked: Instant,
    known: HashSet<(TaskName, QueueName)>,
}

impl Elsewhere {
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
        answer.as_ref().is_some_and(|answer| answer.known.contains(&(task.clone(), queue.clone())))
    }
}
