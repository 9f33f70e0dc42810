//! Schedules: a row each, and a counter of changes that beats wait for.

use std::time::Duration;

use async_trait::async_trait;
use celeriac_core::{JobId, NameError, ScheduleName, State, Timestamp};
use rusqlite::Row;

use super::broker::SqliteBroker;
use super::enqueue;
use super::fault::Fault;
use super::scope::{Scope, View, instant, integer, natural};
use crate::batch::{Acceptance, IdOrigin, NewJob, Start};
use crate::error::BrokerError;
use crate::schedules::{
    DueSchedules, Fired, Firing, MAX_SCHEDULES, Owner, Put, ScheduleEntry, ScheduleMark, ScheduleView, Schedules,
    check_count, read_definition,
};

/// The columns of a view, in the order in which [`read`] takes them.
const COLUMNS: &str =
    "name, owner, definition, revision, paused, last, next_at, fired, missed, skipped, fired_at, lag, job";

#[async_trait]
impl Schedules for SqliteBroker {
    async fn put_schedules(&self, entries: &[ScheduleEntry]) -> Result<Vec<Put>, BrokerError> {
        check_count(entries.len())?;
        let entries = entries.to_vec();
        self.write(move |scope| entries.iter().map(|entry| put(scope, entry)).collect()).await
    }

    async fn remove_schedules(&self, names: &[ScheduleName], owner: Option<&Owner>) -> Result<Vec<bool>, BrokerError> {
        check_count(names.len())?;
        let (names, owner) = (names.to_vec(), owner.cloned());
        self.write(move |scope| names.iter().map(|name| remove(scope, name, owner.as_ref())).collect()).await
    }

    async fn pause_schedule(&self, name: &ScheduleName, paused: bool) -> Result<bool, BrokerError> {
        let name = name.clone();
        self.write(move |scope| pause(scope, &name, paused)).await
    }

    async fn schedules(&self, after: Option<&ScheduleName>, max: usize) -> Result<Vec<ScheduleView>, BrokerError> {
        let after = after.map_or_else(String::new, ToString::to_string);
        self.read(move |view| list(view, &after, max.min(MAX_SCHEDULES))).await
    }

