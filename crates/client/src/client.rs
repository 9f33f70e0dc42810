//! The client: one store, its lanes, and everything a producer may ask.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::{Acceptance, Broker, BrokerError, NewJob, StoreUrl};
use celeriac_core::{JobId, MAX_PAYLOAD_BYTES, Task, WorkflowId};
use serde_json::value::RawValue;

use crate::coalescer::{Answer, Coalescer, Posted};
use crate::enqueue::Enqueue;
use crate::enqueue_many::{self, EnqueueMany};
use crate::error::{EnqueueError, EnqueueManyError, Invalid};
use crate::handle::JobHandle;
use crate::signature::Signature;
use crate::unknown::UnknownBatch;
use crate::workflow::{IntoWorkflow, Run, WorkflowHandle};

/// How many batches a client has under way at once.
const DEFAULT_LANES: usize = 4;

/// How long an enqueue goes on trying.
const DEFAULT_ENQUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// It must stay far below the day for which a store remembers a lane: a batch is sent again for this long.
const MAX_ENQUEUE_TIMEOUT: Duration = Duration::from_secs(3600);

/// The highest limit of a payload that can be set. A record and its length must fit an answer of the store many times over.
const MAX_PAYLOAD_LIMIT: usize = 64 * 1024 * 1024;

/// A producer of jobs. Clones share its lanes and its connections.
///
/// When the last clone is dropped, what was sent is still carried out, as long as the runtime runs;
/// [`Client::close`] waits for it.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    broker: Arc<dyn Broker>,
    coalescer: Coalescer,
    timeout: Duration,
    payload_limit: usize,
}

impl Client {
    /// Connects to the store behind a URL: `sqlite:PATH`, `redis://HOST`, `rediss://HOST`.
    ///
    /// # Errors
    /// [`BrokerError::Invalid`] for a URL that names no store, [`BrokerError::Unreachable`] if the store does not answer.
    pub async fn connect(url: &str) -> Result<Self, BrokerError> {
        let url: StoreUrl = url.parse()?;
        Ok(Self::new(celeriac_broker::connect(&url).await?))
    }

    /// A client of a store that is open already. Call it on a tokio runtime with a timer: its lanes run there. Made
    /// elsewhere, it can wait for results, and each enqueue is answered with [`EnqueueError::Closed`].
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self::start(broker, DEFAULT_LANES, DEFAULT_ENQUEUE_TIMEOUT, MAX_PAYLOAD_BYTES)
    }

    /// A client with other than the default options.
    pub fn builder(broker: Arc<dyn Broker>) -> ClientBuilder {
        ClientBuilder {
            broker,
            lanes: DEFAULT_LANES,
            enqueue_timeout: DEFAULT_ENQUEUE_TIMEOUT,
            payload_limit: MAX_PAYLOAD_BYTES,
        }
    }

    fn start(broker: Arc<dyn Broker>, lanes: usize, timeout: Duration, payload_limit: usize) -> Self {
        let coalescer = Coalescer::start(&broker, lanes, timeout);
        Self { inner: Arc::new(Inner { broker, coalescer, timeout, payload_limit }) }
    }

    /// Enqueues a job when the returned builder is awaited.
    pub fn enqueue<T: Task>(&self, task: T) -> Enqueue<T> {
        Enqueue::new(self.clone(), task)
    }

    /// Enqueues many jobs of one task, in order and in large batches, when the returned builder is awaited.
    pub fn enqueue_many<'i, I>(&self, tasks: I) -> EnqueueMany<'i, I::Item>
    where
        I: IntoIterator<Item: Task>,
        I::IntoIter: Send + 'i,
    {
        EnqueueMany::new(self.clone(), Box::new(tasks.into_iter()))
    }

    /// Begins a workflow when the returned builder is awaited: one put together of types (see [`canvas`](crate::canvas)), or a
    /// [`Canvas`](crate::canvas::Canvas) or [`Workflow`](crate::canvas::Workflow) by the names of tasks.
    pub fn run<W: IntoWorkflow>(&self, workflow: W) -> Run<W::Output> {
        Run::new(self.clone(), workflow)
    }

    /// A handle to a workflow that was begun elsewhere; [`WorkflowHandle::returns`] says the type of its result. Whether there is such a
    /// workflow is not checked here.
    #[must_use]
    pub fn workflow(&self, id: WorkflowId) -> WorkflowHandle<Box<RawValue>> {
        WorkflowHandle::new(id, self.inner.broker.clone())
    }

    /// Enqueues a job by the name of its task.
    ///
    /// # Errors
    /// [`EnqueueError`] says whether it was stored.
    pub async fn enqueue_signature(&self, signature: Signature) -> Result<JobHandle<Box<RawValue>>, EnqueueError> {
        let id = self.enqueue_job(signature.into_job(self.payload_limit())?).await?;
        Ok(self.handle_to(id))
    }

    /// Enqueues many jobs by the names of their tasks, in order: one answer for each.
    ///
    /// All are checked before the first is sent. An id in use does not stop the others.
    ///
    /// # Errors
    /// [`EnqueueManyError`] says where it stopped and which jobs the store has by then.
    pub async fn enqueue_all(&self, signatures: Vec<Signature>) -> Result<Vec<(JobId, Acceptance)>, EnqueueManyError> {
        enqueue_many::enqueue_all(self.clone(), signatures).await
    }

    /// Sends again the very batch whose fate is unknown, until the store says what became of it: one answer for each of the
    /// caller's own jobs. What was stored the first time is not stored again. It works with any client of the same store.
    ///
    /// # Errors
    /// [`EnqueueError::Unknown`] with the batch if no answer came again; [`EnqueueError::NotApplied`] if the store has lost
    /// what was sent before it, so that neither copy can be stored; [`EnqueueError::Forgotten`] if it is too late to know.
    pub async fn resend(&self, batch: UnknownBatch) -> Result<Vec<(JobId, Acceptance)>, EnqueueError> {
        batch.resend(&*self.inner.broker, self.inner.timeout).await
    }

    /// A handle to a job of task `T` that was enqueued elsewhere. Whether there is such a job is not checked here.
    #[must_use]
    pub fn handle<T: Task>(&self, id: JobId) -> JobHandle<T::Output> {
        self.handle_to(id)
    }

    /// The store.
    #[must_use]
    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.inner.broker
    }

    /// Refuses later calls of all clones with [`EnqueueError::Closed`] and waits until the earlier ones are answered.
    pub async fn close(&self) {
        self.inner.coalescer.close().await;
    }

    /// A handle to a job that was enqueued elsewhere, whose result is an `R`; [`Client::handle`] takes that type from the task.
    #[must_use]
    pub fn handle_to<R>(&self, id: JobId) -> JobHandle<R> {
        JobHandle::new(id, self.inner.broker.clone())
    }

    /// The largest arguments that are accepted, in bytes.
    pub(crate) fn payload_limit(&self) -> usize {
        self.inner.payload_limit
    }

    pub(crate) async fn submit(&self, jobs: Vec<NewJob>) -> Answer {
        self.inner.coalescer.submit(jobs).await
    }

    pub(crate) async fn post(&self, jobs: Vec<NewJob>) -> Result<Posted, EnqueueError> {
        self.inner.coalescer.post(jobs).await
    }

    pub(crate) async fn enqueue_job(&self, job: NewJob) -> Result<JobId, EnqueueError> {
        let id = job.record.id.clone();
        match self.submit(vec![job]).await?.as_slice() {
            [Acceptance::Accepted] => Ok(id),
            [Acceptance::UniqueInUse { holder }] => Err(EnqueueError::UniqueInUse { id, holder: holder.clone() }),
            _ => Err(EnqueueError::IdInUse { id }),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("store", &self.inner.broker.describe()).finish_non_exhaustive()
    }
}

