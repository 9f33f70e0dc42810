//! Cases of [`Broker::settle`](crate::Broker::settle): each way out of a delivery, and who may take it.

use celeriac_core::{Fence, JobId, State, Transition};

use super::context::{Context, Outcome, expect_session_lost, job, seconds};
use super::worker::{death, death_kept, hand_back, parking, retry, settlement, success, success_kept};
use crate::{Holder, MAX_BATCH_JOBS, Settled, Settlement};

/// Success removes the record and keeps the end, which can be read at once.
pub async fn success_keeps_the_end_and_not_the_record(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    let transition = success(&delivery, context.now());
    worker.settle_one(&delivery, transition.clone()).await?;
    let Transition::Finish { outcome, .. } = transition else { panic!("success is {transition:?}") };
    assert_eq!(context.broker.result(&id).await?, Some(outcome));
    let view = context.expect_only_in(&id, State::Succeeded).await?;
    assert_eq!((view.attempt, view.worker.as_deref(), view.payload), (1, Some("worker"), None));
    assert_eq!(view.result.map(|result| result.get().to_owned()).as_deref(), Some("[1]"));
    assert!(worker.held().await?.is_empty());
    Ok(())
}

/// Success whose end nobody wants leaves nothing.
pub async fn success_without_an_end_leaves_nothing(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, success_kept(&delivery, context.now(), seconds(0))).await?;
    assert_eq!(context.broker.result(&id).await?, None);
    assert!(context.broker.job(&id).await?.is_none());
    assert!(context.jobs().await?.is_empty());
    assert_eq!(context.queue("q").await?.running, 0);
    Ok(())
}

/// A failed attempt waits for its delay and comes again with its history.
pub async fn a_retry_waits_and_comes_again(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let accepted = context.now();
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    context.advance(seconds(1));
    worker.settle_one(&delivery, retry(&delivery, context.now(), seconds(30))).await?;
    let view = context.expect_only_in(&id, State::Retry).await?;
    assert_eq!((view.attempt, view.failures, view.error.as_deref()), (1, 1, Some("no disk")));
    assert_eq!((view.enqueued_at, view.since), (accepted, context.now()));
    assert_eq!(view.due_at, Some(context.now().after(seconds(30))));
    assert!(worker.fetch(&["q"], 1).await?.is_empty());
    context.advance(seconds(30));
    assert_eq!(context.broker.promote_due(1).await?.count, 1);
    context.expect_only_in(&id, State::Queued).await?;
    let again = worker.fetch_one("q").await?;
    assert_eq!((again.record.attempt, again.record.failures, again.record.history.len()), (1, 1, 1));
    assert!(again.lease.fence > delivery.lease.fence);
    assert_eq!(context.expect_only_in(&id, State::Running).await?.attempt, 2);
    Ok(())
}

/// A dead job keeps its record, and its end can be read.
pub async fn a_dead_job_keeps_record_and_end(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, death(&delivery, context.now())).await?;
    let view = context.expect_only_in(&id, State::Dead).await?;
    assert_eq!((view.payload.as_deref(), view.history.len()), (Some(b"{}".as_slice()), 1));
    let end = context.broker.result(&id).await?;
    assert_eq!(end.and_then(|outcome| outcome.error).as_deref(), Some("bad card"));
    assert!(worker.fetch(&["q"], 1).await?.is_empty());
    Ok(())
}

/// A dead job whose end nobody wants is still kept as dead.
pub async fn a_dead_job_without_an_end_is_still_listed(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, death_kept(&delivery, context.now(), seconds(60), seconds(0))).await?;
    context.expect_only_in(&id, State::Dead).await?;
    assert_eq!(context.broker.result(&id).await?, None);
    Ok(())
}

/// A job that is handed back is the next one of its queue, and the attempt is not counted.
pub async fn a_job_handed_back_is_the_first_of_its_queue(context: Context) -> Outcome {
    let sent = context.enqueue([job("q"), job("q")]).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, hand_back(&delivery, context.now())).await?;
    assert_eq!(context.job(&sent[0]).await?.state, State::Queued);
    assert_eq!(context.queue("q").await?.ready, 2);
    let again = worker.fetch_one("q").await?;
    assert_eq!((&again.record.id, again.record.attempt), (&sent[0], 0));
    assert!(again.lease.fence > delivery.lease.fence);
    Ok(())
}

/// A parked job is kept aside with the reason.
pub async fn a_parked_job_is_kept_aside(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, parking(&delivery, context.now())).await?;
    let view = context.expect_only_in(&id, State::Parked).await?;
    assert_eq!((view.attempt, view.error.as_deref()), (0, Some("no such task")));
    assert!(worker.fetch(&["q"], 1).await?.is_empty());
    assert_eq!(context.broker.result(&id).await?, None);
    Ok(())
}