    async fn schedule(&self, name: &ScheduleName) -> Result<Option<ScheduleView>, BrokerError> {
        let name = name.clone();
        let sql = format!(r#"SELECT {COLUMNS} FROM "schedules" WHERE name = ?1"#);
        self.read(move |view| view.first(&sql, [name.as_str()], |row| read(row, name.clone()))).await
    }

    async fn due_schedules(&self, max: usize) -> Result<DueSchedules, BrokerError> {
        self.read(move |view| due(view, max.min(MAX_SCHEDULES))).await
    }

    async fn fire(&self, firings: &[Firing]) -> Result<Vec<Fired>, BrokerError> {
        Firing::check(firings)?;
        let firings = firings.to_vec();
        self.write(move |scope| firings.iter().map(|firing| fire(scope, firing)).collect()).await
    }

    async fn wait_for_schedules(&self, mark: &ScheduleMark, timeout: Duration) -> Result<(), BrokerError> {
        let watch = self.watchers().watch_queues(&[]);
        let changed = async {
            while self.read(changes).await?.to_string() == mark.as_str() {
                watch.woken().await;
            }
            Ok(())
        };
        tokio::time::timeout(timeout, changed).await.unwrap_or(Ok(()))
    }
}

/// How many changes there were.
fn changes(view: &View<'_>) -> Result<i64, Fault> {
    Ok(view.first(r#"SELECT schedule_changes FROM "meta""#, [], |row| row.get(0))?.unwrap_or_default())
}

fn note_change(scope: &mut Scope<'_>) -> Result<(), Fault> {
    scope.news.schedules = true;
    scope.execute(r#"UPDATE "meta" SET schedule_changes = schedule_changes + 1"#, [])?;
    Ok(())
}

fn put(scope: &mut Scope<'_>, entry: &ScheduleEntry) -> Result<Put, Fault> {
    let (name, owner, pace) = (entry.name.as_str(), entry.owner.as_str(), entry.schedule.pace());
    let timetable = pace.as_ref();
    let definition = entry.schedule.encode();
    let now = integer(scope.now().as_millis());
    let sql = r#"SELECT owner = ?2, timetable = ?3, definition = ?4, owner FROM "schedules" WHERE name = ?1"#;
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, text(row, 3)?));
    let kept: Option<(bool, bool, bool, _)> = scope.first(sql, (name, owner, timetable, &definition), read)?;
    let Some((same_owner, same_timetable, same_definition, kept_owner)) = kept else {
        let sql = r#"INSERT INTO "schedules"
            (name, owner, timetable, definition, revision, paused, last, next_at, fired, missed, skipped, lag)
            VALUES (?1, ?2, ?3, ?4, 1, 0, ?5, ?5, 0, 0, 0, 0)"#;
        scope.execute(sql, (name, owner, timetable, definition, now))?;
        note_change(scope)?;
        return Ok(Put::Added);
    };
    if !same_owner {
        return Ok(Put::Owned { by: Owner::from_stored(&kept_owner.unwrap_or_default()) });
    }
    if same_timetable && same_definition {
        return Ok(Put::Unchanged);
    }
    // A beat finds out when it is due next.
    let sql = r#"UPDATE "schedules" SET timetable = ?2, definition = ?3, revision = revision + 1,
        last = iif(?4, ?5, last), next_at = iif(paused, NULL, ?5) WHERE name = ?1"#;
    scope.execute(sql, (name, timetable, definition, !same_timetable, now))?;
    note_change(scope)?;
    Ok(Put::Changed)
}

fn remove(scope: &mut Scope<'_>, name: &ScheduleName, owner: Option<&Owner>) -> Result<bool, Fault> {
    let sql = r#"DELETE FROM "schedules" WHERE name = ?1 AND (?2 IS NULL OR owner = ?2)"#;
    let removed = scope.execute(sql, (name.as_str(), owner.map(Owner::as_str)))? > 0;
    if removed {
        note_change(scope)?;
    }
    Ok(removed)
}

fn pause(scope: &mut Scope<'_>, name: &ScheduleName, paused: bool) -> Result<bool, Fault> {
    let now = integer(scope.now().as_millis());
    let sql = r#"UPDATE "schedules" SET paused = ?2, revision = revision + 1,
        last = iif(?2, last, ?3), next_at = iif(?2, NULL, ?3) WHERE name = ?1 AND paused <> ?2"#;
    if scope.execute(sql, (name.as_str(), paused, now))? > 0 {
        note_change(scope)?;
        return Ok(true);
    }
    scope.any(r#"SELECT 1 FROM "schedules" WHERE name = ?1"#, [name.as_str()])
}

/// Schedules by name.
fn list(view: &View<'_>, after: &str, max: usize) -> Result<Vec<ScheduleView>, Fault> {
    let mut found = Vec::new();
    let sql = format!(r#"SELECT {COLUMNS} FROM "schedules" WHERE name > ?1 ORDER BY name"#);
    view.visit(&sql, [after], |row| {
        if found.len() >= max {
            return Ok(false);
        }
        match name(row)? {
            Ok(name) => found.push(read(row, name)?),
            Err(problem) => tracing::warn!(%problem, "left out a schedule whose name cannot be read"),
        }
        Ok(true)
    })?;
    Ok(found)
}

fn due(view: &View<'_>, max: usize) -> Result<DueSchedules, Fault> {
    let now = view.now();
    let (mut due, mut next) = (Vec::new(), None);
    let sql = format!(
        r#"SELECT {COLUMNS} FROM "schedules" INDEXED BY "schedules_due" WHERE next_at IS NOT NULL ORDER BY next_at, name"#
    );
    view.visit(&sql, [], |row| {
        // A row that nobody could move on counts for nothing: it would stand in front of the others for ever.
        let Ok(name) = name(row)? else { return Ok(true) };
        let next_at = row.get("next_at").map(instant)?;
        if next_at > now || due.len() == max {
            next = Some(next_at);
            return Ok(false);
        }
        due.push(read(row, name)?);
        Ok(true)
    })?;
    Ok(DueSchedules { due, next, now, mark: ScheduleMark(changes(view)?.to_string()) })
}

fn fire(scope: &mut Scope<'_>, firing: &Firing) -> Result<Fired, Fault> {
    let sql = r#"SELECT job FROM "schedules" WHERE name = ?1 AND revision = ?2 AND last = ?3 AND paused = 0"#;
    let expected = (firing.name.as_str(), integer(firing.revision), integer(firing.last.as_millis()));
    let Some(last_job) = scope.first(sql, expected, |row| text(row, 0))? else {
        return Ok(Fired::Moved);
    };
    let (mut fired, mut skipped, mut job) = (0, 0, None);
    let blocked = firing.unless_unfinished && !firing.jobs.is_empty() && is_unfinished(scope, last_job.as_deref())?;
    for record in &firing.jobs {
        let new = NewJob { record: record.clone(), start: Start::Now, id_origin: IdOrigin::Given };
        // A job whose id is in use was enqueued before.
        if blocked || matches!(enqueue::accept(scope, &new)?, Acceptance::UniqueInUse { .. }) {
            skipped += 1;
        } else {
            fired += 1;
            job = Some(record.id.as_str());
        }
    }
    let now = scope.now();
    let sql = r#"UPDATE "schedules" SET last = ?2, next_at = ?3, missed = missed + ?4, skipped = skipped + ?5,
        fired = fired + ?6, job = coalesce(?7, job), fired_at = iif(?7 IS NULL, fired_at, ?8), lag = iif(?7 IS NULL, lag, ?9)
        WHERE name = ?1"#;
    let millis = |instant: Timestamp| integer(instant.as_millis());
    let lag = integer(u64::try_from(now.since(firing.due).as_millis()).unwrap_or(u64::MAX));
    let values = (
        firing.name.as_str(),
        millis(firing.until),
        firing.next.map(millis),
        integer(firing.missed),
        skipped,
        fired,
        job,
        millis(now),
        lag,
    );
    scope.execute(sql, values)?;
    Ok(if blocked { Fired::Skipped } else { Fired::Done })
}

fn is_unfinished(view: &View<'_>, job: Option<&str>) -> Result<bool, Fault> {
    let Some(job) = job else { return Ok(false) };
    view.any(r#"SELECT 1 FROM "jobs" WHERE id = ?1 AND state <> ?2"#, (job, State::Dead.as_str()))
}

/// The name of a row; one that no call could bring was written by hand, and must not stop the others.
fn name(row: &Row<'_>) -> rusqlite::Result<Result<ScheduleName, NameError>> {
    Ok(ScheduleName::new(text(row, 0)?.unwrap_or_default()))
}

fn read(row: &Row<'_>, name: ScheduleName) -> rusqlite::Result<ScheduleView> {
    let number = |column: usize| row.get::<_, i64>(column).map(natural);
    let maybe = |column: usize| row.get::<_, Option<i64>>(column).map(|millis| millis.map(instant));
    Ok(ScheduleView {
        name,
        owner: Owner::from_stored(&text(row, 1)?.unwrap_or_default()),
        schedule: read_definition(row.get_ref(2)?.as_bytes()?),
        revision: number(3)?,
        paused: row.get(4)?,
        last: row.get(5).map(instant)?,
        next: maybe(6)?,
        fired: number(7)?,
        missed: number(8)?,
        skipped: number(9)?,
        fired_at: maybe(10)?,
        lag: Duration::from_millis(number(11)?),
        job: text(row, 12)?.and_then(|id| JobId::new(id).ok()),
    })
}

/// A text, whatever bytes it has: a row that somebody damaged must not stop the others.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let bytes = row.get_ref(column)?.as_bytes_or_null()?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}
