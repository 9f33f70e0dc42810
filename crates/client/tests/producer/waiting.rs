//! Results come back typed, failures say what happened, and a wait for nothing ends.

use std::future::IntoFuture as _;
use std::time::Duration;

use crate::support::{Double, model, work_off};
use celeriac_client::{Client, ResultError};
use celeriac_core::{Cause, Ending, JobId, State, TaskError};
use serde_json::value::to_raw_value;

#[tokio::test]
async fn a_result_comes_back_with_its_type() {
    let store = model();
    let client = Client::new(std::sync::Arc::new(store.clone()));
    let job = client.enqueue(Double { number: 21 }).await.unwrap();
    let wait = tokio::spawn(async move { job.result().await });

    work_off(&store, "numbers", |record| {
        let task: Double = serde_json::from_slice(&record.payload).unwrap();
        Ending::Succeeded(to_raw_value(&(task.number * 2)).unwrap())
    })
    .await;

    assert_eq!(wait.await.unwrap().unwrap(), 42);
}

#[tokio::test]
async fn a_dead_job_tells_its_waiter_state_error_attempts_and_worker() {
    let store = model();
    let client = Client::new(std::sync::Arc::new(store.clone()));
    let job = client.enqueue(Double { number: 1 }).await.unwrap();
    let fail = |_: &_| Ending::Failed { cause: Cause::Failed, error: TaskError::permanent("no such number") };
    work_off(&store, "numbers", fail).await;

    let failure = job.result().await.unwrap_err();

    let ResultError::Failed { state, error, attempts, worker, .. } = &failure else { panic!("{failure:?}") };
    assert_eq!((*state, error.as_str(), *attempts, worker.as_str()), (State::Dead, "no such number", 1, "tester"));
    assert!(failure.to_string().ends_with("is dead after 1 attempts: no such number"), "{failure}");
}

#[tokio::test]
async fn a_result_of_another_type_is_named_and_not_guessed() {
    let store = model();
    let client = Client::new(std::sync::Arc::new(store.clone()));
    let job = client.enqueue(Double { number: 1 }).await.unwrap();
    work_off(&store, "numbers", |_| Ending::Succeeded(to_raw_value("two").unwrap())).await;

    let error = job.result().await.unwrap_err();

    assert!(matches!(error, ResultError::Decode { .. }), "{error:?}");
}

#[tokio::test]
async fn a_handle_can_be_made_from_an_id() {
    let store = model();
    let client = Client::new(std::sync::Arc::new(store.clone()));
    client.enqueue(Double { number: 1 }).id("known").await.unwrap();
    work_off(&store, "numbers", |_| Ending::Succeeded(to_raw_value(&7).unwrap())).await;

    let job = client.handle::<Double>(JobId::new("known").unwrap());

    assert_eq!(job.result().await.unwrap(), 7);
    assert_eq!(job.status().await.unwrap().unwrap().state, State::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_job_that_never_was_ends() {
    let client = Client::new(std::sync::Arc::new(model()));

    let error = client.handle::<Double>(JobId::new("nobody").unwrap()).result().await.unwrap_err();

    assert!(matches!(error, ResultError::NotKept { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_result_that_is_not_kept_ends() {
    let store = model();
    let client = Client::new(std::sync::Arc::new(store.clone()));
    let job = client.enqueue(Double { number: 1 }).result_ttl(Duration::ZERO).await.unwrap();
    let wait = tokio::spawn(async move { job.result().await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!wait.is_finished(), "the job still waits, and so does its caller");

    work_off(&store, "numbers", |_| Ending::Succeeded(to_raw_value(&7).unwrap())).await;

    assert!(matches!(wait.await.unwrap(), Err(ResultError::NotKept { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_wait_with_a_limit_ends_with_it() {
    let client = Client::new(std::sync::Arc::new(model()));
    let job = client.enqueue(Double { number: 1 }).into_future().await.unwrap();

    let error = job.result_within(Duration::from_millis(1500)).await.unwrap_err();

    assert!(error.is_transient());
    assert!(error.to_string().ends_with("has not ended within 1500ms"), "{error}");
}
