//! Cases of draining a condemned worker, and of the suspects it leaves.

use celeriac_core::{Fence, Priority, State};

use super::context::{Context, Outcome, expect_session_lost, job, queue_name, seconds};
use super::worker::{hand_back, lost, retry, settlement, success};
use crate::{Holder, Settled, Settlement};

/// Draining makes the jobs of a condemned worker suspects of their queues.
pub async fn drained_jobs_become_suspects(context: Context) -> Outcome {
    let ids = context.enqueue([job("a"), job("b")]).await?;
    let worker = context.worker().await?;
    worker.fetch(&["a", "b"], 2).await?;
    context.lose(&worker).await?;
    for id in &ids {
        let view = context.expect_only_in(id, State::Queued).await?;
        assert_eq!((view.suspect, view.attempt, view.losses, view.failures), (true, 1, 1, 0));
        assert_eq!(view.since, context.now());
    }
    assert!(context.broker.lost(10).await?.is_empty());
    Ok(())
}

/// What a condemned worker holds can be read with its tokens, so much at a time.
pub async fn what_a_condemned_worker_holds_can_be_read(context: Context) -> Outcome {
    context.enqueue((0..3).map(|_| job("q"))).await?;
    let worker = context.worker().await?;
    let mut delivered = worker.fetch(&["q"], 2).await?;
    delivered.extend(worker.fetch(&["q"], 2).await?);
    context.condemn(&worker).await?;
    let incarnation = &worker.session.incarnation;
    assert_eq!(context.broker.held_by(incarnation, 2).await?.len(), 2);
    let mut held = context.broker.held_by(incarnation, 10).await?;
    held.sort_by_key(|delivery| delivery.record.id.clone());
    delivered.sort_by_key(|delivery| delivery.record.id.clone());
    assert_eq!(held, delivered);
    Ok(())
}

/// If a reclaimer dies between condemning and draining, another one finds the rest by itself.
pub async fn another_reclaimer_finishes_what_one_began(context: Context) -> Outcome {
    context.enqueue((0..3).map(|_| job("q"))).await?;
    let worker = context.worker().await?;
    worker.fetch(&["q"], 3).await?;
    context.condemn(&worker).await?;
    let holder = Holder::Condemned(worker.session.incarnation.clone());
    let begun = context.broker.held_by(&worker.session.incarnation, 1).await?.remove(0);
    let transition = lost(&begun, context.now());
    assert_eq!(context.broker.settle(&holder, &[settlement(&begun, transition)]).await?, [Settled::Done]);

    let other = context.broker.sibling().await?;
    let incarnation = other.lost(10).await?.remove(0);
    let rest = other.held_by(&incarnation, 10).await?;
    assert_eq!(rest.len(), 2);
    let settlements: Vec<_> = rest.iter().map(|one| settlement(one, lost(one, context.now()))).collect();
    assert_eq!(other.settle(&Holder::Condemned(incarnation.clone()), &settlements).await?, [Settled::Done; 2]);
    assert!(other.finish_drain(&incarnation).await?);
    let queue = context.queue("q").await?;
    assert_eq!((queue.ready, queue.running), (3, 0));
    Ok(())
}

/// A worker is forgotten only when it holds nothing, and only once.
pub async fn a_drain_is_finished_only_when_nothing_is_held(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let worker = context.worker().await?;
    worker.fetch_one("q").await?;
    let incarnation = &worker.session.incarnation;
    assert!(!context.broker.finish_drain(incarnation).await?, "it lives");
    context.condemn(&worker).await?;
    assert!(!context.broker.finish_drain(incarnation).await?, "it holds a job");
    assert_eq!(context.broker.lost(10).await?.len(), 1);
    worker.drain(context.now()).await?;
    assert!(context.broker.finish_drain(incarnation).await?);
    assert!(!context.broker.finish_drain(incarnation).await?, "it is forgotten");
    assert!(context.broker.lost(10).await?.is_empty());
    expect_session_lost(&context.broker.settle(&Holder::Condemned(incarnation.clone()), &[]).await);
    Ok(())
}

/// Two that drain the same worker settle each job once, and tokens are compared as ever.
pub async fn two_that_drain_settle_each_job_once(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    worker.fetch_one("q").await?;
    context.condemn(&worker).await?;
    let holder = Holder::Condemned(worker.session.incarnation.clone());
    let read = context.broker.held_by(&worker.session.incarnation, 10).await?.remove(0);
    let own = settlement(&read, lost(&read, context.now()));
    let wrong = Settlement { fence: Fence::new(read.lease.fence.get() + 1), ..own.clone() };
    assert_eq!(context.broker.settle(&holder, &[wrong]).await?, [Settled::NotHeld]);
    assert_eq!(context.broker.settle(&holder, std::slice::from_ref(&own)).await?, [Settled::Done]);
    assert_eq!(context.broker.settle(&holder, &[own]).await?, [Settled::NotHeld]);
    assert_eq!(context.expect_only_in(&id, State::Queued).await?.losses, 1);
    Ok(())
}

/// A suspect is handed only to a worker that holds nothing; others are told that it waits.
pub async fn a_suspect_is_for_a_worker_that_holds_nothing(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let first = context.worker().await?;
    first.fetch_one("q").await?;
    context.lose(&first).await?;
    let worker = context.worker().await?;
    let busy = worker.fetch_busy(&["q"], 10).await?;
    assert_eq!((busy.jobs.len(), busy.suspects_waiting), (0, true));
    assert!(!worker.fetch_busy(&["other"], 10).await?.suspects_waiting);
    let delivery = worker.fetch_suspect("q").await?;
    assert_eq!((&delivery.record.id, delivery.record.suspect, delivery.record.attempt), (&id, true, 1));
    context.expect_only_in(&id, State::Running).await?;
    worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    context.expect_only_in(&id, State::Succeeded).await?;
    Ok(())
}

