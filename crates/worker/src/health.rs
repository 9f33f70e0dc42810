//! How a worker is, for the probes of whoever keeps processes running.

use crate::worker::WorkerHandle;

/// How a worker is. Asking for it asks no store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Why it does nothing any more, or no blocking task any more, in a sentence: whoever reads this should start another in its place. `None` while it is alive; a
    /// busy worker is, and so is one that waits for its store.
    pub stuck: Option<String>,
    /// Why it cannot be counted on now, in a sentence: it is not registered, its store is away, or it is stopping.
    pub unready: Option<String>,
}

impl Health {
    /// Whether its fetch loop makes progress, and its blocking tasks have threads.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.stuck.is_none()
    }

    /// Whether it takes jobs.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.unready.is_none() && self.is_live()
    }
}

impl WorkerHandle {
    /// How the worker is now.
    ///
    /// Ask from another thread or runtime than the worker's own if tasks may block that: who is blocked cannot answer.
    #[must_use]
    pub fn health(&self) -> Health {
        let post = &self.post;
        let stops = post.signals.stop.is_cancelled();
        // Who stops leaves threads alone on purpose.
        let stuck = post.progress.stuck().or_else(|| post.threads.stuck().filter(|_| !stops));
        let stopping = stops.then(|| "the worker is stopping".to_owned());
        Health { unready: stopping.or_else(|| post.progress.unready()), stuck }
    }
}
