//! Cases of priorities: the urgent first, and the others some time.

use celeriac_core::{JobId, Priority};

use super::context::{Context, Outcome, delayed, job, queue_name, seconds};
use super::worker::{TestWorker, hand_back, retry};
use crate::{BrokerError, FetchRequest, NewJob};

fn urgent(priority: u8, queue: &str) -> NewJob {
    let mut job = job(queue);
    job.record.priority = Priority::new(priority).expect("the suite uses valid priorities");
    job
}

async fn fetched(worker: &TestWorker, max_jobs: usize) -> Result<Vec<JobId>, BrokerError> {
    Ok(worker.fetch(&["q"], max_jobs).await?.into_iter().map(|delivery| delivery.record.id).collect())
}

fn pick(ids: &[JobId], places: &[usize]) -> Vec<JobId> {
    places.iter().map(|place| ids[*place].clone()).collect()
}

/// A queue hands out its most urgent jobs first, and those of one priority in the order of their acceptance.
pub async fn urgent_jobs_come_first(context: Context) -> Outcome {
    let ids = context.enqueue([5, 0, 9, 5, 7, 9].map(|priority| urgent(priority, "q"))).await?;
    let worker = context.worker().await?;
    assert_eq!(fetched(&worker, 2).await?, pick(&ids, &[2, 5]));
    assert_eq!(context.queue("q").await?.ready, 4);
    assert_eq!(fetched(&worker, 100).await?, pick(&ids, &[4, 0, 3, 1]));
    Ok(())
}

/// A worker may ask for the least urgent first, so that they do not starve.
pub async fn the_least_urgent_come_first_when_asked_for(context: Context) -> Outcome {
    let ids = context.enqueue([5, 0, 9, 2].map(|priority| urgent(priority, "q"))).await?;
    let worker = context.worker().await?;
    let request = FetchRequest { lowest_first: true, ..FetchRequest::new(vec![queue_name("q")], 3) };
    let fetched = context.broker.fetch(&worker.session, &request).await?;
    let found: Vec<_> = fetched.jobs.into_iter().map(|delivery| delivery.record.id).collect();
    assert_eq!(found, pick(&ids, &[1, 3, 0]));
    assert!(fetched.more);
    Ok(())
}

/// Priorities order one queue, not several.
pub async fn priorities_do_not_reorder_queues(context: Context) -> Outcome {
    let ids = context.enqueue([urgent(0, "a"), urgent(9, "b")]).await?;
    let worker = context.worker().await?;
    let found: Vec<_> = worker.fetch(&["a", "b"], 10).await?.into_iter().map(|delivery| delivery.record.id).collect();
    assert_eq!(found, ids);
    Ok(())
}

/// A job keeps its priority through a hand-back, a retry and a promotion.
pub async fn a_priority_stays_with_its_job(context: Context) -> Outcome {
    let mut late = delayed(seconds(1), "q");
    late.record.priority = Priority::new(8).expect("it is one");
    let late = context.enqueue_one(late).await?;
    let ids = context.enqueue([urgent(5, "q"), urgent(9, "q"), urgent(7, "q")]).await?;
    let worker = context.worker().await?;
    let first = worker.fetch_one("q").await?;
    assert_eq!(first.record.id, ids[1]);
    worker.settle_one(&first, hand_back(&first, context.now())).await?;
    let again = worker.fetch_one("q").await?;
    assert_eq!(again.record.id, ids[1]);
    worker.settle_one(&again, retry(&again, context.now(), seconds(1))).await?;
    context.advance(seconds(2));
    assert_eq!(context.broker.promote_due(10).await?.count, 2);
    assert_eq!(fetched(&worker, 100).await?, [ids[1].clone(), late, ids[2].clone(), ids[0].clone()]);
    Ok(())
}
