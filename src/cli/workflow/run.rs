//! `workflow run`: a workflow is checked and begins.

use celeriac_core::WorkflowId;
use celeriac_workflow::{NewId, SubmitError, submit};
use serde_json::json;

use super::read::workflow;
use super::watch;
use crate::cli::args::RunArgs;
use crate::cli::config;
use crate::cli::consent::counted;
use crate::cli::exit::{Exit, Failure, chain};
use crate::cli::output::{note, print, print_json};
use crate::cli::run::Setting;
use crate::cli::store::Store;

pub(super) async fn run(args: RunArgs, setting: Setting) -> Result<(), Failure> {
    let tasks = config::add_commands(setting.tasks, args.config.as_deref(), &setting.url)?;
    let new = args.id.map_or_else(NewId::generate, NewId::from);
    let id = new.id().clone();
    let (workflow, plan) = workflow(&args.file, &id, &tasks)?;
    let store = Store::open_or_make(&setting.url).await?;
    // The queues are named already. However long it is, each call to the store has a bound of its own.
    let submitted = submit(store.broker.as_ref(), &workflow, new, |_| None).await;
    submitted.map_err(|error| failure(&store, &id, &error))?;
    let Some(wait) = args.wait else {
        return if setting.json { print_json(&json!({ "id": id })) } else { print(&format!("{id}\n")) };
    };
    note(&format!("workflow {id} of {} is in {store}; waiting for its end", counted(plan.steps(), "step")));
    let standing = watch::for_end(&store, &plan, wait).await?;
    watch::report(&store, &standing, wait, setting.json)
}

/// What it means for the caller that a workflow does not run, or may not.
fn failure(store: &Store, id: &WorkflowId, error: &SubmitError) -> Failure {
    match error {
        SubmitError::InUse(_) => {
            let text = format!("workflow id {id} is in use in {store}; look with: celeriac workflow show {id}");
            Failure::new(Exit::Conflict, text)
        }
        SubmitError::Store(source) if source.is_in_doubt() => {
            let what = format!("workflow {id} may have begun; look with: celeriac workflow show {id}");
            store.failure(source).after(&what)
        }
        SubmitError::Store(source) => store.failure(source).after(&format!("workflow {id} did not begin")),
        SubmitError::Spec(_) => Failure::usage(chain(error)),
    }
}
