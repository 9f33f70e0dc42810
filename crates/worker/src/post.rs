//! What the activities of one worker share.

use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::Broker;
use celeriac_core::{QueueName, Rules, TaskName, Timestamp};
use celeriac_workflow::Conductor;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::backlog::Backlog;
use crate::clock::ClockEstimate;
use crate::conductor::Events;
use crate::elsewhere::Elsewhere;
use crate::ends::Ends;
use crate::held::Held;
use crate::meters::Meters;
use crate::notebook::Notebook;
use crate::progress::Progress;
use crate::session::SessionKeeper;
use crate::stalls::Epoch;
use crate::summary::Counters;
use crate::tasks::{Entry, Tasks};
use crate::threads::Threads;
use crate::turns::Turns;

/// How a worker was set up.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) name: Arc<str>,
    pub(crate) queues: Vec<QueueName>,
    pub(crate) concurrency: usize,
    pub(crate) blocking: usize,
    pub(crate) lease: Duration,
    pub(crate) grace: Duration,
    pub(crate) burst: bool,
    /// How many jobs it may begin in all.
    pub(crate) max_tasks: Option<u64>,
    pub(crate) turns: Turns,
    /// How long runnable work may wait beside free slots before something must be wrong.
    pub(crate) patience: Duration,
}

/// The shared part of a running worker.
pub(crate) struct Post {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) tasks: Tasks,
    pub(crate) settings: Settings,
    pub(crate) clock: ClockEstimate,
    pub(crate) held: Held,
    pub(crate) backlog: Backlog,
    pub(crate) ends: Ends,
    pub(crate) session: SessionKeeper,
    pub(crate) counters: Counters,
    pub(crate) meters: Meters,
    pub(crate) progress: Progress,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) notebook: Arc<Notebook>,
    pub(crate) epoch: Epoch,
    /// Carries workflows on, and knows their plans.
    pub(crate) conductor: Arc<Conductor>,
    /// Threads for blocking tasks.
    pub(crate) threads: Threads,
    pub(crate) signals: Signals,
}

impl Post {
    /// What must be known to decide what becomes of a job of this task, as of now.
    pub(crate) fn rules(&self, task: &TaskName, worker: impl Into<Arc<str>>) -> Rules {
        let mut rules = Rules::new(worker, self.clock.now());
        if let Some(Entry { definition, .. }) = self.tasks.find(task) {
            rules.retry = definition.retry;
            rules.result_ttl = definition.result_ttl;
            rules.dead_ttl = definition.dead_ttl;
        }
        rules
    }
}

/// How the activities tell each other to act.
pub(crate) struct Signals {
    /// No new jobs are fetched.
    pub(crate) stop: CancellationToken,
    /// No new jobs are fetched, and those that run are not in a hurry.
    pub(crate) quiet: CancellationToken,
    /// Running attempts are given up and handed back.
    pub(crate) hand_back: CancellationToken,
    /// Services end: everything is settled.
    pub(crate) end: CancellationToken,
    /// The session must be compared with the store's.
    pub(crate) attention: Notify,
    /// Work is ready, slots are free, and no fetch is answered.
    pub(crate) starving: Notify,
    /// Workflows may have events.
    pub(crate) events: Events,
    /// The earliest known due time.
    next_due: watch::Sender<Option<Timestamp>>,
}

impl Signals {
    pub(crate) fn new() -> Self {
        Self {
            stop: CancellationToken::new(),
            quiet: CancellationToken::new(),
            hand_back: CancellationToken::new(),
            end: CancellationToken::new(),
            attention: Notify::new(),
            starving: Notify::new(),
            events: Events::new(),
            next_due: watch::Sender::new(None),
        }
    }

    /// Tells the promoter when the next job is due.
    pub(crate) fn due(&self, next: Option<Timestamp>) {
        self.next_due.send_if_modified(|known| {
            let news = next.is_some() && *known != next;
            if news {
                *known = next;
            }
            news
        });
    }

    /// Follows the earliest known due time.
    pub(crate) fn watch_due(&self) -> watch::Receiver<Option<Timestamp>> {
        self.next_due.subscribe()
    }
}

/// Waits `duration` or until the token is cancelled; says whether to go on.
pub(crate) async fn pause(duration: Duration, end: &CancellationToken) -> bool {
    tokio::select! {
        () = end.cancelled() => false,
        () = tokio::time::sleep(duration) => true,
    }
}
