//! `schedule list`: a table, and what is wrong beside it.

use celeriac_core::State;

use super::json::Schedule;
use super::sight::{LastJob, Sight, all, with_last_jobs};
use crate::cli::exit::Failure;
use crate::cli::output::{Table, age, brief, note, print, print_json};
use crate::cli::store::Store;

/// How much of a timetable fits into a list.
const TIMETABLE_LENGTH: usize = 50;

/// How many warnings are said; the rest is counted.
const WARNINGS: usize = 5;

pub(super) async fn run(store: &Store, json: bool) -> Result<(), Failure> {
    let mut sights = all(store).await?;
    with_last_jobs(store, &mut sights).await?;
    if json {
        return print_json(&sights.iter().map(Schedule::from).collect::<Vec<_>>());
    }
    if sights.is_empty() {
        note(&format!("there are no schedules in {store}; add one: celeriac schedule add NAME --every 5m TASK"));
        return Ok(());
    }
    print(&table(&sights).render())?;
    let warnings: Vec<_> = sights.iter().filter_map(|sight| Some((&sight.view.name, sight.warning()?))).collect();
    for (name, warning) in warnings.iter().take(WARNINGS) {
        note(&format!("warning: schedule {name}: {warning}"));
    }
    if warnings.len() > WARNINGS {
        note(&format!("warning: and {} more of that kind", warnings.len() - WARNINGS));
    }
    if sights.iter().any(Sight::is_overdue) {
        note("start a beat: celeriac beat, or celeriac worker --beat");
    }
    Ok(())
}

fn table(sights: &[Sight]) -> Table {
    let mut table = Table::new(&["NAME", "TIMETABLE", "TASK", "STATE", "LAST", "NEXT", "LAG", "MISSED"]);
    for sight in sights {
        let view = &sight.view;
        let schedule = view.schedule.as_ref().ok();
        table.row(vec![
            view.name.to_string(),
            schedule.map_or_else(|| "?".to_owned(), |schedule| brief(&schedule.timetable, TIMETABLE_LENGTH)),
            schedule.map_or_else(|| "?".to_owned(), |schedule| schedule.task.to_string()),
            sight.state().to_owned(),
            last(sight),
            sight.next_at().map_or_else(|| "-".to_owned(), |next| format!("in {}", age(next.since(sight.now)))),
            lag(sight),
            view.missed.to_string(),
        ]);
    }
    table
}

/// What became of the last job, and how long ago it was enqueued.
fn last(sight: &Sight) -> String {
    let Some(job) = &sight.last_job else { return "-".to_owned() };
    let ago = sight.view.fired_at.map(|at| format!(" {} ago", age(sight.now.since(at)))).unwrap_or_default();
    format!("{}{ago}", outcome(job))
}

/// What became of a job, in a word or two.
pub(super) fn outcome(job: &LastJob) -> &'static str {
    job.view.as_ref().map_or("not kept", |view| State::as_str(view.state))
}

fn lag(sight: &Sight) -> String {
    if sight.is_overdue() {
        return format!("overdue {}", age(sight.upcoming.overdue));
    }
    match sight.view.fired_at {
        Some(_) => age(sight.view.lag),
        None => "-".to_owned(),
    }
}
