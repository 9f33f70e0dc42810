//! Cases of what keeps a store in order: parked jobs, dead jobs, pauses and clean-up.

use std::time::Duration;

use celeriac_core::{JobId, State};

use super::context::{Context, Outcome, expect_session_lost, given, job, job_of, queue_name, seconds, task_name};
use super::worker::{TestWorker, death_kept, parking};
use crate::{Acceptance, Retried};

async fn park_all(context: &Context, worker: &TestWorker) -> Outcome {
    for delivery in worker.fetch(&["q"], 100).await? {
        worker.settle_one(&delivery, parking(&delivery, context.now())).await?;
        context.advance(seconds(1));
    }
    Ok(())
}

const NOT_DEAD: Retried = Retried::NotDead;

async fn kill_all(context: &Context, worker: &TestWorker) -> Outcome {
    kill_all_for(context, worker, seconds(3600)).await
}

/// Lets all jobs die, to be kept for a time.
async fn kill_all_for(context: &Context, worker: &TestWorker, retention: Duration) -> Outcome {
    for delivery in worker.fetch(&["q"], 100).await? {
        worker.settle_one(&delivery, death_kept(&delivery, context.now(), retention, retention)).await?;
        context.advance(seconds(1));
    }
    Ok(())
}

async fn fetched_ids(worker: &TestWorker) -> Result<Vec<JobId>, crate::BrokerError> {
    Ok(worker.fetch(&["q"], 100).await?.into_iter().map(|delivery| delivery.record.id).collect())
}

/// Parked jobs of the tasks that are named become ready in the order in which they were parked; others stay.
pub async fn parked_jobs_of_known_tasks_are_released(context: Context) -> Outcome {
    let sent = context.enqueue([job_of("a", "q"), job_of("b", "q"), job_of("a", "q")]).await?;
    let worker = context.worker().await?;
    park_all(&context, &worker).await?;
    assert_eq!(context.broker.release_parked(&[task_name("none")], 10).await?, 0);
    assert_eq!(context.broker.release_parked(&[task_name("a"), task_name("none")], 10).await?, 2);
    let queue = context.queue("q").await?;
    assert_eq!((queue.ready, queue.parked), (2, 1));
    assert_eq!(context.job(&sent[0]).await?.since, context.now());
    assert_eq!(context.job(&sent[1]).await?.state, State::Parked);
    assert_eq!(fetched_ids(&worker).await?, [sent[0].clone(), sent[2].clone()]);
    Ok(())
}

/// A release stops at its limit and can be repeated.
pub async fn a_release_is_bounded(context: Context) -> Outcome {
    context.enqueue((0..3).map(|_| job("q"))).await?;
    let worker = context.worker().await?;
    park_all(&context, &worker).await?;
    let tasks = [task_name("task")];
    assert_eq!(context.broker.release_parked(&tasks, 2).await?, 2);
    assert_eq!(context.broker.release_parked(&tasks, 2).await?, 1);
    assert_eq!(context.broker.release_parked(&tasks, 2).await?, 0);
    assert_eq!(context.queue("q").await?.ready, 3);
    Ok(())
}

/// A suspect that was parked is still one when it is released.
pub async fn a_released_suspect_stays_one(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let gone = context.worker().await?;
    gone.fetch_one("q").await?;
    context.lose(&gone).await?;
    let worker = context.worker().await?;
    let suspect = worker.fetch_suspect("q").await?;
    worker.settle_one(&suspect, parking(&suspect, context.now())).await?;
    assert_eq!(context.broker.release_parked(&[task_name("task")], 10).await?, 1);
    assert!(worker.fetch(&["q"], 10).await?.is_empty());
    worker.fetch_suspect("q").await?;
    Ok(())
}

/// A dead job that is retried by hand is ready with its past forgotten and its attempts kept; its end is gone.
pub async fn a_dead_job_is_retried_by_hand(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    for _ in 0..3 {
        let worker = context.worker().await?;
        worker.fetch_idle(&["q"], 1).await?;
        context.lose(&worker).await?;
    }
    context.expect_only_in(&id, State::Dead).await?;
    assert!(context.broker.result(&id).await?.is_some());
    context.advance(seconds(5));
    assert_eq!(context.broker.retry_dead(std::slice::from_ref(&id)).await?, [Retried::Done]);
    let view = context.expect_only_in(&id, State::Queued).await?;
    assert_eq!((view.failures, view.losses, view.suspect, view.attempt), (0, 0, false, 3));
    assert_eq!((view.since, view.enqueued_at), (context.now(), context.now()), "its expiry counts anew");
    assert_eq!(context.broker.result(&id).await?, None);
    assert_eq!(context.worker().await?.fetch_one("q").await?.record.attempt, 3);
    Ok(())
}

/// Only dead jobs are retried by hand; each id gets its answer.
pub async fn only_dead_jobs_are_retried_by_hand(context: Context) -> Outcome {
    let sent = context.enqueue([job("q"), job("q")]).await?;
    let worker = context.worker().await?;
    kill_all(&context, &worker).await?;
    let ready = context.enqueue_one(job("q")).await?;
    let ids = [sent[1].clone(), ready, JobId::generate(), sent[1].clone(), sent[0].clone()];
    use Retried::{Done, NotDead};
    assert_eq!(context.broker.retry_dead(&ids).await?, [Done, NotDead, NotDead, NotDead, Done]);
    let queue = context.queue("q").await?;
    assert_eq!((queue.ready, queue.dead), (3, 0));
    assert!(context.broker.retry_dead(&[]).await?.is_empty());
    Ok(())
}

