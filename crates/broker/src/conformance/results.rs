//! Cases of ends: [`Broker::result`] and [`Broker::wait_result`].

use std::sync::Arc;
use std::time::Duration;

use celeriac_core::State;

use super::context::{Context, Outcome, job, seconds, within};
use super::worker::{death, settlement, success, success_kept};
use crate::{Broker, MAX_BATCH_JOBS};

/// There is no end before the end, and none of a job nobody knows.
pub async fn no_end_before_the_end(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    assert_eq!(context.broker.result(&id).await?, None);
    context.worker().await?.fetch_one("q").await?;
    assert_eq!(context.broker.result(&id).await?, None);
    assert_eq!(context.broker.result(&celeriac_core::JobId::generate()).await?, None);
    Ok(())
}

/// An end is forgotten when its time is over.
pub async fn an_end_is_forgotten_after_its_time(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, success_kept(&delivery, context.now(), seconds(1))).await?;
    context.until_forgotten(&id).await?;
    assert!(context.broker.job(&id).await?.is_none());
    Ok(())
}

/// A wait for an end that is there is answered at once.
pub async fn a_wait_for_an_end_that_is_there_is_answered(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    let end = within(context.broker.wait_result(&id)).await?;
    assert_eq!(Some(end), context.broker.result(&id).await?);
    Ok(())
}

/// A wait is answered when the job ends, in success and in death, through another handle too.
pub async fn a_wait_is_answered_when_the_job_ends(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let sibling = context.broker.sibling().await?;
    for state in [State::Succeeded, State::Dead, State::Succeeded, State::Dead] {
        let id = context.enqueue_one(job("q")).await?;
        let end_it = async {
            let delivery = worker.fetch_one("q").await?;
            let now = context.now();
            let transition = if state == State::Dead { death(&delivery, now) } else { success(&delivery, now) };
            worker.settle_one(&delivery, transition).await
        };
        let waits = async { tokio::join!(context.broker.wait_result(&id), sibling.wait_result(&id), end_it) };
        let (here, there, ended) = within(waits).await;
        ended?;
        assert_eq!((here?.state, there?.state), (state, state));
    }
    Ok(())
}

/// A thousand waits at once are all answered.
pub async fn a_thousand_waits_are_answered(context: Context) -> Outcome {
    let mut ids = context.enqueue((0..MAX_BATCH_JOBS).map(|_| job("q"))).await?;
    ids.extend(context.enqueue((0..MAX_BATCH_JOBS).map(|_| job("q"))).await?);
    let mut waits = tokio::task::JoinSet::new();
    for id in ids.clone() {
        let broker = Arc::clone(&context.broker);
        waits.spawn(async move { broker.wait_result(&id).await.map(|end| end.id) });
    }
    let worker = context.worker().await?;
    loop {
        let got = worker.fetch(&["q"], 100).await?;
        if got.is_empty() {
            break;
        }
        let settlements: Vec<_> = got.iter().map(|one| settlement(one, success(one, context.now()))).collect();
        worker.settle(&settlements).await?;
    }
    let mut answered = within(waits.join_all()).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    answered.sort();
    ids.sort();
    assert_eq!(answered, ids);
    Ok(())
}

/// A wait that was dropped keeps no other wait for the same job from its answer.
pub async fn a_dropped_wait_leaves_the_others(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let worker = context.worker().await?;
    let stays = {
        let (broker, id) = (Arc::clone(&context.broker), id.clone());
        tokio::spawn(async move { broker.wait_result(&id).await })
    };
    drop(tokio::time::timeout(Duration::from_millis(20), context.broker.wait_result(&id)).await);
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    let end = within(stays).await.expect("the waiting task does not panic")?;
    assert_eq!(end.id, id);
    Ok(())
}

/// A wait through a handle that has not been used for anything else is answered.
pub async fn a_fresh_handle_can_wait(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let fresh: Arc<dyn Broker> = context.broker.sibling().await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    let settle = worker.settle_one(&delivery, success(&delivery, context.now()));
    let (end, settled) = within(async { tokio::join!(fresh.wait_result(&id), settle) }).await;
    settled?;
    assert_eq!(end?.id, id);
    Ok(())
}
