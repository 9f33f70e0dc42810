//! Several handles on one file: other processes do the same.

use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::{Broker, Start};
use celeriac_core::{JobId, State};

use crate::support::{
    Producer, enqueue, enqueue_one, everything, new_file, new_job, open, queue, raw, register, register_for, succeed,
    within,
};

#[tokio::test(flavor = "multi_thread")]
async fn many_may_create_the_same_store_at_once() {
    let (_directory, path) = new_file();
    let openings: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { enqueue_one(&open(&path).await).await })
        })
        .collect();
    for opening in openings {
        opening.await.unwrap();
    }
    let broker = open(&path).await;
    let session = register(&broker).await;
    assert_eq!(broker.fetch(&session, &everything()).await.unwrap().jobs.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_handles_that_fetch_never_get_the_same_job() {
    let (_directory, path) = new_file();
    let (one, other) = (open(&path).await, open(&path).await);
    let mut ids = enqueue(&one, (0..300).map(|_| new_job(Start::Now)).collect()).await;
    let takers = [one, other].map(|broker| {
        tokio::spawn(async move {
            let session = register(&broker).await;
            let mut request = everything();
            request.max_jobs = 7;
            let mut taken: Vec<JobId> = Vec::new();
            loop {
                let jobs = broker.fetch(&session, &request).await.unwrap().jobs;
                if jobs.is_empty() {
                    return taken;
                }
                taken.extend(jobs.into_iter().map(|job| job.record.id));
            }
        })
    });
    let mut taken = Vec::new();
    for taker in takers {
        taken.extend(taker.await.unwrap());
    }
    taken.sort();
    ids.sort();
    assert_eq!(taken, ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_waits_end_when_another_handle_settles() {
    let (_directory, path) = new_file();
    let (waiting, working) = (open(&path).await, open(&path).await);
    let ids = enqueue(&waiting, (0..500).map(|_| new_job(Start::Now)).collect()).await;
    // Two for each job.
    let waits = ids.iter().chain(&ids).map(|id| {
        let (broker, id) = (waiting.clone(), id.clone());
        tokio::spawn(async move { broker.wait_result(&id).await.unwrap().state })
    });
    let waits: Vec<_> = waits.collect();
    let session = register(&working).await;
    for delivery in working.fetch(&session, &everything()).await.unwrap().jobs {
        succeed(&working, &session, &delivery).await;
    }
    for wait in waits {
        assert_eq!(within(wait).await.unwrap(), State::Succeeded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_wakes_for_a_job_from_another_handle() {
    let (_directory, path) = new_file();
    let (waiting, producing) = (open(&path).await, open(&path).await);
    let session = register(&waiting).await;
    let wait = tokio::spawn(async move {
        waiting.wait_for_work(&session, &[queue()], Duration::from_secs(3600)).await.unwrap();
        waiting.fetch(&session, &everything()).await.unwrap().jobs.len()
    });
    enqueue_one(&producing).await;
    assert_eq!(within(wait).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_wakes_for_a_due_time_earlier_than_it_knew() {
    let (_directory, path) = new_file();
    let (waiting, producing) = (open(&path).await, open(&path).await);
    let session = register(&waiting).await;
    let mut producer = Producer::new(&producing).await;
    let late = new_job(Start::After(Duration::from_secs(1000)));
    producer.enqueue(&producing, vec![late]).await;
    let queues = [queue()];
    let wait = waiting.wait_for_work(&session, &queues, Duration::from_secs(3600));
    // Whenever the wait looks for the first time, an earlier due time comes after it.
    let ever_earlier = async {
        for seconds in (100..900).rev() {
            producer.enqueue(&producing, vec![new_job(Start::After(Duration::from_secs(seconds)))]).await;
        }
        std::future::pending::<()>().await;
    };
    let woken = async {
        tokio::select! { woken = wait => woken, () = ever_earlier => Ok(()) }
    };
    within(woken).await.unwrap();
}

#[test]
fn a_sibling_works_on_another_runtime_and_after_the_first_is_gone() {
    let (_directory, path) = new_file();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let broker = first.block_on(open(&path));
    let sibling: Arc<dyn Broker> = first.block_on(broker.sibling()).unwrap();
    drop(broker);
    drop(first);
    let id = JobId::generate();
    assert_eq!(runtime().block_on(sibling.result(&id)).unwrap(), None);
}

/// A process that is stopped in the middle of a transaction keeps the others from renewing their leases. When it goes on, whoever
/// comes first must not condemn them for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_nobody_could_write_condemns_nobody() {
    let (_directory, path) = new_file();
    let (holder, judge) = (open(&path).await, open(&path).await);
    enqueue_one(&holder).await;
    let session = register_for(&holder, Duration::from_secs(1)).await;
    assert_eq!(holder.fetch(&session, &everything()).await.unwrap().jobs.len(), 1);
    let blocker = raw(&path);
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Longer than the lease, and than what counts as an interruption.
    std::thread::sleep(Duration::from_millis(2_500));
    blocker.execute_batch("ROLLBACK").unwrap();

    let judged = judge.condemn_expired(10).await.unwrap();
    assert!(judged.incarnations.is_empty(), "{judged:?}");
    assert!(judged.next_expiry.is_some(), "it says when to look again");
    holder.heartbeat(&session).await.unwrap();

    // A worker that does not come back is condemned all the same, a little later.
    let condemned = within(async {
        loop {
            let judged = judge.condemn_expired(10).await.unwrap().incarnations;
            if !judged.is_empty() {
                return judged;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(condemned.await, [session.incarnation]);
}
