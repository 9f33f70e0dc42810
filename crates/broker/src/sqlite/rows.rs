//! Records as rows of the table of jobs.
//!
//! Writing: [`insert`] and [`rewrite`] put a whole record, and a [`Place`] says where it goes. Reading: a row that
//! somebody damaged must not stop the jobs behind it, so each row is read on its own and says what is wrong with it.

use celeriac_core::{Fence, Incarnation, JobId, Priority, QueueName, Record, State, TaskName, Timestamp, UniqueKey};
use rusqlite::types::{FromSql, ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};

use super::fault::Fault;
use super::scope::{Scope, instant, integer, natural};

/// `SELECT` of what [`StoredJob::read`] reads, followed by the rest of the statement.
macro_rules! select_jobs {
    ($rest:literal) => {
        concat!(
            "SELECT rowid, id, task, queue, state, priority, attempt, failures, losses, suspect, enqueued_at, since, \
             due_at, holder, fence, rank, seq, options, payload FROM \"jobs\" ",
            $rest
        )
    };
}
pub(super) use select_jobs;

/// A row of the table of jobs.
#[derive(Debug)]
pub(super) struct StoredJob {
    /// The row's number, good for this transaction.
    pub(super) row: i64,
    /// Its id; `None` if not even that can be read.
    pub(super) id: Option<JobId>,
    /// The job, or what is wrong with the row.
    pub(super) job: Result<Job, String>,
}

/// A job and where it is.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) record: Record,
    pub(super) due_at: Option<Timestamp>,
    /// Who runs it, under which token.
    pub(super) held: Option<(Incarnation, Fence)>,
}

impl StoredJob {
    /// Reads a row that [`select_jobs`] selected.
    pub(super) fn read(row: &Row<'_>) -> Result<Self, Fault> {
        let number = row.get("rowid")?;
        let id = text(row, "id").and_then(|id| JobId::new(id).map_err(|error| error.to_string()));
        match id {
            Ok(id) => Ok(Self { row: number, id: Some(id.clone()), job: read_job(row, id) }),
            Err(problem) => Ok(Self { row: number, id: None, job: Err(problem) }),
        }
    }
}

fn read_job(row: &Row<'_>, id: JobId) -> Result<Job, String> {
    let task = TaskName::new(text(row, "task")?).map_err(|error| error.to_string())?;
    let queue = QueueName::new(text(row, "queue")?).map_err(|error| error.to_string())?;
    let payload = row.get_ref("payload").map_err(problem)?.as_bytes().map_err(problem)?.to_vec();
    let mut record = Record::new(id, task, queue, payload);
    let state: State = text(row, "state")?.parse()?;
    // A hand-out does not rewrite the record.
    record.state = if state == State::Running { State::Queued } else { state };
    record.priority = Priority::new(value(row, "priority")?).map_err(|error| error.to_string())?;
    (record.attempt, record.failures) = (value(row, "attempt")?, value(row, "failures")?);
    (record.losses, record.suspect) = (value(row, "losses")?, value(row, "suspect")?);
    record.enqueued_at = instant(value(row, "enqueued_at")?);
    record.since = instant(value(row, "since")?);
    if let Some(options) = value::<Option<String>>(row, "options")? {
        record.decode_optional(options.as_bytes()).map_err(|error| error.to_string())?;
    }
    let due_at = value::<Option<i64>>(row, "due_at")?.map(instant);
    let holder = value::<Option<String>>(row, "holder")?.map(Incarnation::from_stored);
    let fence = value::<Option<i64>>(row, "fence")?.map(natural).map(Fence::new);
    Ok(Job { record, due_at, held: holder.zip(fence) })
}

fn text<'r>(row: &'r Row<'_>, column: &'static str) -> Result<&'r str, String> {
    row.get_ref(column).map_err(problem)?.as_str().map_err(|error| format!("{column}: {error}"))
}

fn value<T: FromSql>(row: &Row<'_>, column: &'static str) -> Result<T, String> {
    row.get(column).map_err(|error| format!("{column}: {error}"))
}

fn problem(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Where a job that is written goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Behind the jobs that are ready.
    Tail,
    /// Before the jobs that are ready.
    Head,
    /// Among those that wait for their due time.
    Due(Timestamp),
    /// Kept, but not waiting for anything.
    Aside,
}

/// The columns that both statements write, in one order.
struct Columns<'r> {
    record: &'r Record,
    state: State,
    now: i64,
    due_at: Option<i64>,
    seq: i64,
    options: Option<String>,
    unique: Option<&'r str>,
}

