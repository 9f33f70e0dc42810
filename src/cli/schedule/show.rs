//! `schedule show`: all that is known of one.

use std::time::Duration;

use celeriac_core::{CatchUp, Overlap, Priority, Schedule, ScheduleName, format_duration};

use super::get;
use super::json;
use super::list::outcome;
use super::sight::{Sight, one};
use crate::cli::exit::Failure;
use crate::cli::output::{brief, note, print, print_json, printable, when};
use crate::cli::store::Store;

/// How much of an error is shown; the job itself shows all of it.
const ERROR_LENGTH: usize = 100;

pub(super) async fn run(store: &Store, name: &ScheduleName, json: bool) -> Result<(), Failure> {
    let sight = one(store, get(store, name).await?).await?;
    if json {
        return print_json(&json::Schedule::from(&sight));
    }
    print(&describe(&sight))?;
    if let Some(warning) = sight.warning() {
        note(&format!("warning: schedule {name}: {warning}"));
    }
    Ok(())
}

/// A schedule in lines of name and value; what is not said has no line.
fn describe(sight: &Sight) -> String {
    let view = &sight.view;
    let mut fields = vec![("name", view.name.to_string()), ("owner", owner(sight)), ("state", state(sight))];
    match &view.schedule {
        Ok(schedule) => fields.extend(definition(schedule)),
        Err(reason) => fields.push(("error", reason.clone())),
    }
    fields.extend(sight.upcoming.next.iter().map(|next| ("next", when(*next, sight.now))));
    let (fired, missed, skipped) = (view.fired, view.missed, view.skipped);
    fields.push(("counters", format!("{fired} enqueued, {missed} missed, {skipped} skipped")));
    if let Some(job) = &sight.last_job {
        let at =
            view.fired_at.map(|at| format!(", enqueued {}, {} late", when(at, sight.now), format_duration(view.lag)));
        fields.push(("last job", format!("{}: {}{}", job.id, outcome(job), at.unwrap_or_default())));
        let error = job.view.as_ref().and_then(|view| view.error.as_deref());
        fields.extend(error.map(|error| ("error", brief(error, ERROR_LENGTH))));
    }
    let line = |(name, value): (&str, String)| format!("{name:<11}{}\n", printable(&value).replace('\n', " "));
    fields.into_iter().map(line).collect()
}

fn owner(sight: &Sight) -> String {
    sight
        .owner()
        .map_or_else(|| "nobody; it was added by hand".to_owned(), |owner| format!("the application {owner:?}"))
}

fn state(sight: &Sight) -> String {
    match sight.state() {
        "rests" => "rests, because its owner says paused".to_owned(),
        state => state.to_owned(),
    }
}

/// What it says itself, where that is not the usual.
fn definition(schedule: &Schedule) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("timetable", schedule.timetable.clone()),
        ("task", format!("{} on queue {}", schedule.task, schedule.queue)),
        ("args", schedule.args.get().to_owned()),
        ("catch up", catch_up(schedule.catch_up)),
        ("overlap", if schedule.overlap == Overlap::Skip { "skip" } else { "allow" }.to_owned()),
    ];
    let options = &schedule.options;
    let lasts = |millis: u64| format_duration(Duration::from_millis(millis));
    if schedule.priority != Priority::default() {
        fields.push(("priority", schedule.priority.get().to_string()));
    }
    fields.extend(options.retries.map(|retries| ("retries", retries.to_string())));
    fields.extend(options.timeout_ms.map(|limit| ("timeout", lasts(limit))));
    fields.push((
        "expires",
        match options.expires_ms {
            Some(limit) => format!("{} after it was enqueued", lasts(limit)),
            None if schedule.keeps_late => "never".to_owned(),
            None => "when the next one comes".to_owned(),
        },
    ));
    fields.extend(options.unique.as_ref().map(|key| ("unique", key.to_string())));
    fields.extend(options.headers.iter().map(|(name, value)| ("header", format!("{name}={value}"))));
    if schedule.jitter_ms > 0 {
        fields.push(("jitter", format!("up to {}", lasts(schedule.jitter_ms))));
    }
    fields.extend(schedule.starts_at.map(|at| ("starts", at.to_string())));
    fields.extend(schedule.ends_at.map(|at| ("ends", at.to_string())));
    fields
}

fn catch_up(policy: CatchUp) -> String {
    match policy {
        CatchUp::Skip => "skip".to_owned(),
        CatchUp::All(most) => format!("the newest {most}"),
        _ => "latest".to_owned(),
    }
}
