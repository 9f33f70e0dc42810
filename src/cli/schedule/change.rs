//! `schedule remove`, `pause`, `resume` and `run`: the orders about a schedule that is there.

use std::collections::BTreeSet;

use celeriac_broker::{MAX_SCHEDULES, Owner, Put, ScheduleEntry, ScheduleView};
use celeriac_client::Signature;
use celeriac_core::{JobId, ScheduleName};
use serde_json::json;

use super::json::Schedule;
use super::sight::one;
use super::{get, owned, unknown};
use crate::cli::enqueue;
use crate::cli::exit::{Exit, Failure, chain};
use crate::cli::output::{print, print_json};
use crate::cli::store::Store;

/// Removes those that people keep. One that is not there, or that an application keeps, does not stop the others.
pub(super) async fn remove(store: &Store, names: Vec<ScheduleName>, json: bool) -> Result<(), Failure> {
    let names: Vec<_> = names.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let (mut removed, mut missing, mut refusal) = (Vec::new(), Vec::new(), None);
    for part in names.chunks(MAX_SCHEDULES) {
        let answers = store.ask(store.broker.remove_schedules(part, Some(&Owner::Hand))).await?;
        for (name, is_removed) in part.iter().zip(answers) {
            if is_removed {
                removed.push(name.as_str());
                continue;
            }
            match store.ask(store.broker.schedule(name)).await? {
                Some(view) => refusal = Some(owned(store, name, &view.owner)),
                None => missing.push(name.as_str()),
            }
        }
    }
    if json {
        print_json(&json!({ "removed": removed }))?;
    } else {
        removed.iter().try_for_each(|name| print(&format!("schedule {name} of {store} is removed\n")))?;
    }
    match refusal {
        Some(refusal) => Err(refusal),
        None if missing.is_empty() => Ok(()),
        None => Err(unknown(store, &missing)),
    }
}

pub(super) async fn pause(store: &Store, name: &ScheduleName, json: bool) -> Result<(), Failure> {
    if !store.ask(store.broker.pause_schedule(name, true)).await? {
        return Err(unknown(store, &[name.as_str()]));
    }
    told(store, name, json).await
}

pub(super) async fn resume(store: &Store, name: &ScheduleName, json: bool) -> Result<(), Failure> {
    let view = get(store, name).await?;
    if view.schedule.as_ref().is_ok_and(|schedule| schedule.rests) {
        let_come(store, view).await?;
    }
    if !store.ask(store.broker.pause_schedule(name, false)).await? {
        return Err(unknown(store, &[name.as_str()]));
    }
    told(store, name, json).await
}

/// Lets a schedule come that was added with `--paused`. What an application wants paused stays so.
async fn let_come(store: &Store, view: ScheduleView) -> Result<(), Failure> {
    let ScheduleView { name, owner, schedule, .. } = view;
    let rests = |by: &Owner| {
        let text = format!(
            "schedule {name} in {store} rests because the application {:?} that keeps it says so; change paused there",
            by.as_str()
        );
        Failure::new(Exit::Conflict, text)
    };
    let Ok(mut schedule) = schedule else { return Ok(()) };
    if owner != Owner::Hand {
        return Err(rests(&owner));
    }
    schedule.rests = false;
    let entry = ScheduleEntry { name: name.clone(), owner, schedule };
    match store.ask(store.broker.put_schedules(&[entry])).await?.pop() {
        Some(Put::Owned { by }) => Err(rests(&by)),
        _ => Ok(()),
    }
}

async fn told(store: &Store, name: &ScheduleName, json: bool) -> Result<(), Failure> {
    let sight = one(store, get(store, name).await?).await?;
    if json {
        return print_json(&Schedule::from(&sight));
    }
    print(&format!("schedule {name} of {store} is {}\n", sight.state()))
}

/// Enqueues a job now. The schedule knows nothing of it: neither its next occurrence nor its counters change.
pub(super) async fn run_now(store: &Store, name: &ScheduleName, json: bool) -> Result<(), Failure> {
    let view = get(store, name).await?;
    let unreadable = |reason: String| Failure::new(Exit::Failed, format!("schedule {name} in {store}: {reason}"));
    let schedule = view.schedule.map_err(|reason| unreadable(format!("it cannot be read: {reason}")))?;
    let id = JobId::new(format!("{name}:run:{}", JobId::generate()));
    let id = id.map_err(|error| unreadable(error.to_string()))?;
    let signature = Signature::of_record(schedule.unnamed_job(id));
    let signature = signature.map_err(|error| unreadable(chain(&error)))?;
    let enqueued = store.client()?.enqueue_signature(signature).await;
    let job = enqueued.map_err(|error| enqueue::failure(store, &error))?;
    if json { print_json(&json!({ "id": job.id() })) } else { print(&format!("{}\n", job.id())) }
}
