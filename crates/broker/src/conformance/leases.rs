//! Cases of leases and [`Broker::condemn_expired`](crate::Broker::condemn_expired).

use std::time::Duration;

use celeriac_core::State;

use super::context::{Context, Outcome, expect_session_lost, job, seconds};
use super::worker::{TestWorker, settlement, success};

const TICK: Duration = Duration::from_millis(1);

/// A worker that holds nothing has no lease, so nobody condemns it.
pub async fn a_worker_without_jobs_has_no_lease(context: Context) -> Outcome {
    let worker = context.worker().await?;
    assert!(worker.fetch(&["q"], 1).await?.is_empty());
    context.advance(seconds(60));
    let condemned = context.broker.condemn_expired(10).await?;
    assert_eq!((condemned.incarnations, condemned.next_expiry, condemned.now), (vec![], None, context.now()));
    context.broker.heartbeat(&worker.session).await?;
    assert_eq!(context.broker.condemn_expired(10).await?.next_expiry, None);
    Ok(())
}

/// The fetch that takes jobs begins a lease of the length the worker asked for.
pub async fn a_fetch_begins_a_lease(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let worker = TestWorker::register(&context.broker, "worker", seconds(33)).await?;
    context.advance(seconds(5));
    worker.fetch_one("q").await?;
    let end = context.now().after(seconds(33));
    assert_eq!(context.broker.condemn_expired(10).await?.next_expiry, Some(end));
    Ok(())
}

/// A fetch that takes jobs renews the lease of a worker that holds some.
pub async fn a_fetch_renews_the_lease(context: Context) -> Outcome {
    context.enqueue([job("q"), job("q")]).await?;
    let worker = context.worker().await?;
    worker.fetch_one("q").await?;
    context.advance(seconds(15));
    worker.fetch_one("q").await?;
    let end = context.now().after(seconds(20));
    assert_eq!(context.broker.condemn_expired(10).await?.next_expiry, Some(end));
    Ok(())
}

/// A heartbeat renews the lease of a worker that holds jobs, as often as it comes.
pub async fn a_heartbeat_renews_the_lease(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let worker = context.worker().await?;
    worker.fetch_one("q").await?;
    for _ in 0..3 {
        context.advance(seconds(15));
        context.broker.heartbeat(&worker.session).await?;
        let condemned = context.broker.condemn_expired(10).await?;
        assert_eq!(condemned.incarnations, []);
        assert_eq!(condemned.next_expiry, Some(context.now().after(seconds(20))));
    }
    Ok(())
}

/// The heartbeat after the last settlement ends the lease.
pub async fn the_heartbeat_after_the_last_settlement_ends_the_lease(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    context.broker.heartbeat(&worker.session).await?;
    assert_eq!(context.broker.condemn_expired(10).await?.next_expiry, None);
    context.advance(seconds(60));
    assert_eq!(context.broker.condemn_expired(10).await?.incarnations, []);
    Ok(())
}

/// A worker is condemned after the end of its lease and not before.
pub async fn a_worker_is_condemned_only_after_its_lease(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let worker = context.worker().await?;
    worker.fetch_one("q").await?;
    context.advance(seconds(20) - TICK);
    assert_eq!(context.broker.condemn_expired(10).await?.incarnations, []);
    assert!(context.broker.lost(10).await?.is_empty());
    context.advance(TICK * 2);
    let condemned = context.broker.condemn_expired(10).await?;
    assert_eq!((condemned.incarnations, condemned.next_expiry), (vec![worker.session.incarnation.clone()], None));
    assert_eq!(context.broker.lost(10).await?, [worker.session.incarnation]);
    Ok(())
}

/// A late heartbeat saves a worker whose lease has ended while nobody condemned it.
pub async fn a_late_heartbeat_before_the_verdict_saves_the_worker(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    context.advance(seconds(60));
    context.broker.heartbeat(&worker.session).await?;
    assert_eq!(context.broker.condemn_expired(10).await?.incarnations, []);
    worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    Ok(())
}

/// A condemned worker can do nothing more, and its jobs wait for whoever drains it.
pub async fn a_condemned_worker_can_do_nothing(context: Context) -> Outcome {
    context.enqueue([job("q"), job("other")]).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    context.condemn(&worker).await?;
    expect_session_lost(&context.broker.heartbeat(&worker.session).await);
    expect_session_lost(&context.broker.reconcile(&worker.session).await);
    expect_session_lost(&worker.fetch(&["other"], 1).await);
    expect_session_lost(&worker.settle(&[settlement(&delivery, success(&delivery, context.now()))]).await);
    assert!(context.broker.workers().await?.is_empty());
    context.expect_only_in(&delivery.record.id, State::Running).await?;
    assert_eq!(context.queue("other").await?.ready, 1);
    Ok(())
}

/// A worker is condemned once, however many look.
pub async fn a_worker_is_condemned_once(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let worker = context.worker().await?;
    worker.fetch_one("q").await?;
    context.advance(seconds(21));
    let sibling = context.broker.sibling().await?;
    let (one, other) = tokio::join!(context.broker.condemn_expired(10), sibling.condemn_expired(10));
    assert_eq!(one?.incarnations.len() + other?.incarnations.len(), 1);
    assert_eq!(context.broker.condemn_expired(10).await?.incarnations, []);
    assert_eq!(context.broker.lost(10).await?, [worker.session.incarnation]);
    Ok(())
}

/// A look condemns no more than it may; the rest comes with the next one.
pub async fn a_look_condemns_only_so_many(context: Context) -> Outcome {
    context.enqueue((0..3).map(|_| job("q"))).await?;
    for _ in 0..3 {
        context.worker().await?.fetch_one("q").await?;
    }
    context.advance(seconds(21));
    assert_eq!(context.broker.condemn_expired(2).await?.incarnations.len(), 2);
    assert_eq!(context.broker.lost(1).await?.len(), 1);
    assert_eq!(context.broker.lost(10).await?.len(), 2);
    assert_eq!(context.broker.condemn_expired(2).await?.incarnations.len(), 1);
    assert_eq!(context.broker.lost(10).await?.len(), 3);
    Ok(())
}

/// The end of one lease leaves the others alone and names the next.
pub async fn only_the_worker_whose_lease_ended_is_condemned(context: Context) -> Outcome {
    context.enqueue([job("q"), job("q")]).await?;
    let (short, long) = (context.worker().await?, TestWorker::register(&context.broker, "long", seconds(90)).await?);
    short.fetch_one("q").await?;
    long.fetch_one("q").await?;
    let end = context.now().after(seconds(90));
    context.advance(seconds(30));
    let condemned = context.broker.condemn_expired(10).await?;
    assert_eq!((condemned.incarnations, condemned.next_expiry), (vec![short.session.incarnation], Some(end)));
    assert_eq!(long.held().await?.len(), 1);
    Ok(())
}
