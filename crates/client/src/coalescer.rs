//! Gathers concurrent calls into batches: from many callers, through one intake, to a few lanes.
//!
//! This is group commit without added wait. A call that finds a lane free is sent at once. While all lanes wait for the
//! store, calls gather in the intake, and the next free lane takes all of them. So a busy producer makes few large
//! calls and an idle one makes one small call, and no timer decides which.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use celeriac_broker::{Acceptance, Broker, MAX_BATCH_BYTES, MAX_BATCH_JOBS, NewJob};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::EnqueueError;
use crate::lane::{Carrier, Lanes};

/// Callers that wait from which on two batches are worth their price: a call costs the store as much as about ten jobs.
const WORTH_TWO_BATCHES: usize = 40;

/// What a caller hears of its jobs.
pub(crate) type Answer = Result<Vec<Acceptance>, EnqueueError>;

/// One caller's jobs: they travel in one batch, and their caller waits.
#[derive(Debug)]
pub(crate) struct Request {
    /// The jobs, never more than fit a batch.
    pub(crate) jobs: Vec<NewJob>,
    /// When the caller will have waited long enough, if nothing is in doubt then.
    pub(crate) deadline: Instant,
    /// Where the caller waits. Closed means that it waits no longer.
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// How much of a batch some jobs take up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    jobs: usize,
    bytes: usize,
}

impl Load {
    /// The load of these jobs.
    pub(crate) fn of(jobs: &[NewJob]) -> Self {
        Self { jobs: jobs.len(), bytes: jobs.iter().map(|job| job.record.payload.len()).sum() }
    }

    /// Adds `more` if both together fit a batch, and says whether it did. A batch of nothing takes anything: a job
    /// that is larger than the bound goes alone.
    pub(crate) fn try_add(&mut self, more: Self) -> bool {
        let sum = Self { jobs: self.jobs + more.jobs, bytes: self.bytes + more.bytes };
        let fits = self.jobs == 0 || (sum.jobs <= MAX_BATCH_JOBS && sum.bytes <= MAX_BATCH_BYTES);
        if fits {
            *self = sum;
        }
        fits
    }
}

/// The receiving end: whichever lane is free holds it until it has taken a batch.
pub(crate) struct Intake {
    requests: mpsc::Receiver<Request>,
    closing: watch::Receiver<bool>,
    /// A request that did not fit the batch before.
    held_over: Option<Request>,
    /// There are lanes for two batches.
    splits: bool,
}

impl Intake {
    /// Waits for a request and takes all that wait with it and fit one batch. Empty means that no more will come.
    ///
    /// Of many that wait while nothing is under way it takes half: then the store works on one batch while this process
    /// answers the callers of the other, instead of each waiting for the other all the time.
    pub(crate) async fn take(&mut self, nothing_under_way: impl Fn() -> bool) -> Vec<Request> {
        let mut taken = Vec::new();
        let mut load = Load::default();
        let mut most = usize::MAX;
        while taken.len() < most {
            let next = if taken.is_empty() { self.next().await } else { self.requests.try_recv().ok() };
            let Some(request) = next else { break };
            let waiting = self.requests.len();
            // More than a batch fills two anyway.
            let worth_two = self.splits && (WORTH_TWO_BATCHES..MAX_BATCH_JOBS).contains(&waiting);
            if taken.is_empty() && worth_two && nothing_under_way() {
                most = waiting.div_ceil(2);
            }
            if !load.try_add(Load::of(&request.jobs)) {
                self.held_over = Some(request);
                break;
            }
            taken.push(request);
        }
        taken
    }

    /// Waits for the next request; `None` once no more will come.
    async fn next(&mut self) -> Option<Request> {
        if let Some(request) = self.held_over.take() {
            return Some(request);
        }
        loop {
            // Both branches only wait, so dropping either loses nothing.
            tokio::select! {
                biased;
                // An error means that the last client is gone, which closes it too.
                _ = self.closing.wait_for(|closing| *closing), if !self.requests.is_closed() => {
                    // What is in the channel by now is still carried out; later calls are refused by it.
                    self.requests.close();
                }
                request = self.requests.recv() => return request,
            }
        }
    }
}