/// The options of a [`Client`].
#[derive(Debug)]
#[must_use = "a client is made by build()"]
pub struct ClientBuilder {
    broker: Arc<dyn Broker>,
    lanes: usize,
    enqueue_timeout: Duration,
    payload_limit: usize,
}

impl ClientBuilder {
    /// How many batches may be under way at once: 1 to 64, 4 unless something else is said.
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes;
        self
    }

    /// How long an enqueue goes on trying while the store is away: up to an hour, 10 s unless something else is said.
    ///
    /// A call that finds all lanes busy with such tries may take twice as long.
    pub fn enqueue_timeout(mut self, timeout: Duration) -> Self {
        self.enqueue_timeout = timeout;
        self
    }

    /// How large the arguments of a job may be, in bytes of JSON: up to 64 MiB, 1 MiB unless something else is said. What is large is
    /// better kept elsewhere, with its address in the arguments: every byte is in the store's memory and crosses the network three
    /// times.
    pub fn payload_limit(mut self, bytes: usize) -> Self {
        self.payload_limit = bytes;
        self
    }

    /// Makes the client, on the calling runtime like [`Client::new`].
    ///
    /// # Errors
    /// [`Invalid::Option`] for a value outside its bounds.
    pub fn build(self) -> Result<Client, Invalid> {
        if !(1..=64).contains(&self.lanes) {
            return Err(Invalid::Option { option: "lanes", rule: "1 to 64" });
        }
        if self.enqueue_timeout.is_zero() || self.enqueue_timeout > MAX_ENQUEUE_TIMEOUT {
            return Err(Invalid::Option { option: "enqueue_timeout", rule: "longer than zero and at most an hour" });
        }
        if !(1..=MAX_PAYLOAD_LIMIT).contains(&self.payload_limit) {
            return Err(Invalid::Option { option: "payload_limit", rule: "1 byte to 64 MiB" });
        }
        Ok(Client::start(self.broker, self.lanes, self.enqueue_timeout, self.payload_limit))
    }
}

/// A worker can be built on a client: it runs on the client's store.
impl From<Client> for Arc<dyn Broker> {
    fn from(client: Client) -> Self {
        Arc::clone(client.broker())
    }
}

/// A worker can be built on a client: it runs on the client's store.
impl From<&Client> for Arc<dyn Broker> {
    fn from(client: &Client) -> Self {
        Arc::clone(client.broker())
    }
}
