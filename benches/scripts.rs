//! What each operation of the Redis store takes that runs a script: one call after the other, on a redis-server of our own.
//!
//! A figure is the time of one call, the round trip included. Each job is enqueued, handed out and settled again, so the store is as
//! good as empty all the time; only the operation that a figure is called after is timed.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac::broker::{
    Batch, BatchAnswer, Broker, BrokerError, FetchRequest, Fetched, Holder, IdOrigin, Lane, NewJob, Registration,
    Session, Settlement, Start,
};
use celeriac::{JobId, QueueName, Record, TaskName};
use celeriac_core::{Ending, Incarnation, NameError, Rules, decide};
use celeriac_testkit::{RedisOptions, RedisServer};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use serde_json::value::RawValue;
use tokio::runtime::Builder;

/// Jobs in one call; the larger one is the most that a call may have.
const SIZES: [usize; 2] = [50, 500];

/// The longest lease, so that no measurement outlives it.
const LEASE: Duration = Duration::from_secs(24 * 3600);

/// A producer and a worker on one store.
struct Stage {
    broker: Arc<dyn Broker>,
    session: Session,
    lane: Lane,
    sent: u64,
    template: Record,
}

/// How the jobs of a call end.
#[derive(Clone, Copy)]
enum End {
    /// With nothing to keep.
    Forgotten,
    /// With a result of 128 bytes that is kept for a day.
    Kept,
}

impl Stage {
    async fn set(server: &RedisServer) -> Result<Self, BrokerError> {
        let broker = celeriac::broker::connect(&server.url_with_prefix(JobId::generate().as_ref())).await?;
        let invalid = |error: NameError| BrokerError::Invalid(error.to_string());
        let worker = Registration {
            incarnation: Incarnation::generate("bench").map_err(invalid)?,
            host: "localhost".into(),
            pid: std::process::id(),
            version: "bench".into(),
            queues: vec![QueueName::default()],
            tasks: Vec::new(),
            lease: LEASE,
        };
        let session = broker.register(&worker).await?;
        let lane = Lane { producer: JobId::generate().to_string(), index: 0, made_at: broker.now().await? };
        let task = TaskName::new("noop").map_err(invalid)?;
        let payload = format!("\"{}\"", "x".repeat(126)).into_bytes();
        let template = Record::new(JobId::generate(), task, QueueName::default(), payload);
        Ok(Self { broker, session, lane, sent: 0, template })
    }

    fn batch(&mut self, size: usize, start: Start) -> Batch {
        let job = || {
            let mut record = self.template.clone();
            record.id = JobId::generate();
            NewJob { record, start, id_origin: IdOrigin::Generated }
        };
        let jobs = std::iter::repeat_with(job).take(size).collect();
        self.sent += 1;
        Batch { lane: self.lane.clone(), number: self.sent, jobs }
    }

    async fn enqueue(&self, batch: &Batch) -> Result<(), BrokerError> {
        match self.broker.enqueue(batch).await? {
            BatchAnswer::Applied(_) => Ok(()),
            _ => Err(BrokerError::Invalid("the batch was not applied".into())),
        }
    }

    fn request(size: usize) -> FetchRequest {
        FetchRequest { holds_nothing: true, ..FetchRequest::new(vec![QueueName::default()], size) }
    }

    async fn fetch(&self, size: usize) -> Result<Fetched, BrokerError> {
        let fetched = self.broker.fetch(&self.session, &Self::request(size)).await?;
        assert_eq!(fetched.jobs.len(), size, "the queue holds what was enqueued");
        Ok(fetched)
    }

    fn ends(&self, fetched: &Fetched, end: End) -> Vec<Settlement> {
        let mut rules = Rules::new("bench", fetched.now);
        let mut result = RawValue::NULL.to_owned();
        match end {
            End::Forgotten => rules.result_ttl = Duration::ZERO,
            End::Kept => result = RawValue::from_string(format!("\"{}\"", "r".repeat(126))).unwrap_or(result),
        }
        let settlement = |delivery: &celeriac::broker::Delivery| Settlement {
            id: delivery.record.id.clone(),
            fence: delivery.lease.fence,
            transition: decide(delivery.record.clone(), Ending::Succeeded(result.clone()), &rules),
        };
        fetched.jobs.iter().map(settlement).collect()
    }

    async fn settle(&self, ends: &[Settlement]) -> Result<(), BrokerError> {
        self.broker.settle(&Holder::Session(self.session.clone()), ends).await?;
        Ok(())
    }

    /// Fetches and settles what is ready.
    async fn clear(&self, size: usize) -> Result<(), BrokerError> {
        let fetched = self.fetch(size).await?;
        self.settle(&self.ends(&fetched, End::Forgotten)).await
    }

    async fn time_enqueue(&mut self, size: usize) -> Result<Duration, BrokerError> {
        let batch = self.batch(size, Start::Now);
        let taken = timed(self.enqueue(&batch)).await?.0;
        self.clear(size).await?;
        Ok(taken)
    }

