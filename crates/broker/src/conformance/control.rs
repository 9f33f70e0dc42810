//! Cases of what people order: revoke, purge, delete.

use celeriac_core::{JobId, State};

use super::context::{Context, Outcome, delayed, given, job, job_of, queue_name, seconds, task_name, within};
use super::worker::{TestWorker, death, hand_back, parking, retry, revocation, settlement, success};
use crate::{Acceptance, BrokerError, Purged, Revocation, Settled};

async fn revoke(context: &Context, id: &JobId) -> Result<Revocation, BrokerError> {
    Ok(context.broker.revoke(std::slice::from_ref(id), "ann@desk").await?.remove(0))
}

async fn expect_revoked(context: &Context, id: &JobId) -> Outcome {
    let end = context.broker.result(id).await?.expect("its end is kept");
    assert_eq!((end.state, &*end.worker, end.attempt), (State::Revoked, "ann@desk", 0));
    context.expect_only_in(id, State::Revoked).await?;
    Ok(())
}

/// A ready job that is revoked has ended and is never handed out; those around it are.
pub async fn a_revoked_ready_job_never_starts(context: Context) -> Outcome {
    let ids = context.enqueue([job("q"), job("q"), job("q")]).await?;
    assert_eq!(revoke(&context, &ids[1]).await?, Revocation::Ended);
    let queue = context.queue("q").await?;
    assert_eq!((queue.ready, context.jobs().await?.len()), (2, 2));
    let worker = context.worker().await?;
    let found: Vec<_> = worker.fetch(&["q"], 10).await?.into_iter().map(|delivery| delivery.record.id).collect();
    assert_eq!(found, [ids[0].clone(), ids[2].clone()]);
    assert_eq!(context.broker.result(&ids[1]).await?.map(|end| end.state), Some(State::Revoked));
    assert_eq!(context.queue("q").await?.ready, 0);
    assert!(!worker.fetch_busy(&["q"], 10).await?.more);
    Ok(())
}

/// A scheduled job that is revoked has ended, and nothing is due any more.
pub async fn a_revoked_scheduled_job_never_starts(context: Context) -> Outcome {
    let id = context.enqueue_one(delayed(seconds(5), "q")).await?;
    assert_eq!(revoke(&context, &id).await?, Revocation::Ended);
    expect_revoked(&context, &id).await?;
    context.advance(seconds(10));
    let promoted = context.broker.promote_due(10).await?;
    assert_eq!((promoted.count, promoted.next_due), (0, None));
    Ok(())
}

/// A parked job that is revoked has ended, and no release brings it back.
pub async fn a_revoked_parked_job_never_starts(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, parking(&delivery, context.now())).await?;
    assert_eq!(revoke(&context, &id).await?, Revocation::Ended);
    expect_revoked(&context, &id).await?;
    assert_eq!(context.broker.release_parked(&[task_name("task")], 10).await?, 0);
    Ok(())
}

/// A suspect that is revoked has ended, and the next suspect comes.
pub async fn a_revoked_suspect_never_starts(context: Context) -> Outcome {
    let ids = context.enqueue([job("q"), job("q")]).await?;
    let gone = context.worker().await?;
    assert_eq!(gone.fetch(&["q"], 2).await?.len(), 2);
    context.lose(&gone).await?;
    let worker = context.worker().await?;
    let first = worker.fetch_suspect("q").await?.record.id;
    let second = ids.iter().find(|id| **id != first).expect("there are two");
    assert_eq!(revoke(&context, second).await?, Revocation::Ended);
    assert!(worker.fetch_idle(&["q"], 10).await?.jobs.is_empty());
    assert_eq!(context.queue("q").await?.ready, 0);
    Ok(())
}

/// The worker of a running job that is revoked is told with its next heartbeat, and again with each until the job has ended.
pub async fn the_worker_of_a_revoked_job_is_told(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    assert!(context.broker.heartbeat(&worker.session).await?.revoked.is_empty());
    assert_eq!(revoke(&context, &id).await?, Revocation::Told);
    assert_eq!(context.job(&id).await?.state, State::Running);
    for _ in 0..2 {
        assert_eq!(context.broker.heartbeat(&worker.session).await?.revoked, std::slice::from_ref(&id));
    }
    worker.settle_one(&delivery, revocation(&delivery, context.now())).await?;
    assert!(context.broker.heartbeat(&worker.session).await?.revoked.is_empty());
    assert_eq!(context.broker.result(&id).await?.map(|end| end.state), Some(State::Revoked));
    Ok(())
}

