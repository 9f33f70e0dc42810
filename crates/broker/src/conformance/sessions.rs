//! Cases of registration, generations and heartbeats.

use celeriac_core::State;

use super::context::{Context, Outcome, expect_session_lost, job, queue_name, seconds, task_name, unregistered};
use super::worker::{Load, TestWorker, registration, request, settlement, success};
use crate::{Holder, Settled};

/// A registered worker is listed with what it said of itself, until it deregisters.
pub async fn a_worker_is_listed_while_it_is_registered(context: Context) -> Outcome {
    let mut registration = registration("web-1", seconds(20));
    registration.queues = vec![queue_name("mail"), queue_name("images")];
    registration.tasks = vec![task_name("send"), task_name("resize")];
    let session = context.broker.register(&registration).await?;
    assert_eq!((&session.incarnation, session.lease), (&registration.incarnation, seconds(20)));
    let mut listed = context.broker.workers().await?;
    assert_eq!(listed.len(), 1);
    let mut view = listed.remove(0);
    view.queues.sort_by_key(|queue| queue.as_str() != "mail");
    view.tasks.sort_by_key(|task| task.as_str() != "send");
    assert_eq!((&view.incarnation, view.host.as_str(), view.pid), (&session.incarnation, "host", 42));
    assert_eq!((view.queues, view.tasks, view.running), (registration.queues, registration.tasks, 0));
    context.broker.deregister(&session).await?;
    assert!(context.broker.workers().await?.is_empty());
    Ok(())
}

/// Workers are listed by incarnation, each with the number of jobs it holds.
pub async fn each_worker_is_listed_with_its_jobs(context: Context) -> Outcome {
    context.enqueue([job("q"), job("q"), job("q")]).await?;
    let (one, other) = (context.worker().await?, context.worker().await?);
    one.fetch(&["q"], 2).await?;
    other.fetch(&["q"], 2).await?;
    let listed = context.broker.workers().await?;
    assert!(listed.is_sorted_by_key(|view| view.incarnation.clone()));
    let running = |worker: &TestWorker| {
        let own = listed.iter().find(|view| view.incarnation == worker.session.incarnation);
        own.map(|view| view.running)
    };
    assert_eq!((running(&one), running(&other)), (Some(2), Some(1)));
    Ok(())
}

/// Every registration, and every reconcile, says the same life of the store.
pub async fn all_sessions_are_of_one_life_of_the_store(context: Context) -> Outcome {
    let (one, other) = (context.worker().await?, context.worker().await?);
    assert_eq!(one.session.store, other.session.store);
    assert_eq!(context.broker.reconcile(&one.session).await?.session.store, one.session.store);
    Ok(())
}

/// Nobody fetches, settles, beats or reconciles without a registration.
pub async fn nothing_is_done_without_a_registration(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let nobody = unregistered(&worker.session);
    expect_session_lost(&context.broker.fetch(&nobody, &request(&["q"], 1, Load::Idle)).await);
    expect_session_lost(&context.broker.heartbeat(&nobody).await);
    expect_session_lost(&context.broker.reconcile(&nobody).await);
    expect_session_lost(&context.broker.settle(&Holder::Session(nobody), &[]).await);
    context.expect_only_in(&id, State::Queued).await?;
    assert_eq!(context.broker.workers().await?.len(), 1);
    Ok(())
}

/// After a reconcile the session before it can neither take a job nor settle one.
pub async fn an_older_generation_can_neither_fetch_nor_settle(context: Context) -> Outcome {
    context.enqueue([job("q"), job("other")]).await?;
    let mut worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    let old = worker.clone();
    worker.session = context.broker.reconcile(&old.session).await?.session;
    assert!(worker.session.generation > old.session.generation);
    expect_session_lost(&old.fetch(&["other"], 1).await);
    expect_session_lost(&old.settle(&[settlement(&delivery, success(&delivery, context.now()))]).await);
    context.expect_only_in(&delivery.record.id, State::Running).await?;
    assert_eq!(context.queue("other").await?.ready, 1);
    worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    Ok(())
}

/// A reconcile says what the store thinks the worker holds, with the tokens.
pub async fn a_reconcile_returns_what_is_held(context: Context) -> Outcome {
    context.enqueue((0..5).map(|_| job("q"))).await?;
    let worker = context.worker().await?;
    assert!(context.broker.reconcile(&worker.session).await?.held.is_empty());
    let mut worker = context.worker().await?;
    let mut expected: Vec<_> = worker.fetch(&["q"], 2).await?;
    expected.extend(worker.fetch(&["q"], 1).await?);
    context.worker().await?.fetch(&["q"], 1).await?;
    let mut expected: Vec<_> = expected.into_iter().map(|got| (got.record.id, got.lease.fence)).collect();
    let reconciled = context.broker.reconcile(&worker.session).await?;
    let mut held = reconciled.held;
    held.sort();
    expected.sort();
    assert_eq!(held, expected);
    worker.session = reconciled.session;
    assert_eq!(worker.held().await?, expected);
    Ok(())
}

