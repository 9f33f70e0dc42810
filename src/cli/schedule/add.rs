//! `schedule add`: a schedule that people keep.

use celeriac_broker::{Owner, Put, ScheduleEntry, ScheduleView};
use celeriac_worker::Tasks;

use super::json::Schedule;
use super::sight::{Sight, one};
use super::spec::{ScheduleOptions, ScheduleSpec};
use super::{get, owned};
use crate::cli::args::AddArgs;
use crate::cli::config;
use crate::cli::enqueue::standard_input;
use crate::cli::exit::{Exit, Failure, chain};
use crate::cli::job_spec::{JobSpec, arguments, queue_of};
use crate::cli::output::{print, print_json, when};
use crate::cli::run::Setting;
use crate::cli::store::Store;

pub(super) async fn run(args: AddArgs, setting: Setting) -> Result<(), Failure> {
    let tasks = config::add_commands(setting.tasks, args.config.as_deref(), &setting.url)?;
    let may_replace = args.replace;
    let entry = entry(args, &tasks)?;
    let name = entry.name.clone();
    let store = Store::open_or_make(&setting.url).await?;
    comes(&store, &entry).await?;
    if let Some(kept) = store.ask(store.broker.schedule(&name)).await? {
        if kept.owner != Owner::Hand {
            return Err(owned(&store, &name, &kept.owner));
        }
        if !may_replace {
            let text = format!("there is a schedule {name} in {store}; add --replace to change it");
            return Err(Failure::new(Exit::Conflict, text));
        }
    }
    let put = store.ask(store.broker.put_schedules(&[entry])).await?.pop();
    if let Some(Put::Owned { by }) = &put {
        return Err(owned(&store, &name, by));
    }
    let sight = one(&store, get(&store, &name).await?).await?;
    if setting.json {
        return print_json(&Schedule::from(&sight));
    }
    let what = match put {
        Some(Put::Changed) => "is changed",
        Some(Put::Unchanged) => "is as it was",
        _ => "is added",
    };
    let comes = match sight.next_at() {
        Some(next) => format!("it comes next at {}", when(next, sight.now)),
        None => format!("it is {}", sight.state()),
    };
    print(&format!("schedule {name} of {store} {what}; {comes}\n"))
}

fn entry(args: AddArgs, tasks: &Tasks) -> Result<ScheduleEntry, Failure> {
    let text = match args.args.as_deref() {
        Some("-") => standard_input()?,
        Some(text) => text.to_owned(),
        None => "{}".to_owned(),
    };
    let queue = args.queue.unwrap_or_else(|| queue_of(&args.task, tasks));
    let job = JobSpec {
        args: arguments(&text).map_err(|error| Failure::usage(format!("{error}; write them as in '{{\"n\": 1}}'")))?,
        retries: args.retries,
        timeout: args.timeout,
        priority: args.priority,
        unique: args.unique,
        expires: args.expires,
        headers: args.headers,
        ..JobSpec::new(args.task, queue)
    };
    let when = match (args.cron, args.every, args.at, args.anchor) {
        (Some(expression), ..) => expression,
        (_, Some(period), _, None) => format!("every {period}"),
        (_, Some(period), _, Some(anchor)) => format!("every {period} from {anchor}"),
        (_, _, Some(instant), _) => format!("at {instant}"),
        // clap sees to it that one of them is there.
        (None, None, None, _) => return Err(Failure::usage("say when: --cron, --every or --at")),
    };
    let options = ScheduleOptions {
        catch_up: args.catch_up,
        overlap: args.overlap,
        jitter: args.jitter,
        starts_at: args.starts_at,
        ends_at: args.ends_at,
        keep_late: args.keep_late,
        paused: args.paused,
    };
    let spec = ScheduleSpec { zone: args.tz, options, ..ScheduleSpec::new(job, when) };
    spec.into_entry(args.name.as_str(), Owner::Hand).map_err(|error| Failure::usage(chain(&error)))
}

/// Refuses what would never come, because its time is over by the store's clock.
async fn comes(store: &Store, entry: &ScheduleEntry) -> Result<(), Failure> {
    let now = store.ask(store.broker.now()).await?;
    let sight = Sight::new(ScheduleView::new(entry.clone(), now), now);
    if sight.upcoming.next.is_empty() {
        return Err(Failure::usage(format!("schedule {} would never come: its last occurrence is past", entry.name)));
    }
    Ok(())
}