/// A token that is not the one of the hand-out settles nothing.
pub async fn a_wrong_token_settles_nothing(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    for number in [delivery.lease.fence.get() - 1, delivery.lease.fence.get() + 1] {
        let transition = success(&delivery, context.now());
        let wrong = Settlement { id: id.clone(), fence: Fence::new(number), transition };
        assert_eq!(worker.settle(&[wrong]).await?, [Settled::NotHeld]);
    }
    context.expect_only_in(&id, State::Running).await?;
    assert_eq!(context.broker.result(&id).await?, None);
    assert_eq!(worker.held().await?, [(id, delivery.lease.fence)]);
    Ok(())
}

/// The token of an earlier hand-out of the same job to the same worker settles nothing.
pub async fn a_stale_lease_cannot_settle(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let stale = worker.fetch_one("q").await?;
    worker.settle_one(&stale, hand_back(&stale, context.now())).await?;
    let current = worker.fetch_one("q").await?;
    let late = settlement(&stale, death(&stale, context.now()));
    assert_eq!(worker.settle(&[late]).await?, [Settled::NotHeld]);
    context.expect_only_in(&id, State::Running).await?;
    worker.settle_one(&current, success(&current, context.now())).await?;
    Ok(())
}

/// A settlement is applied once: a repeat finds the job not held and changes nothing.
pub async fn a_second_settlement_changes_nothing(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    let first = context.broker.result(&id).await?;
    let repeats = [success(&delivery, context.now()), death(&delivery, context.now())];
    for transition in repeats {
        assert_eq!(worker.settle(&[settlement(&delivery, transition)]).await?, [Settled::NotHeld]);
    }
    assert_eq!(context.broker.result(&id).await?, first);
    context.expect_only_in(&id, State::Succeeded).await?;
    Ok(())
}

/// Of two settlements of one delivery in one call the first counts.
pub async fn one_call_settles_a_job_once(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    let both = [
        settlement(&delivery, parking(&delivery, context.now())),
        settlement(&delivery, death(&delivery, context.now())),
    ];
    assert_eq!(worker.settle(&both).await?, [Settled::Done, Settled::NotHeld]);
    context.expect_only_in(&id, State::Parked).await?;
    Ok(())
}

/// One call may hold every kind of settlement; each gets its answer in its place.
pub async fn one_call_settles_every_kind(context: Context) -> Outcome {
    let queues = ["done", "retried", "dead", "back", "parked", "gone"];
    let ids = context.enqueue(queues.map(job)).await?;
    let worker = context.worker().await?;
    let got = worker.fetch(&queues, 10).await?;
    let now = context.now();
    let unknown = Settlement { id: JobId::generate(), ..settlement(&got[0], success(&got[0], now)) };
    let settlements = [
        settlement(&got[0], success(&got[0], now)),
        settlement(&got[1], retry(&got[1], now, seconds(5))),
        unknown,
        settlement(&got[2], death(&got[2], now)),
        settlement(&got[3], hand_back(&got[3], now)),
        settlement(&got[4], parking(&got[4], now)),
        settlement(&got[5], success_kept(&got[5], now, seconds(0))),
    ];
    use Settled::{Done, NotHeld};
    assert_eq!(worker.settle(&settlements).await?, [Done, Done, NotHeld, Done, Done, Done, Done]);
    let states = [State::Succeeded, State::Retry, State::Dead, State::Queued, State::Parked];
    for (id, state) in ids.iter().zip(states) {
        context.expect_only_in(id, state).await?;
    }
    assert!(context.broker.job(&ids[5]).await?.is_none());
    assert!(worker.held().await?.is_empty());
    Ok(())
}

/// As many deliveries as one fetch may take are settled in one call; no settlement at all is allowed too.
pub async fn a_full_fetch_is_settled_in_one_call(context: Context) -> Outcome {
    context.enqueue((0..MAX_BATCH_JOBS).map(|_| job("q"))).await?;
    let worker = context.worker().await?;
    assert!(worker.settle(&[]).await?.is_empty());
    let got = worker.fetch(&["q"], MAX_BATCH_JOBS).await?;
    let settlements: Vec<_> = got.iter().map(|one| settlement(one, success(one, context.now()))).collect();
    assert_eq!(worker.settle(&settlements).await?, vec![Settled::Done; MAX_BATCH_JOBS]);
    let queue = context.queue("q").await?;
    assert_eq!((queue.ready, queue.running), (0, 0));
    assert!(context.broker.result(&got[MAX_BATCH_JOBS - 1].record.id).await?.is_some());
    Ok(())
}

/// Nobody settles in the name of a worker that was not condemned.
pub async fn nobody_settles_for_a_worker_that_lives(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    let holder = Holder::Condemned(worker.session.incarnation.clone());
    let settlements = [settlement(&delivery, death(&delivery, context.now()))];
    expect_session_lost(&context.broker.settle(&holder, &settlements).await);
    context.expect_only_in(&id, State::Running).await?;
    Ok(())
}
