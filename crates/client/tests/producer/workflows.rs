//! What a client says of a workflow that may not have begun, and of one that will never end.

use std::sync::Arc;

use celeriac_broker::{Fault, FaultyBroker, Operation};
use celeriac_client::canvas::step;
use celeriac_client::{Client, RunError, WorkflowError};

use crate::support::{Double, model, waiting};

#[tokio::test(start_paused = true)]
async fn a_lost_answer_begins_one_workflow() {
    let faulty = Arc::new(FaultyBroker::new(Arc::new(model())));
    let client = Client::new(faulty.clone());
    faulty.fail_next(Operation::PutWorkflow, Fault::AnswerLost);

    client.run(step(Double { number: 1 })).await.unwrap();

    assert_eq!(waiting(&*faulty).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_begins_nothing_and_the_error_says_so() {
    let faulty = Arc::new(FaultyBroker::new(Arc::new(model())));
    let client = Client::new(faulty.clone());
    faulty.fail_all(Fault::Unreachable);

    let error = client.run(step(Double { number: 1 })).id("one").await.unwrap_err();

    assert!(matches!(error, RunError::NotApplied { .. }) && error.is_transient(), "{error:?}");
    assert_eq!(error.to_string(), "workflow one has not begun");
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_may_have_begun_is_never_said_not_to_have() {
    let faulty = Arc::new(FaultyBroker::new(Arc::new(model())));
    let client = Client::new(faulty.clone());
    faulty.fail_all(Fault::Unreachable);
    faulty.fail_next(Operation::PutWorkflow, Fault::AnswerLost);

    let error = client.run(step(Double { number: 1 })).await.unwrap_err();

    let RunError::Unknown { id, .. } = error else { panic!("{error:?}") };
    faulty.heal();
    assert!(client.workflow(id.clone()).sight().await.unwrap().is_some());
    let again = client.run(step(Double { number: 1 })).id(id.as_str()).await.unwrap_err();
    assert!(matches!(again, RunError::IdInUse { .. }), "{again}");
    assert_eq!(waiting(&*faulty).await, 1);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_workflow_that_never_was_ends() {
    let client = Client::new(Arc::new(model()));
    let workflow = client.workflow("nobody".parse().unwrap());

    let error = workflow.result().await.unwrap_err();

    assert!(matches!(error, WorkflowError::NotKept { .. }), "{error}");
    assert!(workflow.sight().await.unwrap().is_none());
}
