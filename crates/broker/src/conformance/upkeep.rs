//! Cases of what keeps a store in order: parked jobs, dead jobs, pauses and clean-up.

use celeriac_core::{JobId, State};

use super::context::{Context, Outcome, expect_session_lost, given, job, job_of, queue_name, seconds, task_name};
use super::worker::{TestWorker, death, parking};
use crate::Acceptance;

async fn park_all(context: &Context, worker: &TestWorker) -> Outcome {
    for delivery in worker.fetch(&["q"], 100).await? {
        worker.settle_one(&delivery, parking(&delivery, context.now())).await?;
        context.advance(seconds(1));
    }
    Ok(())
}

async fn kill_all(context: &Context, worker: &TestWorker) -> Outcome {
    for delivery in worker.fetch(&["q"], 100).await? {
        worker.settle_one(&delivery, death(&delivery, context.now())).await?;
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
    assert_eq!(context.broker.retry_dead(std::slice::from_ref(&id)).await?, [true]);
    let view = context.expect_only_in(&id, State::Queued).await?;
    assert_eq!((view.failures, view.losses, view.suspect, view.attempt), (0, 0, false, 3));
    assert_eq!(view.since, context.now());
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
    assert_eq!(context.broker.retry_dead(&ids).await?, [true, false, false, false, true]);
    let queue = context.queue("q").await?;
    assert_eq!((queue.ready, queue.dead), (3, 0));
    assert!(context.broker.retry_dead(&[]).await?.is_empty());
    Ok(())
}

/// A clean-up removes dead jobs past their retention, no younger ones, and no more than it may.
pub async fn a_clean_up_removes_old_dead_jobs(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let old = context.enqueue((0..3).map(|_| job("q"))).await?;
    kill_all(&context, &worker).await?;
    context.advance(seconds(3600));
    let young = context.enqueue_one(job("q")).await?;
    kill_all(&context, &context.worker().await?).await?;
    assert_eq!(context.broker.prune(seconds(7200), 10).await?.dead, 0);
    assert_eq!(context.broker.prune(seconds(1800), 2).await?.dead, 2);
    assert_eq!(context.broker.prune(seconds(1800), 2).await?.dead, 1);
    assert_eq!(context.broker.prune(seconds(1800), 2).await?.dead, 0);
    assert_eq!(context.job(&young).await?.state, State::Dead);
    assert_eq!(context.queue("q").await?.dead, 1);
    assert_eq!(context.broker.retry_dead(&old).await?, [false; 3]);
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
    assert_eq!(context.broker.prune(seconds(0), 100).await?, crate::Pruned::default());
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
    context.broker.prune(seconds(60), 100).await?;
    let listed: Vec<_> = context.broker.workers().await?.into_iter().map(|view| view.incarnation).collect();
    assert_eq!(listed, [stays.session.incarnation]);
    Ok(())
}

/// An id that a clean-up set free, job and end both, may be used again.
pub async fn a_pruned_id_is_free_again(context: Context) -> Outcome {
    context.enqueue([given("a", "q")]).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    let transition = match death(&delivery, context.now()) {
        celeriac_core::Transition::DeadLetter { record, outcome, .. } => {
            celeriac_core::Transition::DeadLetter { record, outcome, keep: seconds(0) }
        }
        other => panic!("death is {other:?}"),
    };
    worker.settle_one(&delivery, transition).await?;
    assert_eq!(context.offer(vec![given("a", "q")]).await?, [Acceptance::IdInUse]);
    context.advance(seconds(10));
    assert_eq!(context.broker.prune(seconds(5), 10).await?.dead, 1);
    assert_eq!(context.offer(vec![given("a", "q")]).await?, [Acceptance::Accepted]);
    Ok(())
}
