//! The writer's thread: moves operations from a channel into transactions, many into one.
//!
//! A commit that survives a power loss costs a sync of the disk, whatever is in it. So the writer takes every operation
//! that waits into one transaction, commits once and answers all. Each runs in a savepoint of its own: one that fails is
//! undone alone. The thread ends when the last handle to the store is gone.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::clock::Clock;
use super::connection::Location;
use super::fault::{Breakdown, Fault};
use super::scope::{News, Scope};
use super::watchers::Watchers;
use crate::error::BrokerError;

/// How long a group takes operations in: other processes wait for the lock meanwhile.
const GROUP_TIME: Duration = Duration::from_millis(20);

/// The most operations in a group.
const GROUP_SIZE: usize = 1000;

/// An operation on its way through the writer.
pub(super) trait Operation: Send {
    /// Carries it out, as far as the transaction goes; answers whether to keep what it did.
    fn run(&mut self, scope: &mut Scope<'_>) -> bool;
    /// Tells the caller, once it is known what became of the transaction.
    fn answer(self: Box<Self>, verdict: &Result<(), Breakdown>, store: &str);
}

/// An operation that answers a `T`.
pub(super) struct Pending<T, F> {
    body: Option<F>,
    outcome: Option<Result<T, Fault>>,
    caller: oneshot::Sender<Result<T, BrokerError>>,
}

impl<T, F> Pending<T, F> {
    /// The operation, and where its answer arrives.
    pub(super) fn new(body: F) -> (Self, oneshot::Receiver<Result<T, BrokerError>>) {
        let (caller, answer) = oneshot::channel();
        (Self { body: Some(body), outcome: None, caller }, answer)
    }
}

impl<T, F> Operation for Pending<T, F>
where
    T: Send,
    F: FnOnce(&mut Scope<'_>) -> Result<T, Fault> + Send,
{
    fn run(&mut self, scope: &mut Scope<'_>) -> bool {
        self.outcome = self.body.take().map(|body| body(scope));
        matches!(self.outcome, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, verdict: &Result<(), Breakdown>, store: &str) {
        let answer = match (self.outcome, verdict) {
            (Some(Err(fault)), _) => Err(fault.into_answer(store)),
            (_, Err(breakdown)) => Err(breakdown.answer(store)),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(BrokerError::Invalid("an operation was answered before it ran".to_owned())),
        };
        // A caller that went away does not want to know.
        let _ = self.caller.send(answer);
    }
}

/// The thread's state.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) location: Location,
    pub(super) clock: Clock,
    pub(super) watchers: Arc<Watchers>,
    pub(super) operations: Receiver<Box<dyn Operation>>,
}

impl Writer {
    /// Runs until the last handle is gone.
    pub(super) fn run(self) {
        while let Ok(first) = self.operations.recv() {
            let mut group = Vec::new();
            let committed = self.transact(first, &mut group);
            if let Ok(news) = &committed {
                self.watchers.announce(news);
            }
            let verdict = committed.map(|_| ());
            for operation in group {
                operation.answer(&verdict, &self.location.store);
            }
        }
    }

    /// One transaction. `group` receives the operations that took part, whatever became of it.
    fn transact(&self, first: Box<dyn Operation>, group: &mut Vec<Box<dyn Operation>>) -> Result<News, Breakdown> {
        if let Err(error) = self.connection.execute_batch("BEGIN IMMEDIATE") {
            // The file is locked or gone: those who wait behind would wait as long again, each.
            group.push(first);
            group.extend(self.operations.try_iter());
            return Err(Breakdown::before_commit(&error));
        }
        let filled = self.fill(first, group);
        let ended = filled.and_then(|news| match self.connection.execute_batch("COMMIT") {
            Ok(()) => Ok(news),
            Err(error) => Err(Breakdown::at_commit(&error)),
        });
        if ended.is_err() && !self.connection.is_autocommit() {
            // If this fails too the transaction is rolled back with the connection, or by the next process.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        ended
    }

    /// Runs operations as they come, until none waits or the group is full.
    fn fill(&self, first: Box<dyn Operation>, group: &mut Vec<Box<dyn Operation>>) -> Result<News, Breakdown> {
        let started = Instant::now();
        let mut next = Some(first);
        let scope = Scope::new(&self.connection, &self.location.names, &self.clock);
        let mut scope = match scope {
            Ok(scope) => scope,
            Err(fault) => {
                group.extend(next);
                return Err(breakdown(fault));
            }
        };
        while let Some(mut operation) = next {
            let ran = self.run_apart(operation.as_mut(), &mut scope);
            group.push(operation);
            ran.map_err(|error| Breakdown::before_commit(&error))?;
            let full = group.len() >= GROUP_SIZE || started.elapsed() >= GROUP_TIME;
            next = if full { None } else { self.operations.try_recv().ok() };
        }
        scope.finish().map_err(breakdown)
    }

    /// Runs one operation so that its failure undoes itself alone. An error ends the whole group: SQLite rolls all of it
    /// back when the disk is full or fails.
    fn run_apart(&self, operation: &mut dyn Operation, scope: &mut Scope<'_>) -> rusqlite::Result<()> {
        scope.tick();
        self.connection.prepare_cached("SAVEPOINT operation")?.execute([])?;
        if !operation.run(scope) {
            self.connection.prepare_cached("ROLLBACK TO operation")?.execute([])?;
        }
        self.connection.prepare_cached("RELEASE operation")?.execute([])?;
        Ok(())
    }
}

fn breakdown(fault: Fault) -> Breakdown {
    match fault {
        Fault::Sqlite(error) => Breakdown::before_commit(&error),
        Fault::Answer(error) => Breakdown::internal(error.to_string()),
    }
}