/// Suspects come in the order in which they became suspect, whatever their priority.
pub async fn suspects_stand_in_one_line(context: Context) -> Outcome {
    let mut ids = Vec::new();
    for priority in [1, 9, 5] {
        let mut job = job("q");
        job.record.priority = Priority::ALL[priority];
        ids.push(context.enqueue_one(job).await?);
        let worker = context.worker().await?;
        worker.fetch_busy(&["q"], 1).await?;
        context.lose(&worker).await?;
    }
    let worker = context.worker().await?;
    for id in ids {
        let suspect = worker.fetch_suspect("q").await?;
        assert_eq!(suspect.record.id, id);
        worker.settle_one(&suspect, success(&suspect, context.now())).await?;
    }
    Ok(())
}

/// A suspect comes alone: without other jobs and without other suspects.
pub async fn a_suspect_comes_alone(context: Context) -> Outcome {
    context.enqueue([job("q"), job("q")]).await?;
    let first = context.worker().await?;
    first.fetch(&["q"], 2).await?;
    context.lose(&first).await?;
    context.enqueue([job("q")]).await?;
    let (one, other) = (context.worker().await?, context.worker().await?);
    assert!(one.fetch_suspect("q").await?.record.suspect);
    assert!(other.fetch_suspect("q").await?.record.suspect);
    let rest = context.worker().await?.fetch_idle(&["q"], 10).await?;
    assert_eq!((rest.jobs.len(), rest.suspects_waiting), (1, false));
    assert!(!rest.jobs[0].record.suspect);
    Ok(())
}

/// A worker gets only suspects of the queues it asks for.
pub async fn a_suspect_of_another_queue_is_not_handed_out(context: Context) -> Outcome {
    context.enqueue([job("a")]).await?;
    let first = context.worker().await?;
    first.fetch_one("a").await?;
    context.lose(&first).await?;
    let worker = context.worker().await?;
    let got = worker.fetch_idle(&["b"], 10).await?;
    assert_eq!((got.jobs.len(), got.suspects_waiting), (0, false));
    worker.fetch_suspect("a").await?;
    Ok(())
}

/// A suspect whose attempt failed is still one when it comes again.
pub async fn a_retried_suspect_stays_one(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let first = context.worker().await?;
    first.fetch_one("q").await?;
    context.lose(&first).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_suspect("q").await?;
    worker.settle_one(&delivery, retry(&delivery, context.now(), seconds(5))).await?;
    assert!(context.expect_only_in(&id, State::Retry).await?.suspect);
    assert!(!worker.fetch_busy(&["q"], 1).await?.suspects_waiting);
    context.advance(seconds(5));
    assert_eq!(context.broker.promote_due(10).await?.count, 1);
    assert!(context.expect_only_in(&id, State::Queued).await?.suspect);
    assert!(worker.fetch(&["q"], 10).await?.is_empty());
    worker.fetch_suspect("q").await?;
    Ok(())
}

/// A suspect that is handed back is still one.
pub async fn a_suspect_handed_back_stays_one(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let first = context.worker().await?;
    first.fetch_one("q").await?;
    context.lose(&first).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_suspect("q").await?;
    worker.settle_one(&delivery, hand_back(&delivery, context.now())).await?;
    assert!(context.expect_only_in(&id, State::Queued).await?.suspect);
    assert!(worker.fetch(&["q"], 10).await?.is_empty());
    worker.fetch_suspect("q").await?;
    Ok(())
}

/// A suspect that is handed back lets the other suspects go first, so that one that nobody can finish holds up none.
pub async fn a_suspect_handed_back_waits_behind_the_others(context: Context) -> Outcome {
    context.enqueue([job("q"), job("q")]).await?;
    let first = context.worker().await?;
    first.fetch(&["q"], 2).await?;
    context.lose(&first).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_suspect("q").await?;
    worker.settle_one(&delivery, hand_back(&delivery, context.now())).await?;
    assert_ne!(worker.fetch_suspect("q").await?.record.id, delivery.record.id);
    Ok(())
}

/// A suspect of a paused queue asks nobody to make room for it.
pub async fn a_suspect_of_a_paused_queue_is_not_announced(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let first = context.worker().await?;
    first.fetch_one("q").await?;
    context.lose(&first).await?;
    let worker = context.worker().await?;
    context.broker.set_paused(&queue_name("q"), true).await?;
    assert!(!worker.fetch_busy(&["q"], 1).await?.suspects_waiting);
    context.broker.set_paused(&queue_name("q"), false).await?;
    assert!(worker.fetch_busy(&["q"], 1).await?.suspects_waiting);
    Ok(())
}

/// A job whose worker vanishes three times is dead, and can be read as such.
pub async fn the_third_loss_is_the_end(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    for losses in 1..=3 {
        let worker = context.worker().await?;
        assert_eq!(worker.fetch_idle(&["q"], 1).await?.jobs.len(), 1, "loss {losses}");
        context.lose(&worker).await?;
    }
    let view = context.expect_only_in(&id, State::Dead).await?;
    assert_eq!((view.losses, view.attempt, view.failures), (3, 3, 0));
    let end = context.broker.result(&id).await?;
    assert_eq!(end.map(|outcome| outcome.state), Some(State::Dead));
    Ok(())
}
