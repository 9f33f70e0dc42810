//! Cases of [`Broker::exchange`](crate::Broker::exchange): ends out and jobs in, both or neither.

use celeriac_core::State;

use super::context::{Context, Outcome, expect_session_lost, job, seconds};
use super::worker::{Load, hand_back, request, retry, settlement, success};
use crate::{Exchanged, Settled};

/// Ends and jobs pass in one call.
pub async fn an_exchange_settles_and_fetches(context: Context) -> Outcome {
    let ids = context.enqueue((0..6).map(|_| job("q"))).await?;
    let worker = context.worker().await?;
    let held = worker.fetch(&["q"], 3).await?;
    let ends: Vec<_> = held.iter().map(|one| settlement(one, success(one, context.now()))).collect();
    let asked = request(&["q"], 2, Load::Idle);
    let Exchanged { settled, fetched } = context.broker.exchange(&worker.session, &ends, &asked).await?;
    assert_eq!(settled, [Settled::Done; 3]);
    assert_eq!(fetched.jobs.iter().map(|job| job.record.id.clone()).collect::<Vec<_>>(), ids[3..5]);
    assert!(fetched.more && fetched.jobs[0].lease.fence > held[0].lease.fence);
    assert_eq!(worker.held().await?.len(), 2);
    for id in &ids[..3] {
        assert_eq!(context.broker.result(id).await?.map(|end| end.state), Some(State::Succeeded));
    }
    Ok(())
}

/// A worker whose last jobs end by the call, and that gets none, has no lease any more.
pub async fn an_exchange_that_brings_nothing_leaves_nothing_held(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    let end = settlement(&delivery, success(&delivery, context.now()));
    let exchanged = context.broker.exchange(&worker.session, &[end], &request(&["q"], 5, Load::Idle)).await?;
    assert_eq!((exchanged.settled, exchanged.fetched.jobs.len()), (vec![Settled::Done], 0));
    assert!(!exchanged.fetched.more && worker.held().await?.is_empty());
    context.advance(seconds(21));
    assert!(context.broker.condemn_expired(10).await?.incarnations.is_empty());
    Ok(())
}

/// A job that is handed back may be handed out again in the same call, under another token.
pub async fn an_exchange_may_bring_what_it_handed_back(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let first = worker.fetch_one("q").await?;
    let end = settlement(&first, hand_back(&first, context.now()));
    let exchanged = context.broker.exchange(&worker.session, &[end], &request(&["q"], 5, Load::Busy)).await?;
    let again = &exchanged.fetched.jobs[0];
    assert_eq!(again.record.id, id);
    assert!(again.lease.fence > first.lease.fence);
    assert_eq!(worker.settle(&[settlement(&first, success(&first, context.now()))]).await?, [Settled::NotHeld]);
    assert_eq!(worker.settle(&[settlement(again, success(again, context.now()))]).await?, [Settled::Done]);
    Ok(())
}

/// Each settlement of a call stands for itself: what is not held changes nothing, and the rest is done.
pub async fn an_exchange_says_what_was_not_held(context: Context) -> Outcome {
    context.enqueue((0..3).map(|_| job("q"))).await?;
    let (one, other) = (context.worker().await?, context.worker().await?);
    let mine = one.fetch(&["q"], 2).await?;
    let theirs = other.fetch_one("q").await?;
    let ends = [
        settlement(&mine[0], success(&mine[0], context.now())),
        settlement(&theirs, success(&theirs, context.now())),
        settlement(&mine[1], retry(&mine[1], context.now(), seconds(5))),
        settlement(&mine[0], success(&mine[0], context.now())),
    ];
    let exchanged = context.broker.exchange(&one.session, &ends, &request(&["q"], 5, Load::Idle)).await?;
    assert_eq!(exchanged.settled, [Settled::Done, Settled::NotHeld, Settled::Done, Settled::NotHeld]);
    assert_eq!(exchanged.fetched.next_due, Some(context.now().after(seconds(5))));
    assert_eq!(other.held().await?.len(), 1);
    assert!(one.held().await?.is_empty());
    Ok(())
}

/// An older generation can do neither half.
pub async fn an_exchange_of_an_older_generation_does_nothing(context: Context) -> Outcome {
    context.enqueue((0..2).map(|_| job("q"))).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    context.broker.reconcile(&worker.session).await?;
    let end = settlement(&delivery, success(&delivery, context.now()));
    let asked = request(&["q"], 5, Load::Busy);
    expect_session_lost(&context.broker.exchange(&worker.session, &[end], &asked).await);
    assert_eq!(worker.held().await?.len(), 1);
    assert_eq!(context.queue("q").await?.ready, 1);
    Ok(())
}

/// A fetch says whether more is ready, of the queues it asked for that are not paused.
pub async fn a_fetch_says_whether_more_is_ready(context: Context) -> Outcome {
    context.enqueue([job("q"), job("q"), job("r")]).await?;
    let worker = context.worker().await?;
    assert!(worker.fetch_busy(&["q"], 1).await?.more);
    assert!(!worker.fetch_busy(&["q"], 1).await?.more);
    assert!(worker.fetch_busy(&["q", "r"], 0).await?.more);
    context.broker.set_paused(&super::context::queue_name("r"), true).await?;
    assert!(!worker.fetch_busy(&["q", "r"], 5).await?.more);
    Ok(())
}
