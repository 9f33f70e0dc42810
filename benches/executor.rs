//! What the worker costs for each job without a store: decode, spawn, run, decide, and hand the end over to be settled.
//!
//! The store here hands out no-op jobs as fast as it is asked and accepts every end. Its own share, a copy of a ready-made record for
//! each job, is part of the figure.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use celeriac::broker::{
    Batch, BatchAnswer, Broker, BrokerError, Checkup, Condemned, Delivery, DueSchedules, Exchanged, FetchRequest,
    Fetched, Fired, Firing, Holder, Inspector, JobFilter, JobPage, JobView, Note, Owner, PageMark, Promoted, Pruned,
    Pulse, Purged, Put, QueueView, Reconciled, Registration, Retried, Revocation, ScheduleEntry, ScheduleMark,
    ScheduleView, Schedules, Session, Settled, Settlement, StoreLife, WorkerView,
};
use celeriac::{Fence, JobId, Outcome, QueueName, Record, Task, TaskName, Tasks, Timestamp, Worker};
use celeriac_core::{Generation, Incarnation, Lease, Notes, ScheduleName};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

/// More than a worker ever holds, so that no two jobs under way have one id.
const RECORDS: usize = 8192;

#[derive(Debug, Serialize, Deserialize)]
struct Noop {
    pad: String,
}

impl Task for Noop {
    const NAME: &'static str = "noop";
    type Output = ();
}

async fn noop(job: Noop) -> Result<(), std::fmt::Error> {
    std::hint::black_box(job.pad);
    Ok(())
}

/// A store with a given number of jobs that all look alike.
#[derive(Debug)]
struct Endless {
    records: Vec<Record>,
    left: AtomicU64,
    fence: AtomicU64,
    began: Mutex<Option<Instant>>,
    settled: Mutex<Option<Instant>>,
}

