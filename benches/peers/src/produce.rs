//! How jobs are enqueued, the same for every system.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::clock;
use crate::job::Noop;
use crate::spec::{Produced, Spec};
use crate::systems::Producer;

/// Calls in flight while enqueueing one by one.
const IN_FLIGHT: usize = 64;

/// The time between two jobs when feeding.
const FEED: Duration = Duration::from_millis(5);

/// One call for each job, with [`IN_FLIGHT`] of them under way.
pub(crate) async fn one_by_one<P: Producer>(producer: &P, spec: &Spec) -> Result<Produced> {
    in_tasks(producer, spec, IN_FLIGHT, 1).await
}

/// Calls with many jobs each, a few of them under way.
pub(crate) async fn in_bulk<P: Producer>(producer: &P, spec: &Spec) -> Result<Produced> {
    in_tasks(producer, spec, spec.tuning.lanes, spec.tuning.chunk).await
}

/// `tasks` tasks that each take the next `chunk` jobs and wait until the store has them.
async fn in_tasks<P: Producer>(producer: &P, spec: &Spec, tasks: usize, chunk: usize) -> Result<Produced> {
    let next = Arc::new(AtomicU64::new(spec.first));
    let end = spec.first + spec.jobs;
    let step = u64::try_from(chunk)?;
    let payload = spec.payload;
    let (began, cpu) = (clock::now(), clock::cpu());
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let (mut producer, next) = (producer.clone(), Arc::clone(&next));
        running.spawn(async move {
            loop {
                let from = next.fetch_add(step, Ordering::Relaxed);
                if from >= end {
                    return anyhow::Ok(());
                }
                if step == 1 {
                    producer.one(Noop::new(from, payload)).await?;
                } else {
                    let jobs = (from..end.min(from + step)).map(|n| Noop::new(n, payload)).collect();
                    producer.many(jobs).await?;
                }
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(Produced { began, ended: clock::now(), cpu: clock::cpu() - cpu, ..Produced::default() })
}

/// A job each [`FEED`], and half-way to the next one a PING, for the time that a bare round trip takes meanwhile.
pub(crate) async fn feed<P: Producer>(producer: &mut P, spec: &Spec) -> Result<Produced> {
    let mut link = match spec.system.uses_redis() {
        true => Some(redis::Client::open(spec.store.as_str())?.get_multiplexed_async_connection().await?),
        false => None,
    };
    let mut ticks = interval(FEED);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut produced = Produced { began: clock::now(), ..Produced::default() };
    let cpu = clock::cpu();
    for n in 0..spec.jobs {
        ticks.tick().await;
        produced.sent.push(clock::now());
        producer.one(Noop::new(n, spec.payload)).await?;
        if let Some(link) = &mut link {
            sleep(FEED / 2).await;
            produced.pings.push(ping(link).await?);
        }
    }
    produced.ended = clock::now();
    produced.cpu = clock::cpu() - cpu;
    Ok(produced)
}

async fn ping(link: &mut MultiplexedConnection) -> Result<u64> {
    let asked = clock::now();
    redis::cmd("PING").query_async::<()>(link).await?;
    Ok(clock::now() - asked)
}