/// A wait for orders ends when a job of the worker is revoked, before or while it waits.
pub async fn a_revocation_ends_a_wait_for_orders(context: Context) -> Outcome {
    let ids = context.enqueue([job("q"), job("q")]).await?;
    let worker = context.worker().await?;
    assert_eq!(worker.fetch(&["q"], 2).await?.len(), 2);
    let broker = context.broker.sibling().await?;
    for id in &ids {
        let waiting = broker.wait_for_orders(&worker.session, seconds(3600));
        let (waited, revoked) = within(async { tokio::join!(waiting, revoke(&context, id)) }).await;
        waited?;
        assert_eq!(revoked?, Revocation::Told);
        assert!(broker.heartbeat(&worker.session).await?.revoked.contains(id));
    }
    Ok(())
}

/// A revoked running job can succeed or die, and can not go on: not by a retry, a hand-back or a parking.
pub async fn a_revoked_running_job_cannot_go_on(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let ids = context.enqueue((0..4).map(|_| job("q"))).await?;
    let held = worker.fetch(&["q"], 4).await?;
    for id in &ids {
        assert_eq!(revoke(&context, id).await?, Revocation::Told);
    }
    let now = context.now();
    let tries = [
        settlement(&held[0], retry(&held[0], now, seconds(1))),
        settlement(&held[1], hand_back(&held[1], now)),
        settlement(&held[2], parking(&held[2], now)),
        settlement(&held[3], success(&held[3], now)),
    ];
    let settled = worker.settle(&tries).await?;
    assert_eq!(settled, [Settled::Revoked, Settled::Revoked, Settled::Revoked, Settled::Done]);
    assert_eq!(worker.held().await?.len(), 3);
    for delivery in &held[..3] {
        worker.settle_one(delivery, revocation(delivery, now)).await?;
        assert_eq!(context.job(&delivery.record.id).await?.state, State::Revoked);
    }
    assert_eq!(context.job(&ids[3]).await?.state, State::Succeeded);
    Ok(())
}

/// A revoked job whose worker vanishes is not run again: who drains is told, and ends it.
pub async fn a_revocation_outlives_the_worker(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let gone = context.worker().await?;
    let delivery = gone.fetch_one("q").await?;
    assert_eq!(revoke(&context, &id).await?, Revocation::Told);
    context.condemn(&gone).await?;
    let holder = crate::Holder::Condemned(gone.session.incarnation.clone());
    let lost = [settlement(&delivery, super::lost(&delivery, context.now()))];
    assert_eq!(context.broker.settle(&holder, &lost).await?, [Settled::Revoked]);
    assert!(!context.broker.finish_drain(&gone.session.incarnation).await?);
    let ended = [settlement(&delivery, revocation(&delivery, context.now()))];
    assert_eq!(context.broker.settle(&holder, &ended).await?, [Settled::Done]);
    assert!(context.broker.finish_drain(&gone.session.incarnation).await?);
    assert_eq!(context.job(&id).await?.state, State::Revoked);
    Ok(())
}

/// A job of a condemned worker that is not drained yet is revoked as a running one.
pub async fn a_job_of_a_condemned_worker_can_be_revoked(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let gone = context.worker().await?;
    gone.fetch_one("q").await?;
    context.condemn(&gone).await?;
    assert_eq!(revoke(&context, &id).await?, Revocation::Told);
    Ok(())
}

/// Who revokes what has ended, or what nobody knows, is told so; each id gets its answer.
pub async fn a_revocation_answers_for_each_id(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let ids = context.enqueue([job("q"), job("q"), job("q")]).await?;
    let done = worker.fetch_one("q").await?;
    worker.settle_one(&done, success(&done, context.now())).await?;
    let dead = worker.fetch_one("q").await?;
    worker.settle_one(&dead, death(&dead, context.now())).await?;
    let asked = [ids[0].clone(), ids[1].clone(), ids[2].clone(), JobId::generate(), ids[2].clone()];
    let answers = context.broker.revoke(&asked, "test").await?;
    use Revocation::{Ended, TooLate, Unknown};
    assert_eq!(answers[..4], [TooLate, TooLate, Ended, Unknown]);
    assert_eq!(context.job(&ids[1]).await?.state, State::Dead);
    assert_eq!(revoke(&context, &ids[2]).await?, TooLate);
    assert!(context.broker.revoke(&[], "test").await?.is_empty());
    Ok(())
}