impl Endless {
    fn new(jobs: u64) -> Option<Self> {
        let payload = format!(r#"{{"pad":"{}"}}"#, "x".repeat(118)).into_bytes();
        let task = TaskName::new(Noop::NAME).ok()?;
        let record = |_| Record::new(JobId::generate(), task.clone(), QueueName::default(), payload.clone());
        Some(Self {
            records: (0..RECORDS).map(record).collect(),
            left: AtomicU64::new(jobs),
            fence: AtomicU64::default(),
            began: Mutex::default(),
            settled: Mutex::default(),
        })
    }

    fn hand_out(&self, session: &Session, request: &FetchRequest) -> Fetched {
        lock(&self.began).get_or_insert_with(Instant::now);
        let left = self.left.load(Ordering::Relaxed);
        let count = left.min(request.max_jobs as u64);
        self.left.store(left - count, Ordering::Relaxed);
        let deliver = |_| {
            let number = self.fence.fetch_add(1, Ordering::Relaxed);
            let record = self.records[usize::try_from(number).unwrap_or(0) % RECORDS].clone();
            Delivery { record, lease: Lease { holder: session.incarnation.clone(), fence: Fence::new(number + 1) } }
        };
        Fetched {
            jobs: (0..count).map(deliver).collect(),
            now: Timestamp::default(),
            next_due: None,
            suspects_waiting: false,
            unreadable: Vec::new(),
            more: left > count,
        }
    }

    fn accept(&self, settlements: &[Settlement]) -> Vec<Settled> {
        *lock(&self.settled) = Some(Instant::now());
        vec![Settled::Done; settlements.len()]
    }

    /// From the first fetch to the last end.
    fn elapsed(&self) -> Duration {
        match (*lock(&self.began), *lock(&self.settled)) {
            (Some(began), Some(settled)) => settled - began,
            _ => Duration::ZERO,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer to everything that this measurement does not need.
fn never<T>() -> Result<T, BrokerError> {
    Err(BrokerError::Invalid("this store only hands out jobs".into()))
}

fn condemned() -> Condemned {
    let now = Timestamp::default();
    Condemned {
        incarnations: Vec::new(),
        next_expiry: None,
        next_due: None,
        now,
        lost: Vec::new(),
        work_waiting: false,
        events_waiting: false,
    }
}

#[async_trait]
impl Broker for Endless {
    fn describe(&self) -> String {
        "endless".into()
    }

    async fn sibling(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        Ok(Arc::new(Self::new(0).ok_or(BrokerError::SessionLost)?))
    }

    async fn enqueue(&self, _: &Batch) -> Result<BatchAnswer, BrokerError> {
        never()
    }

    async fn register(&self, worker: &Registration) -> Result<Session, BrokerError> {
        let incarnation = worker.incarnation.clone();
        let store = StoreLife::default();
        Ok(Session { incarnation, generation: Generation::new(1), lease: worker.lease, store })
    }

    async fn reconcile(&self, _: &Session) -> Result<Reconciled, BrokerError> {
        never()
    }

    async fn heartbeat(&self, _: &Session) -> Result<Pulse, BrokerError> {
        // All tokens are later than this one, so nothing that runs looks lost.
        Ok(Pulse {
            now: Timestamp::default(),
            newest_fence: Fence::new(0),
            held: Vec::new(),
            revoked: Vec::new(),
            next_due: None,
        })
    }

    async fn deregister(&self, _: &Session) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn fetch(&self, session: &Session, request: &FetchRequest) -> Result<Fetched, BrokerError> {
        Ok(self.hand_out(session, request))
    }

    async fn settle(&self, _: &Holder, settlements: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        Ok(self.accept(settlements))
    }

    async fn wait_for_work(&self, _: &Session, _: &[QueueName], _: Duration) -> Result<(), BrokerError> {
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn end_wait(&self, _: &Session) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn exchange(
        &self,
        session: &Session,
        settlements: &[Settlement],
        request: &FetchRequest,
    ) -> Result<Exchanged, BrokerError> {
        Ok(Exchanged { settled: self.accept(settlements), fetched: self.hand_out(session, request) })
    }

    async fn promote_due(&self, _: usize) -> Result<Promoted, BrokerError> {
        Ok(Promoted { count: 0, next_due: None, now: Timestamp::default() })
    }

    async fn condemn_expired(&self, _: usize) -> Result<Condemned, BrokerError> {
        Ok(condemned())
    }

    async fn look(&self, _: &[QueueName], _: usize) -> Result<Condemned, BrokerError> {
        Ok(condemned())
    }

    async fn lost(&self, _: usize) -> Result<Vec<Incarnation>, BrokerError> {
        Ok(Vec::new())
    }

    async fn held_by(&self, _: &Incarnation, _: usize) -> Result<Vec<Delivery>, BrokerError> {
        Ok(Vec::new())
    }

    async fn held_among(&self, _: &Incarnation, _: &[JobId]) -> Result<Vec<Delivery>, BrokerError> {
        Ok(Vec::new())
    }

    async fn finish_drain(&self, _: &Incarnation) -> Result<bool, BrokerError> {
        Ok(true)
    }

    async fn release_parked(&self, _: &[TaskName], _: usize) -> Result<usize, BrokerError> {
        Ok(0)
    }

    async fn note(&self, _: &Session, _: &[Note]) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn wait_for_orders(&self, _: &Session, timeout: Duration) -> Result<(), BrokerError> {
        tokio::time::sleep(timeout).await;
        Ok(())
    }

    async fn prune(&self, _: usize) -> Result<Pruned, BrokerError> {
        Ok(Pruned::default())
    }

    async fn result(&self, _: &JobId) -> Result<Option<Outcome>, BrokerError> {
        never()
    }

    async fn wait_result(&self, _: &JobId) -> Result<Outcome, BrokerError> {
        never()
    }
}

impl celeriac::broker::Workflows for Endless {}

#[async_trait]
impl Schedules for Endless {
    async fn put_schedules(&self, _: &[ScheduleEntry]) -> Result<Vec<Put>, BrokerError> {
        never()
    }

    async fn remove_schedules(&self, _: &[ScheduleName], _: Option<&Owner>) -> Result<Vec<bool>, BrokerError> {
        never()
    }

    async fn pause_schedule(&self, _: &ScheduleName, _: bool) -> Result<bool, BrokerError> {
        never()
    }

    async fn schedules(&self, _: Option<&ScheduleName>, _: usize) -> Result<Vec<ScheduleView>, BrokerError> {
        never()
    }

    async fn schedule(&self, _: &ScheduleName) -> Result<Option<ScheduleView>, BrokerError> {
        never()
    }

    async fn due_schedules(&self, _: usize) -> Result<DueSchedules, BrokerError> {
        never()
    }

    async fn fire(&self, _: &[Firing]) -> Result<Vec<Fired>, BrokerError> {
        never()
    }

    async fn wait_for_schedules(&self, _: &ScheduleMark, _: Duration) -> Result<(), BrokerError> {
        never()
    }
}

#[async_trait]
impl Inspector for Endless {
    async fn now(&self) -> Result<Timestamp, BrokerError> {
        Ok(Timestamp::default())
    }

    async fn job(&self, _: &JobId) -> Result<Option<JobView>, BrokerError> {
        never()
    }

    async fn jobs(&self, _: &JobFilter) -> Result<Vec<JobView>, BrokerError> {
        never()
    }

    async fn queues(&self) -> Result<Vec<QueueView>, BrokerError> {
        never()
    }

    async fn workers(&self) -> Result<Vec<WorkerView>, BrokerError> {
        never()
    }

    async fn page(&self, _: &JobFilter, _: Option<&PageMark>) -> Result<JobPage, BrokerError> {
        never()
    }

    async fn notes(&self, _: &JobId) -> Result<Notes, BrokerError> {
        never()
    }

    async fn retry_dead(&self, _: &[JobId]) -> Result<Vec<Retried>, BrokerError> {
        never()
    }

    async fn delete_dead(&self, _: &[JobId]) -> Result<Vec<bool>, BrokerError> {
        never()
    }

    async fn revoke(&self, _: &[JobId], _: &str) -> Result<Vec<Revocation>, BrokerError> {
        never()
    }

    async fn purge(&self, _: &QueueName, _: usize, _: &str) -> Result<Purged, BrokerError> {
        never()
    }

    async fn set_paused(&self, _: &QueueName, _: bool) -> Result<(), BrokerError> {
        never()
    }

    async fn checkup(&self) -> Result<Checkup, BrokerError> {
        Ok(Checkup::default())
    }
}

/// Runs a worker until the jobs are used up; the time from its first fetch to its last settle.
fn run(runtime: &Runtime, jobs: u64, concurrency: usize) -> Duration {
    let Some(store) = Endless::new(jobs).map(Arc::new) else { return Duration::ZERO };
    let broker: Arc<dyn Broker> = store.clone();
    let worker = Worker::builder(broker, Tasks::new().handle(noop)).concurrency(concurrency).burst(true).build();
    let ended = worker.map(|worker| runtime.block_on(worker.run()).map(|summary| summary.succeeded));
    assert!(matches!(ended, Ok(Ok(done)) if done == jobs), "not all of {jobs} jobs succeeded: {ended:?}");
    store.elapsed()
}

fn executor(criterion: &mut Criterion) {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    let mut group = criterion.benchmark_group("executor");
    group.throughput(Throughput::Elements(1));
    for concurrency in [32, 1000] {
        group.bench_function(BenchmarkId::new("noop_job", concurrency), |bencher| {
            bencher.iter_custom(|jobs| run(&runtime, jobs, concurrency));
        });
    }
    group.finish();
}

criterion_group!(benches, executor);
criterion_main!(benches);
