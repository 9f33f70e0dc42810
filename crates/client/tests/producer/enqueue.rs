//! What a caller says of a job arrives in the store, and what cannot work is refused before anything is sent.

use std::time::{Duration, SystemTime};

use crate::stage::Act;
use crate::support::{self, Double, Shout, stage};
use celeriac_broker::{Inspector as _, Refusal};
use celeriac_client::{Acceptance, Client, EnqueueError, Invalid, Signature};
use celeriac_core::{JobId, MAX_PAYLOAD_BYTES, State, Timestamp};
use serde_json::value::RawValue;

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

#[tokio::test]
async fn a_job_goes_to_its_tasks_queue_with_its_arguments_as_json() {
    let stage = stage();
    let client = Client::new(stage.clone());

    let job = client.enqueue(Double { number: 4 }).await.unwrap();

    let view = job.status().await.unwrap().unwrap();
    assert_eq!((view.task.as_str(), view.queue.as_str(), view.state), ("double", "numbers", State::Queued));
    assert_eq!(view.payload.unwrap(), br#"{"number":4}"#);
    assert!(stage.calls()[0].jobs[0].record.options.is_empty(), "no option was given, so none takes room");
}

#[tokio::test]
async fn every_option_of_a_call_reaches_the_store() {
    let stage = stage();
    let client = Client::new(stage.clone());

    let call = client.enqueue(Double { number: 4 }).queue("other").id("four").delay(Duration::from_secs(5));
    let job = call.retries(3).timeout(Duration::from_secs(30)).result_ttl(Duration::ZERO).await.unwrap();

    assert_eq!(job.id().as_str(), "four");
    let view = job.status().await.unwrap().unwrap();
    assert_eq!((view.queue.as_str(), view.state), ("other", State::Scheduled));
    assert_eq!(view.due_at, Some(stage.now().await.unwrap().after(Duration::from_secs(5))));
    let options = stage.calls()[0].jobs[0].record.options.clone();
    assert_eq!((options.retries, options.timeout_ms, options.result_ttl_ms), (Some(3), Some(30_000), Some(0)));
}

#[tokio::test]
async fn a_job_can_be_due_at_an_instant() {
    let client = Client::new(stage());
    let due = SystemTime::UNIX_EPOCH + Duration::from_millis(2_000_000_000_123);

    let job = client.enqueue(Double { number: 4 }).delay(Duration::from_secs(5)).at(due).await.unwrap();

    let view = job.status().await.unwrap().unwrap();
    assert_eq!(view.due_at, Some(Timestamp::from_millis(2_000_000_000_123)), "the later word counts");
}

#[tokio::test]
async fn an_id_in_use_is_refused_by_name() {
    let client = Client::new(stage());
    client.enqueue(Double { number: 1 }).id("invoice:7").await.unwrap();

    let error = client.enqueue(Double { number: 2 }).id("invoice:7").await.unwrap_err();

    assert!(matches!(&error, EnqueueError::IdInUse { id } if id.as_str() == "invoice:7"), "{error:?}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn what_cannot_work_is_refused_when_awaited_and_not_sent() {
    let stage = stage();
    let client = Client::new(stage.clone());
    let enqueue = || client.enqueue(Double { number: 1 });

    let queue = enqueue().queue("two words").await.unwrap_err();
    let id = enqueue().id("").await.unwrap_err();
    let timeout = enqueue().timeout(Duration::ZERO).await.unwrap_err();

    assert!(matches!(queue, EnqueueError::Invalid(Invalid::Name(_))), "{queue:?}");
    assert!(matches!(id, EnqueueError::Invalid(Invalid::Id(_))), "{id:?}");
    assert_eq!(timeout.to_string(), "timeout must be longer than zero");
    assert!(stage.calls().is_empty());
}

#[tokio::test]
async fn a_payload_above_the_limit_is_refused_with_its_size() {
    let stage = stage();
    let client = Client::new(stage.clone());
    // Two bytes are the quotation marks.
    let largest = "x".repeat(MAX_PAYLOAD_BYTES - 2);

    client.enqueue(Shout(largest.clone())).await.unwrap();
    let error = client.enqueue(Shout(largest + "x")).await.unwrap_err();

    let EnqueueError::PayloadTooLarge { bytes, limit } = error else { panic!("{error:?}") };
    assert_eq!((bytes, limit), (MAX_PAYLOAD_BYTES + 1, MAX_PAYLOAD_BYTES));
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test]
async fn a_signature_keeps_its_arguments_byte_for_byte() {
    let stage = stage();
    let client = Client::new(stage.clone());

    let signature = Signature::new("anything", json(r#"[1,  12345678901234567890123, {}]"#)).id("one");
    let job = client.enqueue_signature(signature).await.unwrap();

    let view = job.status().await.unwrap().unwrap();
    assert_eq!((view.task.as_str(), view.queue.as_str(), view.id.as_str()), ("anything", "default", "one"));
    assert_eq!(view.payload.unwrap(), b"[1,  12345678901234567890123, {}]");
}

#[tokio::test]
async fn one_bad_signature_stops_all_before_anything_is_sent() {
    let stage = stage();
    let client = Client::new(stage.clone());
    let signatures = ["good", "also.good", "not good"].map(|task| Signature::new(task, json("{}")));

    let error = client.enqueue_all(signatures.to_vec()).await.unwrap_err();

    assert_eq!((error.index, error.accepted.len()), (2, 0));
    assert!(matches!(error.source, EnqueueError::Invalid(Invalid::Name(_))), "{error:?}");
    assert!(stage.calls().is_empty());
}

#[tokio::test]
async fn an_id_in_use_does_not_stop_the_other_signatures() {
    let client = Client::new(stage());
    let signature = |id: &str| Signature::new("t", json("{}")).id(id);
    client.enqueue_signature(signature("b")).await.unwrap();

    let answers = client.enqueue_all(["a", "b", "c"].map(signature).to_vec()).await.unwrap();

    let expected = [("a", Acceptance::Accepted), ("b", Acceptance::IdInUse), ("c", Acceptance::Accepted)];
    assert_eq!(answers, expected.map(|(id, answer)| (JobId::new(id).unwrap(), answer)));
}

#[tokio::test]
async fn many_jobs_keep_their_order_and_travel_in_full_batches() {
    let stage = stage();
    let client = Client::new(stage.clone());

    let jobs = client.enqueue_many((0..1200).map(|number| Double { number })).queue("many").await.unwrap();

    let sizes: Vec<_> = stage.calls().iter().map(|batch| batch.jobs.len()).collect();
    assert_eq!(sizes, [500, 500, 200]);
    let ids: Vec<_> = jobs.iter().map(|job| job.id().clone()).collect();
    assert_eq!(support::fetch_order(&*stage, "many").await, ids);
}

#[tokio::test]
async fn many_large_jobs_stay_below_the_bytes_of_a_batch() {
    let stage = stage();
    let client = Client::new(stage.clone());
    let third = MAX_PAYLOAD_BYTES / 3 - 2;

    client.enqueue_many((0..5).map(|_| Shout("x".repeat(third)))).await.unwrap();

    let sizes: Vec<_> = stage.calls().iter().map(|batch| batch.jobs.len()).collect();
    assert_eq!(sizes, [3, 2]);
}

#[tokio::test]
async fn many_jobs_are_drawn_no_further_than_a_batch_ahead() {
    let stage = stage();
    let client = Client::new(stage.clone());
    let sent_when_drawn = |number| (number, stage.calls().len() as u64);

    let tasks = (0..1500).map(sent_when_drawn).inspect(|(number, sent)| assert_eq!(*sent, number.max(&1) / 501));
    client.enqueue_many(tasks.map(|(number, _)| Double { number })).await.unwrap();

    assert_eq!(stage.calls().len(), 3);
}

#[tokio::test]
async fn many_jobs_stop_at_the_first_batch_that_fails() {
    let stage = stage();
    let client = Client::new(stage.clone());
    stage.direct([Act::Apply, Act::Refuse(Refusal::Full)]);

    let error = client.enqueue_many((0..1200).map(|number| Double { number })).await.unwrap_err();

    assert_eq!((error.index, error.accepted.len(), stage.calls().len()), (500, 500, 2));
    assert!(matches!(error.source, EnqueueError::NotApplied { .. }), "{error:?}");
    assert_eq!(support::waiting(&*stage).await, 500);
}

#[tokio::test]
async fn options_of_a_client_outside_their_bounds_are_refused() {
    let lanes = Client::builder(stage()).lanes(0).build().unwrap_err();
    let timeout = Client::builder(stage()).enqueue_timeout(Duration::from_secs(86_400)).build().unwrap_err();

    assert_eq!(lanes.to_string(), "lanes must be 1 to 64");
    assert!(matches!(timeout, Invalid::Option { option: "enqueue_timeout", .. }), "{timeout:?}");
}

#[tokio::test]
async fn a_url_that_names_no_store_is_refused() {
    assert!(Client::connect("queue.db").await.is_err());
}