/// The id of a revoked job is in use while its end is kept.
pub async fn the_id_of_a_revoked_job_is_in_use(context: Context) -> Outcome {
    context.enqueue([given("a", "q")]).await?;
    let id = JobId::new("a").expect("it is one");
    assert_eq!(revoke(&context, &id).await?, Revocation::Ended);
    assert_eq!(context.offer(vec![given("a", "q")]).await?, [Acceptance::IdInUse]);
    Ok(())
}

/// A revocation ends the wait for the result of the job.
pub async fn a_revocation_ends_a_wait_for_the_result(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let waiting = context.broker.wait_result(&id);
    let (end, revoked) = within(async { tokio::join!(waiting, revoke(&context, &id)) }).await;
    revoked?;
    assert_eq!(end?.state, State::Revoked);
    Ok(())
}

/// A purge ends the ready jobs of one queue, suspects and all priorities included, and no others.
pub async fn a_purge_ends_what_is_ready(context: Context) -> Outcome {
    let mut urgent = job("q");
    urgent.record.priority = celeriac_core::Priority::new(9).expect("it is one");
    let ids = context.enqueue([urgent, job("q"), job("q")]).await?;
    let gone = context.worker().await?;
    gone.fetch_one("q").await?;
    context.lose(&gone).await?;
    let worker = context.worker().await?;
    let running = worker.fetch_one("q").await?;
    let stays = context.enqueue([delayed(seconds(5), "q"), job_of("task", "other")]).await?;
    let purged = context.broker.purge(&queue_name("q"), 100, "ann@desk").await?;
    assert_eq!(purged, Purged { count: 2, more: false });
    let queue = context.queue("q").await?;
    assert_eq!((queue.ready, queue.scheduled, queue.running), (0, 1, 1));
    let ended = ids.iter().filter(|id| **id != running.record.id);
    for id in ended {
        assert_eq!(context.broker.result(id).await?.map(|end| end.state), Some(State::Revoked));
    }
    assert_eq!(context.job(&stays[1]).await?.state, State::Queued);
    assert!(worker.fetch_idle(&["q"], 10).await?.jobs.is_empty());
    Ok(())
}

/// A purge stops at its limit, says that there is more, and can be repeated; revoked jobs among the others do not count.
pub async fn a_purge_is_bounded(context: Context) -> Outcome {
    let ids = context.enqueue((0..5).map(|_| job("q"))).await?;
    assert_eq!(revoke(&context, &ids[1]).await?, Revocation::Ended);
    let queue = queue_name("q");
    assert_eq!(context.broker.purge(&queue, 3, "test").await?, Purged { count: 3, more: true });
    assert_eq!(context.queue("q").await?.ready, 1);
    assert_eq!(context.broker.purge(&queue, 3, "test").await?, Purged { count: 1, more: false });
    assert_eq!(context.broker.purge(&queue, 3, "test").await?, Purged::default());
    assert_eq!(context.broker.purge(&queue_name("none"), 3, "test").await?, Purged::default());
    Ok(())
}

async fn die(context: &Context, worker: &TestWorker) -> Result<JobId, BrokerError> {
    let id = context.enqueue_one(job("q")).await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, death(&delivery, context.now())).await?;
    Ok(id)
}

/// A dead job that is deleted is gone, and its end stays readable; nothing else is deleted.
pub async fn only_dead_jobs_are_deleted(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let (first, second) = (die(&context, &worker).await?, die(&context, &worker).await?);
    let ready = context.enqueue_one(job("q")).await?;
    let ids = [first.clone(), ready, JobId::generate(), first.clone()];
    assert_eq!(context.broker.delete_dead(&ids).await?, [true, false, false, false]);
    let queue = context.queue("q").await?;
    assert_eq!((queue.dead, queue.ready), (1, 1));
    assert_eq!(context.broker.result(&first).await?.map(|end| end.state), Some(State::Dead));
    assert_eq!(context.job(&second).await?.state, State::Dead);
    assert!(context.broker.delete_dead(&[]).await?.is_empty());
    Ok(())
}