/// A clean-up removes dead jobs past their retention, no younger ones, and no more than it may.
pub async fn a_clean_up_removes_old_dead_jobs(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let long = context.enqueue_one(job("q")).await?;
    kill_all_for(&context, &worker, seconds(7200)).await?;
    let old = context.enqueue((0..3).map(|_| job("q"))).await?;
    kill_all_for(&context, &worker, seconds(1800)).await?;
    assert_eq!(context.broker.prune(10).await?.dead, 0);
    context.advance(seconds(1800));
    let young = context.enqueue_one(job("q")).await?;
    kill_all_for(&context, &context.worker().await?, seconds(1800)).await?;
    assert_eq!(context.broker.prune(2).await?.dead, 2);
    assert_eq!(context.broker.prune(2).await?.dead, 1);
    assert_eq!(context.broker.prune(2).await?.dead, 0);
    assert_eq!(context.job(&long).await?.state, State::Dead);
    assert_eq!(context.job(&young).await?.state, State::Dead);
    assert_eq!(context.queue("q").await?.dead, 2);
    assert_eq!(context.broker.retry_dead(&old).await?, [NOT_DEAD; 3]);
    Ok(())
}

/// A clean-up leaves alone what is not dead.
pub async fn a_clean_up_leaves_the_living(context: Context) -> Outcome {
    context.enqueue([job("q"), job("q"), job("q")]).await?;
    let worker = context.worker().await?;
    let running = worker.fetch_one("q").await?;
    let parked = worker.fetch_one("q").await?;
    worker.settle_one(&parked, parking(&parked, context.now())).await?;
    context.advance(seconds(60));
    context.broker.heartbeat(&worker.session).await?;
    assert_eq!(context.broker.prune(100).await?, crate::Pruned::default());
    let queue = context.queue("q").await?;
    assert_eq!((queue.ready, queue.running, queue.parked), (1, 1, 1));
    assert_eq!(worker.held().await?, [(running.record.id, running.lease.fence)]);
    Ok(())
}

/// A paused queue accepts jobs and hands out none, suspects neither; other queues go on.
pub async fn a_paused_queue_hands_out_nothing(context: Context) -> Outcome {
    let worker = context.worker().await?;
    context.enqueue([job("q")]).await?;
    let gone = context.worker().await?;
    gone.fetch_one("q").await?;
    context.lose(&gone).await?;
    let queue = queue_name("q");
    context.broker.set_paused(&queue, true).await?;
    assert!(context.queue("q").await?.paused);
    context.enqueue([job("q"), job("other")]).await?;
    let got = worker.fetch_idle(&["q", "other"], 10).await?.jobs;
    assert_eq!(got.iter().map(|one| one.record.queue.as_str()).collect::<Vec<_>>(), ["other"]);
    assert_eq!(context.queue("q").await?.ready, 2);
    context.broker.set_paused(&queue, false).await?;
    assert!(!context.queue("q").await?.paused);
    assert_eq!(worker.fetch(&["q"], 10).await?.len(), 1);
    Ok(())
}

/// A queue can be paused before its first job, and stays so until it is resumed.
pub async fn a_queue_can_be_paused_before_its_first_job(context: Context) -> Outcome {
    let queue = queue_name("q");
    context.broker.set_paused(&queue, true).await?;
    context.broker.set_paused(&queue, true).await?;
    context.enqueue([job("q")]).await?;
    let worker = context.worker().await?;
    assert!(worker.fetch(&["q"], 10).await?.is_empty());
    context.broker.set_paused(&queue, false).await?;
    assert_eq!(worker.fetch(&["q"], 10).await?.len(), 1);
    Ok(())
}

/// Jobs of a paused queue that are held can be settled, and due ones become ready.
pub async fn a_pause_keeps_nobody_from_settling(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    context.broker.set_paused(&queue_name("q"), true).await?;
    worker.settle_one(&delivery, super::worker::retry(&delivery, context.now(), seconds(1))).await?;
    context.advance(seconds(1));
    assert_eq!(context.broker.promote_due(10).await?.count, 1);
    context.expect_only_in(&id, State::Queued).await?;
    assert!(worker.fetch(&["q"], 10).await?.is_empty());
    Ok(())
}

/// A registration that nobody renews ends, and a clean-up removes it; a worker that beats stays.
pub async fn a_clean_up_removes_workers_that_vanished(context: Context) -> Outcome {
    let (gone, stays) = (context.worker().await?, context.worker().await?);
    for _ in 0..60 {
        context.advance(seconds(60));
        context.broker.heartbeat(&stays.session).await?;
    }
    expect_session_lost(&context.broker.heartbeat(&gone.session).await);
    context.broker.prune(100).await?;
    let listed: Vec<_> = context.broker.workers().await?.into_iter().map(|view| view.incarnation).collect();
    assert_eq!(listed, [stays.session.incarnation]);
    Ok(())
}

/// An id that a clean-up set free, job and end both, may be used again.
pub async fn a_pruned_id_is_free_again(context: Context) -> Outcome {
    context.enqueue([given("a", "q")]).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    let transition = death_kept(&delivery, context.now(), seconds(5), seconds(0));
    worker.settle_one(&delivery, transition).await?;
    assert_eq!(context.offer(vec![given("a", "q")]).await?, [Acceptance::IdInUse]);
    context.advance(seconds(10));
    assert_eq!(context.broker.prune(10).await?.dead, 1);
    assert_eq!(context.offer(vec![given("a", "q")]).await?, [Acceptance::Accepted]);
    Ok(())
}
