//! Cases of delays and [`Broker::promote_due`](crate::Broker::promote_due).

use std::time::Duration;

use celeriac_core::State;

use super::context::{Context, Outcome, delayed, job, seconds};

/// A delayed job waits: no fetch gets it and no promotion moves it before it is due.
pub async fn a_delayed_job_is_not_ready_before_it_is_due(context: Context) -> Outcome {
    let due = context.now().after(seconds(10));
    let id = context.enqueue_one(delayed(seconds(10), "q")).await?;
    context.advance(seconds(10) - Duration::from_millis(1));
    let promoted = context.broker.promote_due(10).await?;
    assert_eq!((promoted.count, promoted.next_due), (0, Some(due)));
    assert!(context.worker().await?.fetch(&["q"], 10).await?.is_empty());
    assert_eq!(context.expect_only_in(&id, State::Scheduled).await?.due_at, Some(due));
    Ok(())
}

/// At its due time a promotion makes it ready, as of then.
pub async fn a_due_job_is_ready_after_a_promotion(context: Context) -> Outcome {
    let id = context.enqueue_one(delayed(seconds(10), "q")).await?;
    let accepted = context.now();
    context.advance(seconds(10));
    let promoted = context.broker.promote_due(10).await?;
    assert_eq!((promoted.count, promoted.next_due, promoted.now), (1, None, context.now()));
    let view = context.expect_only_in(&id, State::Queued).await?;
    assert_eq!((view.enqueued_at, view.since, view.due_at), (accepted, context.now(), None));
    assert_eq!(context.worker().await?.fetch_one("q").await?.record.id, id);
    Ok(())
}

/// A job is promoted once, however many promote.
pub async fn a_job_is_promoted_once(context: Context) -> Outcome {
    context.enqueue([delayed(seconds(1), "q")]).await?;
    context.advance(seconds(2));
    let sibling = context.broker.sibling().await?;
    let (one, other) = tokio::join!(context.broker.promote_due(10), sibling.promote_due(10));
    assert_eq!(one?.count + other?.count, 1);
    assert_eq!(context.queue("q").await?.ready, 1);
    Ok(())
}

/// The earliest comes first, and a promotion stops at its limit and says that more is due.
pub async fn the_earliest_is_promoted_first_and_only_so_many(context: Context) -> Outcome {
    let sent = context.enqueue([30, 10, 20].map(|delay| delayed(seconds(delay), "q"))).await?;
    let start = context.now();
    context.advance(seconds(40));
    let promoted = context.broker.promote_due(2).await?;
    assert_eq!((promoted.count, promoted.next_due), (2, Some(start.after(seconds(30)))));
    let worker = context.worker().await?;
    let got: Vec<_> = worker.fetch(&["q"], 10).await?.into_iter().map(|delivery| delivery.record.id).collect();
    assert_eq!(got, sent[1..]);
    assert_eq!(context.broker.promote_due(2).await?.count, 1);
    assert_eq!(context.broker.promote_due(2).await?.count, 0);
    Ok(())
}

/// A promoted job is behind those that were ready before.
pub async fn a_promoted_job_joins_the_end_of_its_queue(context: Context) -> Outcome {
    let late = context.enqueue_one(delayed(seconds(1), "q")).await?;
    let ready = context.enqueue_one(job("q")).await?;
    context.advance(seconds(1));
    context.broker.promote_due(10).await?;
    let worker = context.worker().await?;
    assert_eq!(worker.fetch_one("q").await?.record.id, ready);
    assert_eq!(worker.fetch_one("q").await?.record.id, late);
    Ok(())
}

/// Every call of a worker's round says when the next job is due.
pub async fn each_round_tells_the_next_due_time(context: Context) -> Outcome {
    let worker = context.worker().await?;
    assert_eq!(worker.fetch_busy(&["q"], 1).await?.next_due, None);
    context.enqueue([delayed(seconds(9), "other"), delayed(seconds(4), "q")]).await?;
    let due = Some(context.now().after(seconds(4)));
    assert_eq!(worker.fetch_busy(&["q"], 1).await?.next_due, due);
    assert_eq!(worker.fetch_busy(&["other"], 1).await?.next_due, due);
    assert_eq!(context.broker.heartbeat(&worker.session).await?.next_due, due);
    assert_eq!(context.broker.condemn_expired(1).await?.next_due, due);
    assert_eq!(context.broker.promote_due(1).await?.next_due, due);
    Ok(())
}

/// A delay of zero is none.
pub async fn a_delay_of_zero_is_ready_at_once(context: Context) -> Outcome {
    let id = context.enqueue_one(delayed(Duration::ZERO, "q")).await?;
    context.expect_only_in(&id, State::Queued).await?;
    Ok(())
}

/// A delay beyond the end of time is the end of time.
pub async fn an_endless_delay_is_kept_waiting(context: Context) -> Outcome {
    let id = context.enqueue_one(delayed(Duration::MAX, "q")).await?;
    context.advance(seconds(3600 * 24 * 365));
    assert_eq!(context.broker.promote_due(10).await?.count, 0);
    let view = context.expect_only_in(&id, State::Scheduled).await?;
    assert_eq!(view.due_at, Some(celeriac_core::Timestamp::MAX));
    Ok(())
}