/// Jobs on their way. Dropping it cancels them if no lane has sent them yet.
#[derive(Debug)]
pub(crate) struct Posted {
    answer: oneshot::Receiver<Answer>,
}

impl Posted {
    /// Waits for the answer.
    pub(crate) async fn answer(self) -> Answer {
        // A lane that ends answers what it has sent, so without an answer nothing was.
        self.answer.await.unwrap_or(Err(EnqueueError::Closed))
    }
}

/// The sending end, shared by all clones of a client. When it is dropped the lanes finish what waits, and end.
#[derive(Debug)]
pub(crate) struct Coalescer {
    requests: mpsc::Sender<Request>,
    closing: watch::Sender<bool>,
    /// Its other end is dropped when the last lane has ended.
    ended: watch::Receiver<()>,
    timeout: Duration,
}

impl Coalescer {
    /// Starts `lanes` lanes on the calling runtime. Outside of a runtime there are none, and each call is answered
    /// with [`EnqueueError::Closed`].
    pub(crate) fn start(broker: &Arc<dyn Broker>, lanes: usize, timeout: Duration) -> Self {
        // Room for what all lanes can take at once. Beyond that callers wait, and their jobs with them.
        let (sender, requests) = mpsc::channel(lanes.max(1) * MAX_BATCH_JOBS);
        let (closing, close) = watch::channel(false);
        let (running, ended) = watch::channel(());
        if let Ok(runtime) = Handle::try_current() {
            let intake = Arc::new(Mutex::new(Intake { requests, closing: close, held_over: None, splits: lanes > 1 }));
            let numbering = Arc::new(Lanes::default());
            let mut carriers = JoinSet::new();
            let busy = Arc::new(AtomicUsize::new(0));
            for _ in 0..lanes {
                let carrier = Carrier::new(broker.clone(), numbering.clone(), busy.clone(), timeout);
                carriers.spawn_on(carrier.run(intake.clone()), &runtime);
            }
            // Not awaited by anyone on purpose: it must outlive the last client to finish what that one sent.
            // It ends with its lanes, and the runtime drops it.
            runtime.spawn(supervise(carriers, running));
        }
        Self { requests: sender, closing, ended, timeout }
    }

    /// Sends the jobs of one caller, at most a batch of them, and waits for the answer.
    pub(crate) async fn submit(&self, jobs: Vec<NewJob>) -> Answer {
        self.post(jobs).await?.answer().await
    }

    /// Leaves the jobs of one caller for the next free lane, at most a batch of them.
    pub(crate) async fn post(&self, jobs: Vec<NewJob>) -> Result<Posted, EnqueueError> {
        let (reply, answer) = oneshot::channel();
        let request = Request { jobs, deadline: Instant::now() + self.timeout, reply };
        self.requests.send(request).await.map_err(|_| EnqueueError::Closed)?;
        Ok(Posted { answer })
    }

    /// Refuses later calls and waits until the earlier ones are answered.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        let mut ended = self.ended.clone();
        // Nothing is ever sent here; the error is the news that the lanes have ended.
        while ended.changed().await.is_ok() {}
    }
}

/// Owns the lanes until the last has ended.
async fn supervise(mut carriers: JoinSet<()>, running: watch::Sender<()>) {
    while let Some(ended) = carriers.join_next().await {
        match ended {
            // The runtime ends, and the lanes with it.
            Err(error) if error.is_cancelled() => {}
            // Its callers have been answered; the other lanes go on.
            Err(error) => tracing::error!(%error, "a lane of the client broke down"),
            Ok(()) => {}
        }
    }
    drop(running);
}
