//! `workflow retry` and `workflow revoke`.

use celeriac_broker::WorkflowRevoked;
use celeriac_core::WorkflowId;
use celeriac_workflow::RetryError;
use serde_json::json;

use super::unknown;
use crate::cli::consent::{counted, person};
use crate::cli::exit::{Exit, Failure, chain};
use crate::cli::output::{print, print_json};
use crate::cli::store::Store;

pub(super) async fn retry(store: &Store, id: &WorkflowId, step: Option<&str>, json: bool) -> Result<(), Failure> {
    let retried = celeriac_workflow::retry(store.broker.as_ref(), id, step).await;
    let retried = retried.map_err(|error| not_retried(store, id, &error))?;
    if json {
        return print_json(&json!({ "id": id, "retried": retried }));
    }
    let begin = if retried == 1 { "begins" } else { "begin" };
    print(&format!("workflow {id} of {store} goes on: {} {begin} anew\n", counted(retried, "step")))
}

fn not_retried(store: &Store, id: &WorkflowId, error: &RetryError) -> Failure {
    match error {
        RetryError::Unknown(_) => unknown(store, id),
        RetryError::UnknownStep { .. } => Failure::new(Exit::NotFound, format!("workflow {id} in {store}: {error}")),
        RetryError::Store(source) => {
            store.failure(source).after(&format!("some steps of workflow {id} may have begun anew; repeat it"))
        }
        _ => Failure::new(Exit::Failed, format!("workflow {id} in {store}: {}", chain(error))),
    }
}

pub(super) async fn revoke(store: &Store, id: &WorkflowId, json: bool) -> Result<(), Failure> {
    let revoked = celeriac_workflow::revoke(store.broker.as_ref(), id, &person()).await;
    match revoked.map_err(|error| store.failure(&error))? {
        WorkflowRevoked::Unknown => Err(unknown(store, id)),
        WorkflowRevoked::TooLate => {
            Err(Failure::new(Exit::Failed, format!("workflow {id} in {store} had ended or was revoked before")))
        }
        _ if json => print_json(&json!({ "id": id, "state": "revoked" })),
        _ => print(&format!("workflow {id} of {store} is revoked: nothing of it begins any more\n")),
    }
}
