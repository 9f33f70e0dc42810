//! The face of the SQLite store: a handle that any task on any runtime may use.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use async_trait::async_trait;
use celeriac_core::{Incarnation, JobId, Outcome, QueueName, TaskName};
use tokio::sync::oneshot;

use super::clock::Clock;
use super::connection::{self, Location};
use super::fault::Fault;
use super::reader::{self, Question, Reader};
use super::scope::{Scope, View};
use super::watchers::Watchers;
use super::writer::{Operation, Pending, Writer};
use super::{enqueue, fetch, inspect, notes, promote, prune, reclaim, schema, session, settle, wait};
use crate::batch::{Batch, BatchAnswer, MAX_BATCH_JOBS};
use crate::broker::Broker;
use crate::clock::StoreClock;
use crate::delivery::{
    Condemned, Delivery, Exchanged, FetchRequest, Fetched, Note, Promoted, Pruned, Settled, Settlement,
};
use crate::error::BrokerError;
use crate::store_url::{StoreKind, StoreUrl};
use crate::worker_session::{Holder, Pulse, Reconciled, Registration, Session};

/// A store in one SQLite file, shared by the processes of one machine, or in memory.
///
/// Cloning is cheap; all clones share two threads, which end when the last clone is dropped. A future that is dropped does
/// not stop an operation that is under way.
#[derive(Clone)]
pub struct SqliteBroker {
    inner: Arc<Inner>,
}

struct Inner {
    store: String,
    operations: Sender<Box<dyn Operation>>,
    /// `None` in memory, where the writer reads too.
    questions: Option<Sender<Question>>,
    watchers: Arc<Watchers>,
}

impl fmt::Debug for SqliteBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteBroker").field("store", &self.inner.store).finish_non_exhaustive()
    }
}

impl SqliteBroker {
    /// Opens a store and creates it if it is not there. Each call with `sqlite::memory:` makes a new one.
    ///
    /// # Errors
    /// [`BrokerError::Unreachable`] if the file cannot be opened, [`BrokerError::Refused`] if it may not be written, is locked or is
    /// not a store, [`BrokerError::Corrupt`] if it is damaged or of a newer format, [`BrokerError::Invalid`] for another
    /// kind of URL.
    pub async fn open(url: &StoreUrl, clock: StoreClock) -> Result<Self, BrokerError> {
        if url.kind() != StoreKind::Sqlite {
            return Err(BrokerError::Invalid(format!("{url} is not the address of a SQLite store")));
        }
        let path = (url.address() != ":memory:").then(|| PathBuf::from(url.address()));
        let location = Location { path, names: schema::names(url.namespace()), store: url.to_string() };
        let clock = Clock::new(clock);
        let watchers = Arc::new(Watchers::default());
        let operations = start_writer(&location, &clock, &watchers).await?;
        let questions = match &location.path {
            Some(path) => Some(start_reader(&location, path.clone(), clock, Arc::clone(&watchers)).await?),
            None => None,
        };
        Ok(Self { inner: Arc::new(Inner { store: location.store, operations, questions, watchers }) })
    }

    pub(super) fn watchers(&self) -> &Arc<Watchers> {
        &self.inner.watchers
    }

    /// Runs an operation in the writer's next group.
    pub(super) async fn write<T, F>(&self, operation: F) -> Result<T, BrokerError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Scope<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (pending, answer) = Pending::new(operation);
        self.inner.operations.send(Box::new(pending)).map_err(|_| self.stopped())?;
        let in_doubt = |_| BrokerError::InDoubt { store: self.inner.store.clone(), source: STOPPED.into() };
        answer.await.map_err(in_doubt)?
    }

    /// Asks the reader.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T, BrokerError>
    where
        T: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let Some(questions) = &self.inner.questions else {
            return self.write(move |scope| read(scope)).await;
        };
        let (question, answer) = reader::question(read);
        questions.send(question).map_err(|_| self.stopped())?;
        answer.await.map_err(|_| self.stopped())?
    }

    fn stopped(&self) -> BrokerError {
        BrokerError::Unreachable { store: self.inner.store.clone(), source: STOPPED.into() }
    }
}

