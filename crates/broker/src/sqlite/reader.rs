//! The reader's thread: answers questions, and looks for what other processes have committed.
//!
//! It has a connection of its own, so that a long read stops no write. As long as somebody waits it asks SQLite whether the
//! file has changed, at growing intervals; one reader does so for all who wait. Without anybody waiting it sleeps. A
//! store in memory has no reader: nobody else can change it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use celeriac_core::JobId;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::clock::Clock;
use super::connection::Location;
use super::fault::{Breakdown, Fault};
use super::scope::View;
use super::wait;
use super::watchers::Watchers;
use crate::error::BrokerError;

/// The interval after something happened.
const SHORT: Duration = Duration::from_millis(20);

/// The interval after a long time without anything.
const LONG: Duration = Duration::from_millis(250);

/// A question on its way to the reader.
pub(super) type Question = Box<dyn FnOnce(&Reader) + Send>;

/// Wraps a read so that its answer arrives at the receiver.
pub(super) fn question<T, F>(read: F) -> (Question, oneshot::Receiver<Result<T, BrokerError>>)
where
    T: Send + 'static,
    F: FnOnce(&View<'_>) -> Result<T, Fault> + Send + 'static,
{
    let (caller, answer) = oneshot::channel();
    let question = move |reader: &Reader| {
        let answer = reader.look(read).map_err(|fault| fault.into_answer(&reader.location.store));
        let _ = caller.send(answer);
    };
    (Box::new(question), answer)
}

/// The thread's state.
pub(super) struct Reader {
    pub(super) connection: Connection,
    pub(super) location: Location,
    pub(super) clock: Clock,
    pub(super) watchers: Arc<Watchers>,
}

impl Reader {
    /// Runs until the last handle is gone.
    pub(super) fn run(self, questions: &Receiver<Question>) {
        let mut seen = None;
        let mut interval = SHORT;
        let mut next_look = Instant::now();
        loop {
            let question = if self.watchers.is_empty() {
                questions.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                questions.recv_timeout(next_look.saturating_duration_since(Instant::now()))
            };
            match question {
                Ok(question) => {
                    question(&self);
                    // Whoever has just asked and waits now hopes for something soon.
                    interval = SHORT;
                    next_look = next_look.min(Instant::now() + interval);
                }
                Err(RecvTimeoutError::Timeout) => {
                    interval = if self.notice(&mut seen) { SHORT } else { (interval * 3 / 2).min(LONG) };
                    next_look = Instant::now() + interval;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reads inside one transaction, so that all its statements see the same state.
    fn look<T>(&self, read: impl FnOnce(&View<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        self.connection.execute_batch("BEGIN")?;
        let answer = View::new(&self.connection, &self.location.names, &self.clock).and_then(|view| read(&view));
        // A transaction that only read has nothing that could be lost by failing to end it in another way.
        self.connection.execute_batch("ROLLBACK")?;
        answer
    }

    /// Wakes those for whom a commit may have brought something; answers whether there was any commit.
    ///
    /// What is seen here was committed at the latest now, and everybody who waits has looked after he was noted: so a
    /// commit is noticed here or was seen there.
    fn notice(&self, seen: &mut Option<i64>) -> bool {
        let version = self.connection.pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0));
        match version {
            Ok(version) if *seen == Some(version) => return false,
            Ok(version) => *seen = Some(version),
            Err(error) => {
                tracing::debug!(%error, store = self.location.store, "cannot look for commits of other processes");
                return false;
            }
        }
        self.watchers.wake_workers();
        let waited_for = self.watchers.waited_results();
        let ended: Result<Vec<JobId>, Fault> =
            if waited_for.is_empty() { Ok(Vec::new()) } else { self.look(|view| wait::ended_among(view, waited_for)) };
        match ended {
            Ok(ended) => self.watchers.wake_results(&ended),
            Err(Fault::Sqlite(error)) => {
                // Look again at the next interval.
                *seen = None;
                let breakdown = Breakdown::before_commit(&error).answer(&self.location.store);
                tracing::debug!(error = %breakdown, "cannot look for results");
            }
            Err(Fault::Answer(error)) => tracing::debug!(%error, "cannot look for results"),
        }
        true
    }
}