/// A reconcile whose answer was lost can be sent again; the last answer counts.
pub async fn a_reconcile_can_be_sent_again(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let mut worker = context.worker().await?;
    let lost_answer = context.broker.reconcile(&worker.session).await?.session;
    let second = context.broker.reconcile(&worker.session).await?.session;
    assert!(second.generation > lost_answer.generation);
    worker.session = lost_answer;
    expect_session_lost(&worker.fetch(&["q"], 1).await);
    worker.session = second;
    worker.fetch_one("q").await?;
    Ok(())
}

/// A store that went back to an earlier state opens no generation a second time: like tokens they are no count.
pub async fn generations_follow_the_clock(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let first = context.broker.reconcile(&worker.session).await?.session.generation;
    assert!(first.get() >= context.now().as_millis() * 1000);
    let second = context.broker.reconcile(&worker.session).await?.session.generation;
    assert!(second > first);
    Ok(())
}

/// A heartbeat needs no newest connection: it has its own and must not fail when another one was lost.
pub async fn a_heartbeat_of_an_older_generation_counts(context: Context) -> Outcome {
    let worker = context.worker().await?;
    context.broker.reconcile(&worker.session).await?;
    context.broker.heartbeat(&worker.session).await?;
    Ok(())
}

/// An older session cannot end the registration that a newer one uses.
pub async fn an_older_generation_cannot_deregister(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let newest = context.broker.reconcile(&worker.session).await?.session;
    expect_session_lost(&context.broker.deregister(&worker.session).await);
    context.broker.heartbeat(&newest).await?;
    context.broker.deregister(&newest).await?;
    expect_session_lost(&context.broker.heartbeat(&newest).await);
    Ok(())
}

/// A worker that deregisters without holding anything leaves no lease to condemn.
pub async fn a_deregistered_worker_without_jobs_leaves_no_lease(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    context.broker.deregister(&worker.session).await?;
    context.advance(seconds(60));
    let condemned = context.broker.condemn_expired(10).await?;
    assert_eq!((condemned.incarnations, condemned.next_expiry), (vec![], None));
    Ok(())
}

/// A heartbeat tells the time, the newest token of all and what the worker holds.
pub async fn a_heartbeat_tells_time_tokens_and_jobs(context: Context) -> Outcome {
    context.enqueue([job("q"), job("q")]).await?;
    let (worker, other) = (context.worker().await?, context.worker().await?);
    let own = worker.fetch_one("q").await?;
    let newest = other.fetch_one("q").await?.lease.fence;
    context.advance(seconds(3));
    let pulse = context.broker.heartbeat(&worker.session).await?;
    assert_eq!((pulse.now, pulse.newest_fence), (context.now(), newest));
    assert_eq!(pulse.held, [(own.record.id, own.lease.fence)]);
    Ok(())
}

/// A worker that deregistered can do nothing more; what it held stays held until the lease has ended.
pub async fn a_deregistered_worker_leaves_its_jobs_to_the_reclaimer(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    context.broker.deregister(&worker.session).await?;
    expect_session_lost(&context.broker.heartbeat(&worker.session).await);
    expect_session_lost(&context.broker.reconcile(&worker.session).await);
    expect_session_lost(&worker.fetch(&["q"], 1).await);
    expect_session_lost(&worker.settle(&[settlement(&delivery, success(&delivery, context.now()))]).await);
    context.expect_only_in(&id, State::Running).await?;
    assert!(context.broker.condemn_expired(10).await?.incarnations.is_empty());
    context.lose(&worker).await?;
    context.expect_only_in(&id, State::Queued).await?;
    Ok(())
}

/// Two lives of one name are two workers.
pub async fn two_lives_of_one_name_are_two_workers(context: Context) -> Outcome {
    context.enqueue([job("q")]).await?;
    let (first, second) = (context.worker().await?, context.worker().await?);
    let delivery = first.fetch_one("q").await?;
    assert!(second.held().await?.is_empty());
    let settled = second.settle(&[settlement(&delivery, success(&delivery, context.now()))]).await?;
    assert_eq!(settled, [Settled::NotHeld]);
    Ok(())
}

/// A sibling is a handle to the same store, for producers, workers and readers alike.
pub async fn a_sibling_is_the_same_store(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let sibling = context.broker.sibling().await?;
    assert_eq!(sibling.now().await?, context.now());
    let delivery = sibling.fetch(&worker.session, &request(&["q"], 1, Load::Idle)).await?.jobs.remove(0);
    worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    assert!(sibling.result(&id).await?.is_some());
    assert_eq!(sibling.describe(), context.broker.describe());
    Ok(())
}