const STOPPED: &str = "the thread that works on the file has ended";

async fn start_writer(
    location: &Location,
    clock: &Clock,
    watchers: &Arc<Watchers>,
) -> Result<Sender<Box<dyn Operation>>, BrokerError> {
    let (sender, operations) = channel();
    let (location, clock, watchers) = (location.clone(), clock.clone(), Arc::clone(watchers));
    start_thread("celeriac-sqlite-writer", location.store.clone(), move |opened| {
        let connection = connection::open_writer(&location);
        if let Some(connection) = report(connection, opened) {
            Writer { connection, location, clock, watchers, operations }.run();
        }
    })
    .await?;
    Ok(sender)
}

async fn start_reader(
    location: &Location,
    path: PathBuf,
    clock: Clock,
    watchers: Arc<Watchers>,
) -> Result<Sender<Question>, BrokerError> {
    let (sender, questions): (_, Receiver<Question>) = channel();
    let location = location.clone();
    start_thread("celeriac-sqlite-reader", location.store.clone(), move |opened| {
        let connection = connection::open_reader(&location, &path);
        if let Some(connection) = report(connection, opened) {
            Reader { connection, location, clock, watchers }.run(&questions);
        }
    })
    .await?;
    Ok(sender)
}

type Opened = oneshot::Sender<Result<(), BrokerError>>;

/// Starts a thread and waits until it has opened its connection. Nobody joins it: it ends by itself when its channel is closed,
/// and dropping the store must not hold up a runtime.
async fn start_thread(
    name: &str,
    store: String,
    body: impl FnOnce(Opened) + Send + 'static,
) -> Result<(), BrokerError> {
    let (opened, answer) = oneshot::channel();
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || body(opened));
    if let Err(error) = started {
        return Err(BrokerError::Unreachable { store, source: error.into() });
    }
    answer.await.map_err(|_| BrokerError::Unreachable { store, source: STOPPED.into() })?
}

/// Tells the opener how it went and keeps the connection.
fn report<T>(connection: Result<T, BrokerError>, opened: Opened) -> Option<T> {
    let (connection, answer) = match connection {
        Ok(connection) => (Some(connection), Ok(())),
        Err(error) => (None, Err(error)),
    };
    // If the opener has gone, the channel is closed too and the thread ends at once.
    let _ = opened.send(answer);
    connection
}

#[async_trait]
impl Broker for SqliteBroker {
    fn describe(&self) -> String {
        self.inner.store.clone()
    }

    async fn sibling(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        // The threads belong to no runtime, so a clone can be driven by any.
        Ok(Arc::new(self.clone()))
    }

    async fn enqueue(&self, batch: &Batch) -> Result<BatchAnswer, BrokerError> {
        if batch.jobs.len() > MAX_BATCH_JOBS {
            let count = batch.jobs.len();
            return Err(BrokerError::Invalid(format!("a batch of {count} jobs; at most {MAX_BATCH_JOBS} are allowed")));
        }
        let batch = batch.clone();
        self.write(move |scope| enqueue::enqueue(scope, &batch)).await
    }

    async fn register(&self, worker: &Registration) -> Result<Session, BrokerError> {
        let worker = worker.clone();
        self.write(move |scope| session::register(scope, &worker)).await
    }

    async fn reconcile(&self, session: &Session) -> Result<Reconciled, BrokerError> {
        let session = session.clone();
        self.write(move |scope| session::reconcile(scope, &session)).await
    }

    async fn heartbeat(&self, session: &Session) -> Result<Pulse, BrokerError> {
        let session = session.clone();
        self.write(move |scope| session::heartbeat(scope, &session)).await
    }

    async fn deregister(&self, session: &Session) -> Result<(), BrokerError> {
        let session = session.clone();
        self.write(move |scope| session::deregister(scope, &session)).await
    }

    async fn fetch(&self, session: &Session, request: &FetchRequest) -> Result<Fetched, BrokerError> {
        let (session, request) = (session.clone(), request.clone());
        self.write(move |scope| fetch::fetch(scope, &session, &request)).await
    }

    async fn settle(&self, holder: &Holder, settlements: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        let (holder, settlements) = (holder.clone(), settlements.to_vec());
        self.write(move |scope| settle::settle(scope, &holder, &settlements)).await
    }

