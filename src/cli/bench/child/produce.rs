//! The role that enqueues: one by one as a busy application does, or all in one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use celeriac_broker::Broker;
use celeriac_client::Client;
use tokio::task::JoinSet;

use super::control::{Control, Teller};
use super::numbers::Numbers;
use crate::cli::bench::noop::Noop;
use crate::cli::bench::protocol::{Begun, IN_FLIGHT, Manner, Order, Report};
use crate::cli::exit::{Exit, Failure, chain};

/// How many jobs one bulk call takes: the handles of all of them are in memory until it ends.
const BULK: u64 = 100_000;

pub(super) async fn run(
    order: &Order,
    manner: Manner,
    broker: Arc<dyn Broker>,
    control: &Control,
) -> Result<Report, Failure> {
    let client = Client::new(broker);
    let numbers = Numbers::below(order.jobs);
    control.ready().await?;
    let begun = Begun::now();
    let done = Arc::new(AtomicU64::new(0));
    let teller = Teller::of(Arc::clone(&done));
    match manner {
        Manner::OneByOne => one_by_one(&client, numbers, order.payload, &done).await?,
        Manner::Bulk => in_bulk(&client, numbers, order.payload, &done).await?,
    }
    let span = begun.until_now();
    drop(teller);
    client.close().await;
    Ok(Report { span, ..Report::default() })
}

async fn one_by_one(client: &Client, numbers: Numbers, payload: usize, done: &Arc<AtomicU64>) -> Result<(), Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (client, next, done) = (client.clone(), Arc::clone(&next), Arc::clone(done));
        tasks.spawn(async move {
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= numbers.count() {
                    return Ok(());
                }
                client.enqueue(Noop::<false>::new(numbers.at(place), payload)).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        let ended: Result<(), celeriac_client::EnqueueError> = ended.map_err(|error| failed(&error))?;
        ended.map_err(|error| failed(&error))?;
    }
    Ok(())
}

async fn in_bulk(client: &Client, numbers: Numbers, payload: usize, done: &AtomicU64) -> Result<(), Failure> {
    let mut first = 0;
    while first < numbers.count() {
        let end = numbers.count().min(first + BULK);
        let jobs = (first..end).map(|place| {
            done.store(place, Ordering::Relaxed);
            Noop::<false>::new(numbers.at(place), payload)
        });
        client.enqueue_many(jobs).await.map_err(|error| failed(&error))?;
        first = end;
    }
    Ok(())
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Failed, format!("enqueueing failed: {}", chain(error)))
}
