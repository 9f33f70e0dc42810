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
    /// What SQLite said if it did not let the operation through.
    fn breakdown(&self) -> Option<Breakdown>;
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

    fn breakdown(&self) -> Option<Breakdown> {
        match &self.outcome {
            Some(Err(Fault::Sqlite(error))) => Some(Breakdown::before_commit(error)),
            _ => None,
        }
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
            ran?;
            let full = group.len() >= GROUP_SIZE || started.elapsed() >= GROUP_TIME;
            next = if full { None } else { self.operations.try_recv().ok() };
        }
        scope.finish().map_err(breakdown)
    }

    /// Runs one operation so that its failure undoes itself alone. An error ends the whole group.
    fn run_apart(&self, operation: &mut dyn Operation, scope: &mut Scope<'_>) -> Result<(), Breakdown> {
        scope.tick();
        self.step("SAVEPOINT operation")?;
        if !operation.run(scope) {
            // SQLite rolls the whole transaction back when the disk fails, and may when it is full.
            if self.connection.is_autocommit() {
                return Err(operation.breakdown().unwrap_or_else(|| Breakdown::internal("no transaction".to_owned())));
            }
            self.step("ROLLBACK TO operation")?;
        }
        self.step("RELEASE operation")
    }

    fn step(&self, statement: &str) -> Result<(), Breakdown> {
        let done = self.connection.prepare_cached(statement).and_then(|mut statement| statement.execute([]));
        done.map(|_| ()).map_err(|error| Breakdown::before_commit(&error))
    }
}

fn breakdown(fault: Fault) -> Breakdown {
    match fault {
        Fault::Sqlite(error) => Breakdown::before_commit(&error),
        Fault::Answer(error) => Breakdown::internal(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::{Sender, channel};

    use celeriac_core::QueueName;

    use super::*;
    use crate::clock::StoreClock;
    use crate::error::Refusal;
    use crate::sqlite::{connection, queues, schema};

    type Answer = oneshot::Receiver<Result<(), BrokerError>>;

    fn writer(path: &Path) -> (Writer, Sender<Box<dyn Operation>>) {
        let names = schema::names(&celeriac_core::Namespace::default());
        let location = Location { path: Some(path.to_owned()), names, store: "sqlite:test".to_owned() };
        let (sender, operations) = channel();
        let connection = connection::open_writer(&location).unwrap();
        let (clock, watchers) = (Clock::new(StoreClock::Store), Arc::default());
        (Writer { connection, location, clock, watchers, operations }, sender)
    }

    fn send(
        sender: &Sender<Box<dyn Operation>>,
        body: impl FnOnce(&mut Scope<'_>) -> Result<(), Fault> + Send + 'static,
    ) -> Answer {
        let (pending, answer) = Pending::new(body);
        sender.send(Box::new(pending)).unwrap();
        answer
    }

    fn note(scope: &mut Scope<'_>, queue: &str) -> Result<(), Fault> {
        queues::note(scope, &QueueName::new(queue).unwrap())
    }

    fn noted(path: &Path) -> Vec<String> {
        let connection = Connection::open(path).unwrap();
        let mut statement = connection.prepare("SELECT name FROM queues ORDER BY name").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn an_operation_that_fails_is_undone_alone_in_its_group() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.db");
        let (writer, sender) = writer(&path);
        let first = send(&sender, |scope| note(scope, "first"));
        let failing = send(&sender, |scope| {
            note(scope, "failing")?;
            Err(BrokerError::SessionLost.into())
        });
        let seen_by_others = path.clone();
        let last = send(&sender, move |scope| {
            assert!(noted(&seen_by_others).is_empty(), "the group is one transaction");
            note(scope, "last")
        });
        drop(sender);
        writer.run();
        assert!(matches!(failing.blocking_recv().unwrap(), Err(BrokerError::SessionLost)));
        assert!(first.blocking_recv().unwrap().is_ok() && last.blocking_recv().unwrap().is_ok());
        assert_eq!(noted(&path), ["first", "last"]);
    }

    #[test]
    fn an_operation_that_takes_the_transaction_with_it_fails_its_whole_group() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.db");
        let (writer, sender) = writer(&path);
        let first = send(&sender, |scope| note(scope, "first"));
        let fatal = send(&sender, |scope| {
            // What SQLite does by itself after an I/O error.
            scope.execute(r#"INSERT OR ROLLBACK INTO "queues" (name) VALUES ('first')"#, []).map(|_| ())
        });
        let in_next_group = send(&sender, |scope| note(scope, "next"));
        drop(sender);
        writer.run();
        assert!(first.blocking_recv().unwrap().is_err() && fatal.blocking_recv().unwrap().is_err());
        assert!(in_next_group.blocking_recv().unwrap().is_ok());
        assert_eq!(noted(&path), ["next"]);
    }

    #[test]
    fn a_full_disk_is_refused_and_what_follows_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.db");
        let (writer, sender) = writer(&path);
        let pages: i64 = writer.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        writer.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
        let too_big = send(&sender, |scope| {
            let text = "x".repeat(100_000);
            scope.execute(r#"INSERT INTO "queues" (name) VALUES (?1)"#, [text]).map(|_| ())
        });
        let refused = std::thread::spawn(move || too_big.blocking_recv().unwrap().unwrap_err());
        let follows = std::thread::spawn(move || {
            let refused = refused.join().unwrap();
            let answer = send(&sender, |scope| note(scope, "small"));
            drop(sender);
            (refused, answer.blocking_recv().unwrap())
        });
        writer.run();
        let (refused, small) = follows.join().unwrap();
        assert!(matches!(refused, BrokerError::Refused { reason: Refusal::Full, .. }), "{refused:?}");
        assert!(small.is_ok());
        assert_eq!(noted(&path), ["small"]);
    }
}
