//! `workflow`: jobs that wait for each other, as people run them, look at them and mend them.
//!
//! [`read`] checks a file, [`run`] lets it begin and [`watch`] waits for its end. [`list`] and [`show`] say to people where workflows are, with
//! [`tree`] for the steps of one, and [`json`] says it to programs. [`change`] has the orders.

mod change;
mod json;
mod list;
mod read;
mod run;
mod show;
mod tree;
mod watch;

use celeriac_core::WorkflowId;

use crate::cli::args::WorkflowVerb;
use crate::cli::exit::{Exit, Failure};
use crate::cli::run::Setting;
use crate::cli::store::Store;

pub(crate) async fn run(verb: WorkflowVerb, setting: Setting) -> Result<(), Failure> {
    let verb = match verb {
        WorkflowVerb::Run(args) => return run::run(args, setting).await,
        verb => verb,
    };
    let (store, json) = (Store::open(&setting.url).await?, setting.json);
    match verb {
        WorkflowVerb::List { limit } => list::run(&store, limit.get(), json).await,
        WorkflowVerb::Show { id } => show::run(&store, &id, json).await,
        WorkflowVerb::Retry { id, step } => change::retry(&store, &id, step.as_deref(), json).await,
        WorkflowVerb::Revoke { id } => change::revoke(&store, &id, json).await,
        // It was dealt with before there was a store.
        WorkflowVerb::Run(_) => Ok(()),
    }
}

fn unknown(store: &Store, id: &WorkflowId) -> Failure {
    let text = format!("{store} knows nothing of workflow {id}: there was none, or its time is over");
    Failure::new(Exit::NotFound, text)
}
