//! Cases of [`Broker::enqueue`](crate::Broker::enqueue): a batch is applied once, in order, however often it is sent.

use celeriac_core::{JobOptions, Priority, State, Timestamp};

use super::context::{Context, Outcome, given, job, queue_name, seconds};
use super::worker::{death, parking, success, success_kept};
use crate::{Acceptance, Batch, BatchAnswer, LANE_TTL, MAX_BATCH_JOBS, Start};

use Acceptance::{Accepted, IdInUse};

/// An accepted job is ready, and nothing else has changed.
pub async fn an_accepted_job_is_ready(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    context.expect_only_in(&id, State::Queued).await?;
    assert_eq!(context.broker.result(&id).await?, None);
    Ok(())
}

/// The store, not the producer, says in which state a new job is and since when.
pub async fn the_store_stamps_a_new_job(context: Context) -> Outcome {
    let mut forged = job("q");
    forged.record.state = State::Dead;
    forged.record.enqueued_at = Timestamp::from_millis(5);
    forged.record.since = Timestamp::from_millis(6);
    let id = context.enqueue_one(forged).await?;
    let view = context.expect_only_in(&id, State::Queued).await?;
    assert_eq!((view.enqueued_at, view.since), (context.now(), context.now()));
    Ok(())
}

/// What a job says of itself comes out of the store as it went in.
pub async fn a_job_keeps_its_options_and_priority(context: Context) -> Outcome {
    let mut new = job("q");
    new.record.priority = Priority::new(9).unwrap_or_default();
    new.record.options = JobOptions::default();
    new.record.options.retries = Some(3);
    new.record.options.timeout_ms = Some(250);
    new.record.options.result_ttl_ms = Some(u64::MAX);
    let sent = new.record.clone();
    context.enqueue_one(new).await?;
    let got = context.worker().await?.fetch_one("q").await?.record;
    assert_eq!((got.id, got.task, got.queue), (sent.id, sent.task, sent.queue));
    assert_eq!((got.priority, got.options, got.payload), (sent.priority, sent.options, sent.payload));
    assert_eq!((got.attempt, got.failures, got.losses, got.suspect), (0, 0, 0, false));
    Ok(())
}

/// The same batch again gets the answer of the first time and adds nothing, through another handle too.
pub async fn a_batch_sent_again_is_answered_as_the_first_time(context: Context) -> Outcome {
    let batch =
        Batch { lane: context.lane(), number: 1, jobs: vec![given("a", "q"), given("a", "q"), given("b", "q")] };
    let first = context.broker.enqueue(&batch).await?;
    assert_eq!(first, BatchAnswer::Applied(vec![Accepted, IdInUse, Accepted]));
    assert_eq!(context.broker.enqueue(&batch).await?, first);
    assert_eq!(context.broker.sibling().await?.enqueue(&batch).await?, first);
    assert_eq!(context.queue("q").await?.ready, 2);
    Ok(())
}

/// A resend does not bring back a job that has ended meanwhile.
pub async fn a_resend_does_not_revive_a_job_that_ended(context: Context) -> Outcome {
    let batch = Batch { lane: context.lane(), number: 1, jobs: vec![job("q")] };
    let first = context.broker.enqueue(&batch).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, success_kept(&delivery, context.now(), seconds(0))).await?;
    assert_eq!(context.broker.enqueue(&batch).await?, first);
    assert!(context.jobs().await?.is_empty());
    Ok(())
}

/// A number that is neither the last nor the next one is a gap and changes nothing.
pub async fn a_gap_changes_nothing(context: Context) -> Outcome {
    let lane = context.lane();
    let batch = |number| Batch { lane: lane.clone(), number, jobs: vec![job("q")] };
    assert_eq!(context.broker.enqueue(&batch(2)).await?, BatchAnswer::Gap);
    let applied = BatchAnswer::Applied(vec![Accepted]);
    assert_eq!(context.broker.enqueue(&batch(1)).await?, applied);
    assert_eq!(context.broker.enqueue(&batch(3)).await?, BatchAnswer::Gap);
    assert_eq!(context.queue("q").await?.ready, 1);
    assert_eq!(context.broker.enqueue(&batch(2)).await?, applied);
    assert_eq!(context.broker.enqueue(&batch(1)).await?, BatchAnswer::Gap);
    assert_eq!(context.queue("q").await?.ready, 2);
    Ok(())
}

/// A batch without jobs uses up its number.
pub async fn an_empty_batch_fills_a_number(context: Context) -> Outcome {
    let lane = context.lane();
    let empty = Batch { lane: lane.clone(), number: 1, jobs: vec![] };
    assert_eq!(context.broker.enqueue(&empty).await?, BatchAnswer::Applied(vec![]));
    assert_eq!(context.broker.enqueue(&empty).await?, BatchAnswer::Applied(vec![]));
    let next = Batch { lane, number: 2, jobs: vec![job("q")] };
    assert_eq!(context.broker.enqueue(&next).await?, BatchAnswer::Applied(vec![Accepted]));
    Ok(())
}

/// The first batch of a lane that is older than the store's memory is a gap: it may have been applied and forgotten.
pub async fn the_first_batch_of_an_old_lane_is_a_gap(context: Context) -> Outcome {
    let batch = Batch { lane: context.lane(), number: 1, jobs: vec![job("q")] };
    context.advance(LANE_TTL + seconds(1));
    assert_eq!(context.broker.enqueue(&batch).await?, BatchAnswer::Gap);
    assert!(context.jobs().await?.is_empty());
    Ok(())
}

