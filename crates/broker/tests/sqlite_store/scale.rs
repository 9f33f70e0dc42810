//! Many jobs: every call stays bounded.

use std::time::Duration;

use celeriac_broker::sqlite::SqliteBroker;
use celeriac_broker::{Broker as _, Inspector as _, JobFilter, MAX_BATCH_JOBS, Start, StoreClock};
use celeriac_core::Timestamp;

use crate::support::{Producer, everything, new_job, queue, register};

#[tokio::test]
async fn a_hundred_thousand_due_jobs_are_promoted_a_bounded_number_at_a_time() {
    let clock = StoreClock::manual(Timestamp::from_millis(1_000));
    let broker = SqliteBroker::open(&"sqlite::memory:".parse().unwrap(), clock.clone()).await.unwrap();
    let mut producer = Producer::new(&broker).await;
    let start = Start::After(Duration::from_secs(1));
    for _ in 0..200 {
        producer.enqueue(&broker, (0..500).map(|_| new_job(start)).collect()).await;
    }
    clock.advance_to(Timestamp::from_millis(2_000));

    let mut promoted = 0;
    loop {
        let step = broker.promote_due(usize::MAX).await.unwrap();
        assert!(step.count <= MAX_BATCH_JOBS);
        promoted += step.count;
        if step.next_due.is_none() {
            break;
        }
    }

    assert_eq!(promoted, 100_000);
    assert_eq!(broker.queues().await.unwrap()[0].ready, 100_000);
    let session = register(&broker).await;
    assert_eq!(broker.fetch(&session, &everything()).await.unwrap().jobs.len(), MAX_BATCH_JOBS);
    let mut filter = JobFilter::default();
    filter.queue = Some(queue());
    assert_eq!(broker.jobs(&filter).await.unwrap().len(), 100);
}