impl<'r> Columns<'r> {
    fn new(scope: &mut Scope<'_>, record: &'r Record, state: State, place: Place) -> Self {
        let seq = if place == Place::Head { scope.first_place() } else { scope.last_place() };
        let due_at = match place {
            Place::Due(due) => Some(integer(due.as_millis())),
            Place::Tail | Place::Head | Place::Aside => None,
        };
        let options = record.encode_optional().map(|json| String::from_utf8_lossy(&json).into_owned());
        let unique = record.options.unique.as_ref().filter(|_| state != State::Dead).map(UniqueKey::as_str);
        Self { record, state, now: integer(scope.now().as_millis()), due_at, seq, options, unique }
    }

    fn announce(&self, scope: &mut Scope<'_>, place: Place) {
        match place {
            Place::Tail | Place::Head => {
                scope.news.queues.insert(self.record.queue.clone());
            }
            Place::Due(_) => scope.news.scheduled = true,
            Place::Aside => {}
        }
    }
}

/// Adds a new job; answers false, and adds nothing, if there is one with its id.
pub(super) fn insert(scope: &mut Scope<'_>, record: &Record, state: State, place: Place) -> Result<bool, Fault> {
    let columns = Columns::new(scope, record, state, place);
    let sql = r#"INSERT INTO "jobs" (id, task, queue, state, priority, attempt, failures, losses, suspect,
            enqueued_at, since, due_at, seq, options, payload, unique_key)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT (id) DO NOTHING"#;
    let values: [&dyn ToSql; 15] = [
        &record.id.as_str(),
        &record.task.as_str(),
        &record.queue.as_str(),
        &columns.state.as_str(),
        &record.priority.get(),
        &record.attempt,
        &record.failures,
        &record.losses,
        &record.suspect,
        &columns.now,
        &columns.due_at,
        &columns.seq,
        &columns.options,
        &Payload(&record.payload),
        &columns.unique,
    ];
    let added = scope.execute(sql, values)? > 0;
    if added {
        columns.announce(scope, place);
    }
    Ok(added)
}

/// Writes a record that was held; nobody holds it then.
pub(super) fn rewrite(scope: &mut Scope<'_>, row: i64, record: &Record, place: Place) -> Result<(), Fault> {
    let columns = Columns::new(scope, record, record.state, place);
    let sql = r#"UPDATE "jobs" SET task = ?2, queue = ?3, state = ?4, priority = ?5, attempt = ?6, failures = ?7,
            losses = ?8, suspect = ?9, since = ?10, due_at = ?11, seq = ?12, options = ?13, payload = ?14,
            unique_key = ?15, holder = NULL, fence = NULL, bury_at = NULL, problem = NULL
        WHERE rowid = ?1"#;
    let values: [&dyn ToSql; 15] = [
        &row,
        &record.task.as_str(),
        &record.queue.as_str(),
        &columns.state.as_str(),
        &record.priority.get(),
        &record.attempt,
        &record.failures,
        &record.losses,
        &record.suspect,
        &columns.now,
        &columns.due_at,
        &columns.seq,
        &columns.options,
        &Payload(&record.payload),
        &columns.unique,
    ];
    scope.execute(sql, values)?;
    columns.announce(scope, place);
    Ok(())
}

/// Keeps a row aside that cannot be read, as it is, until somebody mends it or a version comes that can read it. What was revoked while it
/// was held goes instead.
pub(super) fn park_unreadable(scope: &mut Scope<'_>, row: i64, problem: &str) -> Result<(), Fault> {
    if scope.execute(r#"DELETE FROM "jobs" WHERE rowid = ?1 AND revoked IS NOT NULL"#, [row])? > 0 {
        tracing::warn!(row, problem, "a revoked job is gone whose row cannot be read");
        return Ok(());
    }
    let sql = r#"UPDATE "jobs" SET state = 'parked', since = ?2, holder = NULL, fence = NULL, due_at = NULL, problem = ?3
        WHERE rowid = ?1"#;
    scope.execute(sql, (row, integer(scope.now().as_millis()), problem))?;
    tracing::warn!(row, problem, "parked a job whose row cannot be read");
    Ok(())
}

/// Arguments as text where they are text, so that `sqlite3` shows them and its JSON functions work.
pub(super) struct Payload<'r>(pub(super) &'r [u8]);

impl ToSql for Payload<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let is_text = !self.0.contains(&0) && std::str::from_utf8(self.0).is_ok();
        Ok(ToSqlOutput::Borrowed(if is_text { ValueRef::Text(self.0) } else { ValueRef::Blob(self.0) }))
    }
}
