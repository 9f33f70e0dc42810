//! `schedule`: what comes again and again, as people look at it and change it.
//!
//! [`sight`] is what is to be said of a schedule now, [`list`] and [`show`] say it to people and [`json`] to programs. [`add`] and [`change`]
//! are the orders, [`spec`] is one schedule from flags or a file, and [`next`] reads timetables alone.

mod add;
mod change;
mod json;
mod list;
mod next;
mod show;
pub(crate) mod sight;
pub(crate) mod spec;

use celeriac_broker::{Owner, ScheduleView};
use celeriac_core::ScheduleName;

use crate::cli::args::ScheduleVerb;
use crate::cli::exit::{Exit, Failure};
use crate::cli::run::Setting;
use crate::cli::store::Store;

pub(crate) async fn run(verb: ScheduleVerb, setting: Setting) -> Result<(), Failure> {
    let verb = match verb {
        ScheduleVerb::Next(args) => return next::run(&args, setting.json),
        ScheduleVerb::Add(args) => return add::run(*args, setting).await,
        verb => verb,
    };
    let (store, json) = (Store::open(&setting.url).await?, setting.json);
    match verb {
        ScheduleVerb::List => list::run(&store, json).await,
        ScheduleVerb::Show { name } => show::run(&store, &name, json).await,
        ScheduleVerb::Remove { names } => change::remove(&store, names, json).await,
        ScheduleVerb::Pause { name } => change::pause(&store, &name, json).await,
        ScheduleVerb::Resume { name } => change::resume(&store, &name, json).await,
        ScheduleVerb::Run { name } => change::run_now(&store, &name, json).await,
        // They were dealt with before there was a store.
        ScheduleVerb::Next(_) | ScheduleVerb::Add(_) => Ok(()),
    }
}

/// The schedule of this name.
async fn get(store: &Store, name: &ScheduleName) -> Result<ScheduleView, Failure> {
    store.ask(store.broker.schedule(name)).await?.ok_or_else(|| unknown(store, &[name.as_str()]))
}

fn unknown(store: &Store, names: &[&str]) -> Failure {
    Failure::new(Exit::NotFound, format!("{store} has no schedule {}", names.join(", ")))
}

/// The refusal to change by hand what an application would change back.
fn owned(store: &Store, name: &ScheduleName, owner: &Owner) -> Failure {
    Failure::new(
        Exit::Conflict,
        format!(
            "schedule {name} in {store} is kept by the application {:?}, which would bring it back: pause it with celeriac schedule pause \
             {name}, or change it there, in its code or its celeriac.toml",
            owner.as_str()
        ),
    )
}
