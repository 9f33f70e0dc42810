//! `result ID`: the end of a job, waited for if asked.

use celeriac_core::State;

use crate::cli::args::ResultArgs;
use crate::cli::exit::Failure;
use crate::cli::job::unknown_or_workflow;
use crate::cli::json::Standing;
use crate::cli::output::note;
use crate::cli::run::Setting;
use crate::cli::store::Store;
use crate::cli::wait::{for_end, report};

pub(crate) async fn run(args: ResultArgs, setting: &Setting) -> Result<(), Failure> {
    let store = Store::open(&setting.url).await?;
    let Some(view) = store.ask(store.broker.job(&args.id)).await? else {
        return Err(unknown_or_workflow(&store, args.id.as_str()).await);
    };
    let standing = match args.wait {
        Some(wait) if !view.state.is_terminal() => {
            if view.state != State::Running {
                note(&format!("job {} is {} in {store}; waiting for its end", view.id, view.state));
            }
            let job = store.client()?.handle_to(args.id);
            for_end(&store, &job, (view.task, view.queue), wait).await?
        }
        _ => Standing::of(&view),
    };
    report(&store, &standing, args.wait, setting.json)
}