/// A lane that is used goes on however old it is.
pub async fn a_lane_in_use_does_not_age(context: Context) -> Outcome {
    let lane = context.lane();
    for number in 1..=3 {
        let batch = Batch { lane: lane.clone(), number, jobs: vec![job("q")] };
        assert_eq!(context.broker.enqueue(&batch).await?, BatchAnswer::Applied(vec![Accepted]));
        context.advance(LANE_TTL - seconds(3600));
    }
    Ok(())
}

/// Lanes of one producer, and of two, count on their own.
pub async fn lanes_count_on_their_own(context: Context) -> Outcome {
    let first = context.lane();
    let second = crate::Lane { index: 1, ..first.clone() };
    for lane in [first, second, context.lane()] {
        for number in 1..=2 {
            let batch = Batch { lane: lane.clone(), number, jobs: vec![job("q")] };
            assert_eq!(context.broker.enqueue(&batch).await?, BatchAnswer::Applied(vec![Accepted]));
        }
    }
    assert_eq!(context.queue("q").await?.ready, 6);
    Ok(())
}

/// As many jobs as a batch may have are accepted at once, in order.
pub async fn a_full_batch_is_accepted_in_order(context: Context) -> Outcome {
    let ids = context.enqueue((0..MAX_BATCH_JOBS).map(|_| job("q"))).await?;
    let got = context.worker().await?.fetch(&["q"], MAX_BATCH_JOBS).await?;
    assert_eq!(got.into_iter().map(|delivery| delivery.record.id).collect::<Vec<_>>(), ids);
    Ok(())
}

/// One batch may fill several queues.
pub async fn a_batch_may_span_queues(context: Context) -> Outcome {
    context.enqueue([job("a"), job("b"), job("a")]).await?;
    assert_eq!((context.queue("a").await?.ready, context.queue("b").await?.ready), (2, 1));
    Ok(())
}

/// A chosen id is in use while a job has it: ready, scheduled, running, parked or dead.
pub async fn a_given_id_is_refused_while_a_job_has_it(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let mut waiting = given("scheduled", "other");
    waiting.start = Start::After(seconds(60));
    context.enqueue([given("parked", "q"), given("dead", "q"), given("running", "q"), given("ready", "q")]).await?;
    context.enqueue([waiting]).await?;
    let got = worker.fetch(&["q"], 3).await?;
    worker.settle_one(&got[0], parking(&got[0], context.now())).await?;
    worker.settle_one(&got[1], death(&got[1], context.now())).await?;
    let again: Vec<_> = ["parked", "dead", "running", "ready", "scheduled"].map(|id| given(id, "q")).into();
    assert_eq!(context.offer(again).await?, vec![IdInUse; 5]);
    assert_eq!(context.jobs().await?.len(), 5);
    assert_eq!(context.queue("q").await?.ready, 1);
    Ok(())
}

/// A chosen id is in use while the end of a job has it.
pub async fn a_given_id_is_refused_while_an_end_has_it(context: Context) -> Outcome {
    context.enqueue([given("a", "q")]).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    assert_eq!(context.offer(vec![given("a", "q")]).await?, [IdInUse]);
    assert!(context.jobs().await?.is_empty());
    Ok(())
}

/// A chosen id is free again when the end of its job is forgotten, and at once if none is kept.
pub async fn a_given_id_is_free_again_without_job_and_end(context: Context) -> Outcome {
    let worker = context.worker().await?;
    for keep in [seconds(0), seconds(1)] {
        let ids = context.enqueue([given("a", "q")]).await?;
        let delivery = worker.fetch_one("q").await?;
        worker.settle_one(&delivery, success_kept(&delivery, context.now(), keep)).await?;
        context.until_forgotten(&ids[0]).await?;
    }
    assert_eq!(context.offer(vec![given("a", "q")]).await?, [Accepted]);
    Ok(())
}

/// A refused id keeps nobody else out of the batch.
pub async fn a_refused_id_leaves_the_rest_of_its_batch(context: Context) -> Outcome {
    context.enqueue([given("a", "q")]).await?;
    let answers = context.offer(vec![given("b", "q"), given("a", "q"), given("c", "q")]).await?;
    assert_eq!(answers, [Accepted, IdInUse, Accepted]);
    let got = context.worker().await?.fetch(&["q"], 10).await?;
    let ids: Vec<_> = got.iter().map(|delivery| delivery.record.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    Ok(())
}

/// An instant that is past means at once; one to come means that the job waits.
pub async fn a_start_in_the_past_is_ready_at_once(context: Context) -> Outcome {
    let mut past = job("q");
    past.start = Start::At(Timestamp::from_millis(1));
    let ready = context.enqueue_one(past).await?;
    context.expect_only_in(&ready, State::Queued).await?;
    let due = context.now().after(seconds(5));
    let mut later = job("later");
    later.start = Start::At(due);
    let waits = context.enqueue_one(later).await?;
    assert_eq!(context.expect_only_in(&waits, State::Scheduled).await?.due_at, Some(due));
    assert_eq!(context.broker.queues().await?.len(), 2);
    assert_eq!(context.queue("q").await?.name, queue_name("q"));
    Ok(())
}
