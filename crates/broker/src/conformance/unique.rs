//! Cases of unique keys: one unfinished job has one, whatever happens to it.

use celeriac_core::{JobId, UniqueKey};

use super::context::{Context, Outcome, delayed, given, job, seconds, task_name};
use super::worker::{death, lost, parking, retry, revocation, settlement, success, success_kept};
use crate::{Acceptance, Batch, BatchAnswer, BrokerError, NewJob, Retried, Revocation};

fn keyed(key: &str, mut job: NewJob) -> NewJob {
    job.record.options.unique = Some(UniqueKey::new(key).expect("the suite uses valid keys"));
    job
}

async fn answer(context: &Context, key: &str) -> Result<Acceptance, BrokerError> {
    Ok(context.offer(vec![keyed(key, job("other"))]).await?.remove(0))
}

fn taken_by(holder: &JobId) -> Acceptance {
    Acceptance::UniqueInUse { holder: holder.clone() }
}

/// A key is held while its job is scheduled, ready, running, retrying or parked; a conflict names the job.
pub async fn a_unique_key_is_held_until_its_job_ends(context: Context) -> Outcome {
    let id = context.enqueue_one(keyed("k", delayed(seconds(10), "q"))).await?;
    assert_eq!(answer(&context, "k").await?, taken_by(&id));
    context.advance(seconds(11));
    context.broker.promote_due(10).await?;
    assert_eq!(answer(&context, "k").await?, taken_by(&id));
    let worker = context.worker().await?;
    let running = worker.fetch_one("q").await?;
    assert_eq!(answer(&context, "k").await?, taken_by(&id));
    worker.settle_one(&running, retry(&running, context.now(), seconds(1))).await?;
    assert_eq!(answer(&context, "k").await?, taken_by(&id));
    context.advance(seconds(2));
    context.broker.promote_due(10).await?;
    let running = worker.fetch_one("q").await?;
    worker.settle_one(&running, parking(&running, context.now())).await?;
    assert_eq!(answer(&context, "k").await?, taken_by(&id));
    context.broker.release_parked(&[task_name("task")], 10).await?;
    let running = worker.fetch_one("q").await?;
    worker.settle_one(&running, success(&running, context.now())).await?;
    assert_eq!(answer(&context, "k").await?, Acceptance::Accepted);
    assert_eq!(context.queue("other").await?.ready, 1);
    Ok(())
}

/// Every end frees the key: success with and without a kept end, death, revocation waiting and running, a purge.
pub async fn every_end_frees_a_unique_key(context: Context) -> Outcome {
    let worker = context.worker().await?;
    for end in 0..4 {
        let id = context.enqueue_one(keyed("k", job("q"))).await?;
        let running = worker.fetch_one("q").await?;
        let transition = match end {
            0 => success(&running, context.now()),
            1 => success_kept(&running, context.now(), seconds(0)),
            2 => death(&running, context.now()),
            _ => revocation(&running, context.now()),
        };
        assert_eq!(answer(&context, "k").await?, taken_by(&id));
        worker.settle_one(&running, transition).await?;
    }
    let id = context.enqueue_one(keyed("k", job("q"))).await?;
    assert_eq!(context.broker.revoke(&[id], "test").await?, [Revocation::Ended]);
    context.enqueue_one(keyed("k", job("purged"))).await?;
    context.broker.purge(&super::queue_name("purged"), 10, "test").await?;
    assert_eq!(answer(&context, "k").await?, Acceptance::Accepted);
    Ok(())
}

/// Of several jobs with one key in a batch the first is accepted; the answer sent again is the same.
pub async fn the_first_of_a_batch_gets_the_unique_key(context: Context) -> Outcome {
    let jobs = vec![keyed("k", job("q")), job("q"), keyed("k", job("q")), given("x", "q"), keyed("l", given("x", "q"))];
    let first = jobs[0].record.id.clone();
    let batch = Batch { lane: context.lane(), number: 1, jobs };
    for _ in 0..2 {
        let BatchAnswer::Applied(answers) = context.broker.enqueue(&batch).await? else { panic!("a gap") };
        use Acceptance::{Accepted, IdInUse};
        assert_eq!(answers, [Accepted, Accepted, taken_by(&first), Accepted, IdInUse]);
    }
    assert_eq!(context.queue("q").await?.ready, 3);
    Ok(())
}

/// A job that was refused for its key may be offered again under the same id.
pub async fn a_refusal_leaves_nothing_of_the_job(context: Context) -> Outcome {
    let holder = context.enqueue_one(keyed("k", job("q"))).await?;
    assert_eq!(context.offer(vec![keyed("k", given("x", "q"))]).await?, [taken_by(&holder)]);
    assert!(context.broker.job(&JobId::new("x").expect("it is one")).await?.is_none());
    assert_eq!(context.offer(vec![given("x", "q")]).await?, [Acceptance::Accepted]);
    Ok(())
}

/// A dead job that is retried takes its key again; if another job has it by now, it stays dead.
pub async fn a_retried_job_takes_its_key_again(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let dead = context.enqueue_one(keyed("k", job("q"))).await?;
    let running = worker.fetch_one("q").await?;
    worker.settle_one(&running, death(&running, context.now())).await?;
    let other = context.enqueue_one(keyed("k", job("q"))).await?;
    let ids = [dead.clone()];
    assert_eq!(context.broker.retry_dead(&ids).await?, [Retried::UniqueInUse { holder: other }]);
    assert_eq!(context.job(&dead).await?.state, celeriac_core::State::Dead);
    let running = worker.fetch_one("q").await?;
    worker.settle_one(&running, success(&running, context.now())).await?;
    assert_eq!(context.broker.retry_dead(&ids).await?, [Retried::Done]);
    assert_eq!(answer(&context, "k").await?, taken_by(&dead));
    Ok(())
}

/// A loss frees nothing, and neither does a settlement under an old token.
pub async fn a_stale_settlement_frees_no_key(context: Context) -> Outcome {
    let id = context.enqueue_one(keyed("k", job("q"))).await?;
    let gone = context.worker().await?;
    let old = gone.fetch_one("q").await?;
    context.condemn(&gone).await?;
    gone.drain(context.now()).await?;
    assert!(lost(&old, context.now()).state() == celeriac_core::State::Queued);
    let late = gone.settle(&[settlement(&old, success(&old, context.now()))]).await;
    super::expect_session_lost(&late);
    assert_eq!(answer(&context, "k").await?, taken_by(&id));
    Ok(())
}