    async fn time_fetch(&mut self, size: usize) -> Result<Duration, BrokerError> {
        let batch = self.batch(size, Start::Now);
        self.enqueue(&batch).await?;
        let (taken, fetched) = timed(self.fetch(size)).await?;
        self.settle(&self.ends(&fetched, End::Forgotten)).await?;
        Ok(taken)
    }

    async fn time_settle(&mut self, size: usize, end: End) -> Result<Duration, BrokerError> {
        let batch = self.batch(size, Start::Now);
        self.enqueue(&batch).await?;
        let ends = self.ends(&self.fetch(size).await?, end);
        Ok(timed(self.settle(&ends)).await?.0)
    }

    /// Settles as many jobs as it fetches.
    async fn time_exchange(&mut self, size: usize) -> Result<Duration, BrokerError> {
        for _ in 0..2 {
            let batch = self.batch(size, Start::Now);
            self.enqueue(&batch).await?;
        }
        let ends = self.ends(&self.fetch(size).await?, End::Forgotten);
        let request = Self::request(size);
        let (taken, exchanged) = timed(self.broker.exchange(&self.session, &ends, &request)).await?;
        self.settle(&self.ends(&exchanged.fetched, End::Forgotten)).await?;
        Ok(taken)
    }

    async fn time_promote(&mut self, size: usize) -> Result<Duration, BrokerError> {
        let batch = self.batch(size, Start::After(Duration::from_millis(1)));
        self.enqueue(&batch).await?;
        tokio::time::sleep(Duration::from_millis(3)).await;
        let (taken, promoted) = timed(self.broker.promote_due(size)).await?;
        assert_eq!(promoted.count, size, "all are due");
        self.clear(size).await?;
        Ok(taken)
    }

    /// A heartbeat of a worker that holds so many jobs.
    async fn time_heartbeat(&mut self, size: usize) -> Result<Duration, BrokerError> {
        let batch = self.batch(size, Start::Now);
        self.enqueue(&batch).await?;
        let fetched = self.fetch(size).await?;
        let taken = timed(self.broker.heartbeat(&self.session)).await?.0;
        self.settle(&self.ends(&fetched, End::Forgotten)).await?;
        Ok(taken)
    }

    async fn time_condemn(&mut self) -> Result<Duration, BrokerError> {
        Ok(timed(self.broker.condemn_expired(100)).await?.0)
    }

    async fn time_empty_fetch(&mut self) -> Result<Duration, BrokerError> {
        Ok(timed(self.broker.fetch(&self.session, &Self::request(500))).await?.0)
    }
}

async fn timed<T>(call: impl Future<Output = Result<T, BrokerError>>) -> Result<(Duration, T), BrokerError> {
    let began = Instant::now();
    let answer = call.await?;
    Ok((began.elapsed(), answer))
}

/// The operation that is timed.
#[derive(Clone, Copy)]
enum Once {
    Enqueue,
    Fetch,
    EmptyFetch,
    Settle(End),
    Exchange,
    Promote,
    Heartbeat,
    Condemn,
    /// TIME, which runs no script: what a bare round trip takes.
    RoundTrip,
}

impl Once {
    async fn repeated(self, stage: &mut Stage, size: usize, times: u64) -> Result<Duration, BrokerError> {
        let mut taken = Duration::ZERO;
        for _ in 0..times {
            taken += match self {
                Self::Enqueue => stage.time_enqueue(size).await?,
                Self::Fetch => stage.time_fetch(size).await?,
                Self::EmptyFetch => stage.time_empty_fetch().await?,
                Self::Settle(end) => stage.time_settle(size, end).await?,
                Self::Exchange => stage.time_exchange(size).await?,
                Self::Promote => stage.time_promote(size).await?,
                Self::Heartbeat => stage.time_heartbeat(size).await?,
                Self::Condemn => stage.time_condemn().await?,
                Self::RoundTrip => timed(stage.broker.now()).await?.0,
            };
        }
        Ok(taken)
    }
}

fn scripts(criterion: &mut Criterion) {
    let server = RedisServer::start(&RedisOptions::default());
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let mut stage = runtime.block_on(Stage::set(&server)).expect("the store of the benchmark answers");
    let mut add = |name: &str, size: usize, once: Once| {
        criterion.benchmark_group("redis").bench_function(BenchmarkId::new(name, size), |bencher| {
            bencher.iter_custom(|times| {
                let taken = runtime.block_on(once.repeated(&mut stage, size, times));
                taken.expect("the store of the benchmark answers")
            });
        });
    };
    add("round_trip", 0, Once::RoundTrip);
    add("fetch", 0, Once::EmptyFetch);
    add("condemn", 0, Once::Condemn);
    for size in SIZES {
        add("enqueue", size, Once::Enqueue);
        add("fetch", size, Once::Fetch);
        add("settle", size, Once::Settle(End::Forgotten));
        add("settle_with_result", size, Once::Settle(End::Kept));
        add("exchange", size, Once::Exchange);
        add("promote", size, Once::Promote);
        add("heartbeat", size, Once::Heartbeat);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = scripts
}
criterion_main!(benches);