    async fn wait_for_work(
        &self,
        session: &Session,
        queues: &[QueueName],
        timeout: Duration,
    ) -> Result<(), BrokerError> {
        tokio::time::timeout(timeout, wait::for_work(self, session, queues)).await.unwrap_or(Ok(()))
    }

    async fn fetch_when_ready(
        &self,
        session: &Session,
        request: &FetchRequest,
        timeout: Duration,
    ) -> Result<Fetched, BrokerError> {
        tokio::select! {
            waited = self.wait_for_work(session, &request.queues, timeout) => waited?,
            () = self.inner.watchers.end() => {}
        }
        self.fetch(session, request).await
    }

    async fn note(&self, session: &Session, notes: &[Note]) -> Result<(), BrokerError> {
        let (session, notes) = (session.clone(), notes.to_vec());
        self.write(move |scope| notes::keep(scope, &session.incarnation, &notes)).await
    }

    async fn wait_for_orders(&self, session: &Session, timeout: Duration) -> Result<(), BrokerError> {
        tokio::time::timeout(timeout, wait::for_orders(self, session)).await.unwrap_or(Ok(()))
    }

    async fn end_wait(&self, _session: &Session) -> Result<(), BrokerError> {
        self.inner.watchers.end_waits();
        Ok(())
    }

    async fn exchange(
        &self,
        session: &Session,
        settlements: &[Settlement],
        request: &FetchRequest,
    ) -> Result<Exchanged, BrokerError> {
        let (session, request, settlements) = (session.clone(), request.clone(), settlements.to_vec());
        let holder = Holder::Session(session.clone());
        self.write(move |scope| {
            let settled = settle::settle(scope, &holder, &settlements)?;
            Ok(Exchanged { settled, fetched: fetch::fetch(scope, &session, &request)? })
        })
        .await
    }

    async fn promote_due(&self, max: usize) -> Result<Promoted, BrokerError> {
        self.write(move |scope| promote::promote_due(scope, max)).await
    }

    async fn condemn_expired(&self, max: usize) -> Result<Condemned, BrokerError> {
        self.write(move |scope| reclaim::condemn_expired(scope, &[], max)).await
    }

    async fn look(&self, queues: &[QueueName], max: usize) -> Result<Condemned, BrokerError> {
        // A wait looks at the tables by itself, so no wake-up can be lost.
        let queues = queues.to_vec();
        self.write(move |scope| reclaim::condemn_expired(scope, &queues, max)).await
    }

    async fn lost(&self, max: usize) -> Result<Vec<Incarnation>, BrokerError> {
        self.read(move |view| reclaim::lost(view, max)).await
    }

    async fn held_by(&self, incarnation: &Incarnation, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        let incarnation = incarnation.clone();
        self.write(move |scope| reclaim::held_by(scope, &incarnation, max)).await
    }

    async fn held_among(&self, incarnation: &Incarnation, ids: &[JobId]) -> Result<Vec<Delivery>, BrokerError> {
        let (incarnation, ids) = (incarnation.clone(), ids.to_vec());
        self.read(move |view| reclaim::held_among(view, &incarnation, &ids)).await
    }

    async fn finish_drain(&self, incarnation: &Incarnation) -> Result<bool, BrokerError> {
        let incarnation = incarnation.clone();
        self.write(move |scope| reclaim::finish_drain(scope, &incarnation)).await
    }

    async fn release_parked(&self, tasks: &[TaskName], max: usize) -> Result<usize, BrokerError> {
        let tasks = tasks.to_vec();
        self.write(move |scope| promote::release_parked(scope, &tasks, max)).await
    }

    async fn prune(&self, max: usize) -> Result<Pruned, BrokerError> {
        self.write(move |scope| prune::prune(scope, max)).await
    }

    async fn result(&self, id: &JobId) -> Result<Option<Outcome>, BrokerError> {
        let id = id.clone();
        self.read(move |view| inspect::result(view, &id)).await
    }

    async fn wait_result(&self, id: &JobId) -> Result<Outcome, BrokerError> {
        wait::for_result(self, id).await
    }
}
