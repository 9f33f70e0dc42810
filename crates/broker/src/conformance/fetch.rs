//! Cases of [`Broker::fetch`](crate::Broker::fetch): which jobs, in which order, how many, and to whom.

use std::collections::BTreeSet;

use celeriac_core::{JobId, State};

use super::context::{Context, Outcome, job, seconds, with_payload, within};
use super::worker::TestWorker;
use crate::{Delivery, MAX_BATCH_BYTES, MAX_BATCH_JOBS};

fn ids(deliveries: &[Delivery]) -> Vec<JobId> {
    deliveries.iter().map(|delivery| delivery.record.id.clone()).collect()
}

/// The jobs of a queue come first in, first out, also across batches and instants.
pub async fn jobs_of_a_queue_come_in_the_order_of_their_acceptance(context: Context) -> Outcome {
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.extend(context.enqueue([job("q"), job("q")]).await?);
        context.advance(seconds(1));
    }
    let worker = context.worker().await?;
    let mut got = ids(&worker.fetch(&["q"], 4).await?);
    got.extend(ids(&worker.fetch(&["q"], 4).await?));
    assert_eq!(got, sent);
    Ok(())
}

/// The queue that is named first is emptied first, and queues that are not named are left alone.
pub async fn queues_are_served_in_the_order_asked_for(context: Context) -> Outcome {
    let sent = context.enqueue([job("a"), job("b"), job("c"), job("a"), job("b")]).await?;
    let worker = context.worker().await?;
    let got = ids(&worker.fetch(&["b", "a"], 3).await?);
    assert_eq!(got, [&sent[1], &sent[4], &sent[0]].map(Clone::clone));
    assert_eq!(context.queue("c").await?.ready, 1);
    Ok(())
}

/// A fetch takes no more than it asks for; none is allowed.
pub async fn a_fetch_takes_at_most_what_it_asks_for(context: Context) -> Outcome {
    context.enqueue([job("q"), job("q"), job("q")]).await?;
    let worker = context.worker().await?;
    assert_eq!(worker.fetch(&["q"], 0).await?.len(), 0);
    assert_eq!(worker.fetch(&["q"], 2).await?.len(), 2);
    assert_eq!(worker.fetch(&["q"], 2).await?.len(), 1);
    assert_eq!(worker.fetch(&["q"], 2).await?.len(), 0);
    Ok(())
}

/// However much is asked for, one fetch takes no more than a full batch.
pub async fn a_fetch_is_bounded(context: Context) -> Outcome {
    for _ in 0..2 {
        context.enqueue((0..MAX_BATCH_JOBS).map(|_| job("q"))).await?;
    }
    let worker = context.worker().await?;
    let first = worker.fetch(&["q"], MAX_BATCH_JOBS * 2).await?.len();
    assert!((1..=MAX_BATCH_JOBS).contains(&first), "{first}");
    assert_eq!(worker.held().await?.len(), first);
    Ok(())
}

/// A fetch stops before its payloads are too many bytes; the rest comes with the next one.
pub async fn a_fetch_stops_before_too_many_bytes(context: Context) -> Outcome {
    let mut sent = Vec::new();
    for _ in 0..3 {
        let part = vec![b'1'; MAX_BATCH_BYTES / 10 * 4];
        sent.push(context.enqueue_one(with_payload(part, "q")).await?);
    }
    let worker = context.worker().await?;
    assert_eq!(ids(&worker.fetch(&["q"], 10).await?), sent[..2]);
    assert_eq!(ids(&worker.fetch(&["q"], 10).await?), sent[2..]);
    Ok(())
}

/// A job that is bigger than a fetch may be comes alone.
pub async fn a_job_too_big_for_any_fetch_comes_alone(context: Context) -> Outcome {
    let big = vec![b'1'; MAX_BATCH_BYTES + 100];
    let mut sent = Vec::new();
    for new in [job("q"), with_payload(big, "q"), job("q")] {
        sent.push(context.enqueue_one(new).await?);
    }
    let worker = context.worker().await?;
    for id in sent {
        assert_eq!(ids(&worker.fetch(&["q"], 10).await?), [id]);
    }
    Ok(())
}

/// A job that is handed out is held, and nobody else gets it.
pub async fn a_job_is_handed_out_once(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let (first, second) = (context.worker().await?, context.worker().await?);
    let delivery = first.fetch_one("q").await?;
    assert!(second.fetch(&["q"], 10).await?.is_empty());
    let view = context.expect_only_in(&id, State::Running).await?;
    assert_eq!((view.attempt, view.fence), (1, Some(delivery.lease.fence)));
    assert_eq!(delivery.lease.holder, first.session.incarnation);
    assert_eq!(first.held().await?, [(id, delivery.lease.fence)]);
    Ok(())
}

/// Each hand-out carries a token above all before it, whoever fetches through whichever handle.
pub async fn tokens_grow_across_workers_and_handles(context: Context) -> Outcome {
    context.enqueue((0..6).map(|_| job("q"))).await?;
    let sibling = context.broker.sibling().await?;
    let workers = [context.worker().await?, TestWorker::register(&sibling, "other", seconds(20)).await?];
    let mut tokens = Vec::new();
    for worker in workers.iter().cycle().take(3) {
        let got = worker.fetch(&["q"], 2).await?;
        assert_eq!(got[0].lease.fence, got[1].lease.fence, "one token for each fetch");
        tokens.push(got[0].lease.fence);
    }
    assert!(tokens.is_sorted_by(|one, next| one < next), "{tokens:?}");
    Ok(())
}

/// Tokens grow even if the clock is set back.
pub async fn tokens_grow_when_the_clock_is_set_back(context: Context) -> Outcome {
    context.enqueue([job("q"), job("q")]).await?;
    let worker = context.worker().await?;
    let before = worker.fetch_one("q").await?.lease.fence;
    context.set_back(seconds(3600));
    let after = worker.fetch_one("q").await?.lease.fence;
    assert!(after > before, "{after} after {before}");
    Ok(())
}

/// Workers that fetch side by side share all jobs and no job.
pub async fn two_deliveries_never_share_a_job(context: Context) -> Outcome {
    const JOBS: usize = 300;
    let sent = context.enqueue((0..JOBS).map(|_| job("q"))).await?;
    let mut fetching = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let sibling = context.broker.sibling().await?;
        let worker = TestWorker::register(&sibling, "worker", seconds(20)).await?;
        fetching.spawn(async move {
            let mut got = Vec::new();
            loop {
                let jobs = worker.fetch(&["q"], 7).await?;
                if jobs.is_empty() {
                    return Ok::<_, crate::BrokerError>(got);
                }
                got.extend(ids(&jobs));
            }
        });
    }
    let mut all = Vec::new();
    for got in within(fetching.join_all()).await {
        all.extend(got?);
    }
    assert_eq!(all.len(), JOBS);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), sent.into_iter().collect::<BTreeSet<_>>());
    Ok(())
}

/// A fetch tells the store's time.
pub async fn a_fetch_tells_the_time(context: Context) -> Outcome {
    let worker = context.worker().await?;
    context.advance(seconds(7));
    assert_eq!(worker.fetch_busy(&["q"], 1).await?.now, context.now());
    assert_eq!(context.broker.now().await?, context.now());
    Ok(())
}
