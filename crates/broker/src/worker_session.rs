//! A worker as the store knows it.

use std::sync::Arc;
use std::time::Duration;

use celeriac_core::{Fence, Generation, Incarnation, JobId, QueueName, TaskName, Timestamp};

/// How long a worker's jobs stay its own after its last heartbeat, unless something else is said.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(20);

/// What a worker tells about itself. An incarnation is registered once; an attempt in doubt is never repeated under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// This life of the worker.
    pub incarnation: Incarnation,
    /// The machine it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The version of celeriac.
    pub version: String,
    /// The queues it serves.
    pub queues: Vec<QueueName>,
    /// The tasks it knows.
    pub tasks: Vec<TaskName>,
    /// How long its jobs stay its own after its last heartbeat.
    pub lease: Duration,
}

/// One life of a store, which begins when it is empty. Another one at the same address says that everything in it is gone, or elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreLife(Arc<str>);

impl StoreLife {
    /// Takes the text that a store kept since it was empty.
    #[must_use]
    pub fn from_stored(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }
}

/// The right to fetch and settle: an incarnation on one of its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// This life of the worker.
    pub incarnation: Incarnation,
    /// Which of its connections; the store refuses all but the newest.
    pub generation: Generation,
    /// The length of its leases.
    pub lease: Duration,
    /// The life of the store in which it was registered. Always the same in a store that cannot be emptied while workers have it open.
    pub store: StoreLife,
}

/// Who settles.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// The worker that was handed the jobs.
    Session(Session),
    /// Whoever drains an incarnation that was condemned.
    Condemned(Incarnation),
}

impl Holder {
    /// The incarnation that holds the jobs.
    #[must_use]
    pub fn incarnation(&self) -> &Incarnation {
        match self {
            Self::Session(session) => &session.incarnation,
            Self::Condemned(incarnation) => incarnation,
        }
    }
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    /// Now, by the store's clock.
    pub now: Timestamp,
    /// The newest token given out in this namespace. Held jobs with a later one are on their way to the worker.
    pub newest_fence: Fence,
    /// What the store says this worker holds.
    pub held: Vec<(JobId, Fence)>,
    /// Those of them that somebody has revoked.
    pub revoked: Vec<JobId>,
    /// When the next waiting job is due.
    pub next_due: Option<Timestamp>,
}

/// The answer to a reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// The session to use from now on.
    pub session: Session,
    /// What the store says this worker holds.
    pub held: Vec<(JobId, Fence)>,
}
