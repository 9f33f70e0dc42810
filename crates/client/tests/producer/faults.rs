//! Lost answers, refusals and stores that go back: nothing is lost silently and nothing is stored twice.

use std::future::IntoFuture as _;
use std::sync::Arc;

use crate::stage::{Act, Stage};
use crate::support::{Double, model, payloads, stage, waiting};
use celeriac_broker::Refusal;
use celeriac_client::{Acceptance, Client, EnqueueError, UnknownBatch};
use celeriac_core::JobId;
use tokio::task::JoinSet;

fn one_lane(stage: &Arc<Stage>) -> Client {
    Client::builder(stage.clone()).lanes(1).build().unwrap()
}

/// Enqueues a job on a store that gives no answer in time.
async fn enqueue_in_doubt(client: &Client, stage: &Stage, act: Act) -> UnknownBatch {
    stage.otherwise(act);
    let error = client.enqueue(Double { number: 1 }).await.unwrap_err();
    stage.otherwise(Act::Apply);
    assert!(error.is_transient());
    let EnqueueError::Unknown { batch, .. } = error else { panic!("{error:?}") };
    batch
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leads_to_the_same_batch_again_and_to_one_job() {
    let stage = stage();
    stage.direct([Act::LoseAnswer, Act::LoseAnswer]);

    Client::new(stage.clone()).enqueue(Double { number: 1 }).await.unwrap();

    let calls = stage.calls();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|batch| *batch == calls[0]), "the very same value each time");
    assert_eq!(waiting(&*stage).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_command_is_sent_again_and_arrives() {
    let stage = stage();
    stage.direct([Act::LoseCommand]);

    Client::new(stage.clone()).enqueue(Double { number: 1 }).await.unwrap();

    assert_eq!(waiting(&*stage).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_id_in_use_is_told_although_the_first_answer_was_lost() {
    let stage = stage();
    let client = Client::new(stage.clone());
    client.enqueue(Double { number: 1 }).id("one").await.unwrap();
    stage.direct([Act::LoseAnswer]);
    let mine = client.enqueue(Double { number: 2 }).id("two").await;
    stage.direct([Act::LoseAnswer]);
    let taken = client.enqueue(Double { number: 3 }).id("one").await;

    assert!(mine.is_ok(), "the job itself does not stand in its own way: {mine:?}");
    assert!(matches!(taken, Err(EnqueueError::IdInUse { .. })), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_store_refuses_at_once() {
    let stage = stage();
    stage.otherwise(Act::Refuse(Refusal::Full));

    let error = Client::new(stage.clone()).enqueue(Double { number: 1 }).await.unwrap_err();

    assert!(matches!(error, EnqueueError::NotApplied { .. }), "{error:?}");
    assert!(error.is_transient(), "the caller may try later");
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_tried_until_the_timeout() {
    for act in [Act::Unreachable, Act::Refuse(Refusal::NotReady), Act::Refuse(Refusal::ReadOnly)] {
        let stage = stage();
        let client = one_lane(&stage);
        stage.direct([act, act]);
        client.enqueue(Double { number: 1 }).await.unwrap();

        stage.otherwise(act);
        let error = client.enqueue(Double { number: 2 }).await.unwrap_err();
        stage.otherwise(Act::Apply);
        client.enqueue(Double { number: 3 }).await.unwrap();

        assert!(matches!(error, EnqueueError::NotApplied { .. }), "{act:?}: {error:?}");
        assert_eq!(payloads(&*stage).await, [r#"{"number":1}"#, r#"{"number":3}"#], "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_a_refused_batch_is_used_again() {
    let stage = stage();
    let client = one_lane(&stage);
    stage.direct([Act::Apply, Act::Refuse(Refusal::Full), Act::Apply]);

    for number in 0..3 {
        let _ = client.enqueue(Double { number }).await;
    }

    let numbers: Vec<_> = stage.calls().iter().map(|batch| (batch.lane.index, batch.number)).collect();
    assert_eq!(numbers, [(0, 1), (0, 2), (0, 2)]);
    assert_eq!(waiting(&*stage).await, 2);
}

#[tokio::test(start_paused = true)]
async fn one_refusal_in_the_middle_of_several_batches_loses_and_doubles_nothing() {
    for refusal in [Refusal::Full, Refusal::ReadOnly, Refusal::NotReady] {
        let stage = stage();
        let client = Client::new(stage.clone());
        stage.direct([Act::Apply, Act::LoseAnswer, Act::Refuse(refusal), Act::LoseCommand, Act::Refuse(refusal)]);
        let mut calls = JoinSet::new();
        stage.hold();
        for number in 0..8 {
            let call = client.enqueue(Double { number }).into_future();
            calls.spawn(async move { (number, call.await.map(drop)) });
            // Each of the four lanes has a batch of its own in flight before the next call comes.
            stage.calls_made(4.min(number as usize + 1)).await;
        }
        stage.release();

        let mut stored = Vec::new();
        for (number, answer) in calls.join_all().await {
            match answer {
                Ok(()) => stored.push(format!(r#"{{"number":{number}}}"#)),
                Err(error) => assert!(matches!(error, EnqueueError::NotApplied { .. }), "{error:?}"),
            }
        }
        stored.sort();
        assert_eq!(payloads(&*stage).await, stored, "{refusal:?}");
        assert_eq!(stored.len() < 8, refusal == Refusal::Full, "only a full store is not worth waiting for");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_count_while_a_copy_is_in_doubt() {
    let stage = stage();
    stage.direct([Act::Late(1), Act::Refuse(Refusal::Full)]);

    Client::new(stage.clone()).enqueue(Double { number: 1 }).await.unwrap();

    assert_eq!((stage.calls().len(), waiting(&*stage).await), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_batch_that_was_applied_is_sent_again_without_doubling() {
    let stage = stage();
    let client = one_lane(&stage);

    let batch = enqueue_in_doubt(&client, &stage, Act::LoseAnswer).await;
    let id = batch.ids().next().unwrap().clone();
    let answers = client.resend(batch).await.unwrap();

    assert_eq!(answers, [(id, Acceptance::Accepted)]);
    assert_eq!(waiting(&*stage).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_batch_that_was_lost_is_stored_when_sent_again() {
    let stage = stage();
    let client = one_lane(&stage);

    let batch = enqueue_in_doubt(&client, &stage, Act::LoseCommand).await;
    let before = waiting(&*stage).await;
    client.resend(batch.clone()).await.unwrap();
    client.resend(batch).await.unwrap();

    assert_eq!((before, waiting(&*stage).await), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn callers_who_share_an_unknown_batch_each_hear_of_their_own_jobs() {
    let stage = stage();
    let client = one_lane(&stage);
    stage.otherwise(Act::LoseAnswer);
    let [first, second] = ["first", "second"].map(|id| client.enqueue(Double { number: 1 }).id(id).into_future());
    let (first, second) = tokio::join!(first, second);
    stage.otherwise(Act::Apply);

    let mut heard = Vec::new();
    for error in [first.unwrap_err(), second.unwrap_err()] {
        let EnqueueError::Unknown { batch, .. } = error else { panic!("{error:?}") };
        heard.push((batch.to_string(), client.resend(batch).await.unwrap()));
    }

    let own = |id: &str| (format!("job {id}"), vec![(JobId::new(id).unwrap(), Acceptance::Accepted)]);
    assert_eq!(heard, [own("first"), own("second")]);
    assert_eq!((stage.calls()[0].jobs.len(), waiting(&*stage).await), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_between_two_tries_is_cancelled() {
    let stage = stage();
    let client = one_lane(&stage);
    stage.direct([Act::Unreachable]);
    let dropped = tokio::spawn(client.enqueue(Double { number: 1 }).into_future());
    stage.calls_made(1).await;

    dropped.abort();
    client.enqueue(Double { number: 2 }).await.unwrap();

    assert_eq!(payloads(&*stage).await, [r#"{"number":2}"#]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_returns_is_unknown_after_the_timeout() {
    let stage = stage();
    let client = one_lane(&stage);

    let batch = enqueue_in_doubt(&client, &stage, Act::Hang).await;
    client.resend(batch).await.unwrap();

    assert_eq!(waiting(&*stage).await, 1);
}

#[tokio::test(start_paused = true)]
async fn resending_to_a_store_that_is_away_gives_the_batch_back() {
    let stage = stage();
    let client = one_lane(&stage);
    let batch = enqueue_in_doubt(&client, &stage, Act::LoseCommand).await;

    stage.otherwise(Act::Refuse(Refusal::Denied));
    let error = client.resend(batch).await.unwrap_err();
    stage.otherwise(Act::Apply);

    let EnqueueError::Unknown { batch, .. } = error else { panic!("{error:?}") };
    client.resend(batch).await.unwrap();
    assert_eq!(waiting(&*stage).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_number_in_doubt_is_never_given_to_other_jobs() {
    let stage = stage();
    let client = one_lane(&stage);

    let batch = enqueue_in_doubt(&client, &stage, Act::LoseCommand).await;
    client.enqueue(Double { number: 2 }).await.unwrap();
    client.resend(batch).await.unwrap();

    let calls = stage.calls();
    let lanes = |number| {
        let payload = format!(r#"{{"number":{number}}}"#).into_bytes();
        let mut lanes: Vec<_> =
            calls.iter().filter(|b| b.jobs[0].record.payload == payload).map(|b| b.lane.clone()).collect();
        lanes.dedup();
        lanes
    };
    assert_eq!((lanes(1).len(), lanes(2).len()), (1, 1));
    assert_ne!(lanes(1), lanes(2));
    assert_eq!(waiting(&*stage).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_went_back_gets_the_next_batch_on_a_fresh_lane() {
    let stage = stage();
    let client = one_lane(&stage);
    client.enqueue(Double { number: 1 }).await.unwrap();

    stage.replace_model(model());
    client.enqueue(Double { number: 2 }).await.unwrap();

    let numbers: Vec<_> = stage.calls().iter().map(|batch| (batch.lane.index, batch.number)).collect();
    assert_eq!(numbers, [(0, 1), (0, 2), (1, 1)]);
    assert_eq!(payloads(&*stage).await, [r#"{"number":2}"#]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_in_doubt_when_the_store_went_back_is_stored_once() {
    let stage = stage();
    let client = one_lane(&stage);
    client.enqueue(Double { number: 1 }).await.unwrap();
    stage.direct([Act::LoseAnswer]);
    stage.hold();
    let call = tokio::spawn(client.enqueue(Double { number: 2 }).into_future());
    stage.calls_made(2).await;
    let before = stage.model();
    stage.release();
    // The answer is lost and the client pauses: this is when the store comes back without what it knew.
    tokio::task::yield_now().await;
    stage.replace_model(model());

    call.await.unwrap().unwrap();

    assert_eq!(waiting(&before).await, 2);
    assert_eq!(payloads(&*stage).await, [r#"{"number":2}"#]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_batch_cannot_be_stored_once_the_store_went_back_before_it() {
    let stage = stage();
    let client = one_lane(&stage);
    client.enqueue(Double { number: 0 }).await.unwrap();
    let batch = enqueue_in_doubt(&client, &stage, Act::LoseAnswer).await;

    stage.replace_model(model());
    let error = client.resend(batch).await.unwrap_err();

    assert!(matches!(error, EnqueueError::NotApplied { .. }), "{error:?}");
    assert_eq!(waiting(&*stage).await, 0);
}

#[tokio::test(start_paused = true)]
async fn callers_whose_time_is_up_are_not_sent_any_more() {
    let stage = stage();
    let client = one_lane(&stage);
    stage.direct([Act::Hang]);
    let held = tokio::spawn(client.enqueue(Double { number: 1 }).into_future());
    stage.calls_made(1).await;

    // The second waits its whole time for the only lane.
    let error = client.enqueue(Double { number: 2 }).await.unwrap_err();

    assert!(matches!(error, EnqueueError::NotApplied { .. }), "{error:?}");
    assert!(matches!(held.await.unwrap(), Err(EnqueueError::Unknown { .. })));
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_each_job_is_stored_as_often_as_its_caller_was_told() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let stage = stage();
        let client = Client::builder(stage.clone()).lanes(random.usize(1..4)).build().unwrap();
        stage.direct((0..random.usize(0..60)).map(|_| any_act(&mut random)));
        let mut calls = JoinSet::new();
        for number in 0..40 {
            let call = client.enqueue(Double { number }).into_future();
            calls.spawn(async move { (number, call.await.map(drop)) });
            if random.bool() {
                tokio::task::yield_now().await;
            }
        }
        let mut stored = Vec::new();
        for (number, answer) in calls.join_all().await {
            let is_stored = match answer {
                Ok(()) => true,
                Err(EnqueueError::Unknown { batch, .. }) => resend_until_known(&client, batch).await,
                Err(EnqueueError::NotApplied { .. }) => false,
                Err(error) => panic!("seed {seed}: {error:?}"),
            };
            if is_stored {
                stored.push(format!(r#"{{"number":{number}}}"#));
            }
        }
        stage.deliver_late(usize::MAX).await;
        stored.sort();
        assert_eq!(payloads(&*stage).await, stored, "seed {seed}");
    }
}

/// Sends a batch again until its caller knows; says whether it is stored.
async fn resend_until_known(client: &Client, mut batch: UnknownBatch) -> bool {
    loop {
        match client.resend(batch).await {
            Ok(_) => return true,
            Err(EnqueueError::Unknown { batch: again, .. }) => batch = again,
            Err(EnqueueError::NotApplied { .. }) => return false,
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn any_act(random: &mut fastrand::Rng) -> Act {
    match random.u8(0..12) {
        0 | 1 => Act::LoseAnswer,
        2 | 3 => Act::LoseCommand,
        4 | 5 => Act::Late(random.usize(1..30)),
        6 => Act::Refuse(Refusal::Full),
        7 => Act::Refuse(Refusal::NotReady),
        8 => Act::Unreachable,
        9 => Act::Hang,
        _ => Act::Apply,
    }
}
