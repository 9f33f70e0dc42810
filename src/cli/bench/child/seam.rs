//! The role that works on the store itself: enqueue, fetch, settle, in batches, with whatever else stands in the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use celeriac_broker::{
    Batch, BatchAnswer, Broker, BrokerError, DEFAULT_LEASE, FetchRequest, Holder, IdOrigin, Lane, NewJob, Registration,
    Session, Settled, Settlement, Start,
};
use celeriac_core::{Ending, Incarnation, JobId, QueueName, Record, Rules, Task as _, TaskName, decide};
use serde_json::value::to_raw_value;

use super::control::{Control, Teller};
use crate::cli::bench::noop::Noop;
use crate::cli::bench::protocol::{Begun, Order, Report};
use crate::cli::exit::{Exit, Failure, chain};

/// How many jobs each call carries.
const BATCH: u64 = 50;

/// How many batches go before the measured ones: they load scripts and open connections.
const WARM_UP: u64 = 20;

/// How often the lease is renewed, in batches: a worker does it every few seconds, and here nothing else does.
const HEARTBEAT_EVERY: u64 = 1000;

pub(super) async fn run(order: &Order, broker: Arc<dyn Broker>, control: &Control) -> Result<Report, Failure> {
    let mut seam = Seam::open(broker, order).await?;
    for number in 1..=WARM_UP {
        seam.turn(number).await.map_err(failed)?;
    }
    control.ready().await?;
    let done = Arc::new(AtomicU64::new(0));
    let teller = Teller::of(Arc::clone(&done));
    let begun = Begun::now();
    for turn in 1..=order.jobs.div_ceil(BATCH) {
        seam.turn(WARM_UP + turn).await.map_err(failed)?;
        done.store(turn * BATCH, Ordering::Relaxed);
    }
    let span = begun.until_now();
    drop(teller);
    seam.broker.deregister(&seam.session).await.map_err(failed)?;
    Ok(Report { span, ..Report::default() })
}

struct Seam {
    broker: Arc<dyn Broker>,
    session: Session,
    lane: Lane,
    task: TaskName,
    payload: usize,
}

impl Seam {
    async fn open(broker: Arc<dyn Broker>, order: &Order) -> Result<Self, Failure> {
        let name = |error| Failure::new(Exit::Failed, format!("a name was refused: {error}"));
        let incarnation = Incarnation::generate("bench").map_err(name)?;
        let task = TaskName::new(Noop::<false>::NAME).map_err(name)?;
        let registration = Registration {
            incarnation,
            host: "bench".to_owned(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queues: vec![QueueName::default()],
            tasks: vec![task.clone()],
            lease: DEFAULT_LEASE,
        };
        let session = broker.register(&registration).await.map_err(failed)?;
        let made_at = broker.now().await.map_err(failed)?;
        let lane = Lane { producer: JobId::generate().to_string(), index: 0, made_at };
        Ok(Self { broker, session, lane, task, payload: order.payload })
    }

    /// One batch in and one batch out: not the same one, if others wait before it.
    async fn turn(&mut self, number: u64) -> Result<(), BrokerError> {
        let jobs = (0..BATCH).map(|index| self.job((number - 1) * BATCH + index)).collect();
        let batch = Batch { lane: self.lane.clone(), number, jobs };
        if self.broker.enqueue(&batch).await? == BatchAnswer::Gap {
            return Err(BrokerError::Invalid("the store lost a batch while it was measured".to_owned()));
        }
        let max_jobs = usize::try_from(BATCH).unwrap_or(usize::MAX);
        let request = FetchRequest { holds_nothing: true, ..FetchRequest::new(vec![QueueName::default()], max_jobs) };
        let fetched = self.broker.fetch(&self.session, &request).await?;
        if fetched.jobs.len() != request.max_jobs {
            return Err(BrokerError::Invalid(format!("a fetch brought {} of {BATCH} jobs", fetched.jobs.len())));
        }
        let mut rules = Rules::new("bench", fetched.now);
        rules.result_ttl = Duration::ZERO;
        let settle = |delivery: celeriac_broker::Delivery| {
            let result = to_raw_value(&0).map_err(|error| BrokerError::Invalid(error.to_string()))?;
            let (id, fence) = (delivery.record.id.clone(), delivery.lease.fence);
            Ok(Settlement { id, fence, transition: decide(delivery.record, Ending::Succeeded(result), &rules) })
        };
        let settlements: Vec<Settlement> = fetched.jobs.into_iter().map(settle).collect::<Result<_, BrokerError>>()?;
        let settled = self.broker.settle(&Holder::Session(self.session.clone()), &settlements).await?;
        if settled.iter().any(|settled| *settled != Settled::Done) {
            return Err(BrokerError::Invalid("a job was taken away while it was measured".to_owned()));
        }
        if number.is_multiple_of(HEARTBEAT_EVERY) {
            self.broker.heartbeat(&self.session).await?;
        }
        Ok(())
    }

    fn job(&self, n: u64) -> NewJob {
        let payload = serde_json::to_vec(&Noop::<false>::new(n, self.payload)).unwrap_or_default();
        let record = Record::new(JobId::generate(), self.task.clone(), QueueName::default(), payload);
        NewJob { record, start: Start::Now, id_origin: IdOrigin::Generated }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to map_err")]
fn failed(error: BrokerError) -> Failure {
    Failure::new(Exit::Failed, chain(&error))
}
