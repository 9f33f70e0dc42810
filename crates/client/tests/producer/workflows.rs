//! A wait for a workflow that will never end is noticed.

use celeriac_client::{Client, WorkflowError};

use crate::support::model;

#[tokio::test(start_paused = true)]
async fn waiting_for_a_workflow_that_never_was_ends() {
    let client = Client::new(std::sync::Arc::new(model()));
    let workflow = client.workflow("nobody".parse().unwrap());

    let error = workflow.result().await.unwrap_err();

    assert!(matches!(error, WorkflowError::NotKept { .. }), "{error}");
    assert!(workflow.sight().await.unwrap().is_none());
}
