//! The tables, and who may use a file.
//!
//! The columns are meant to be read: somebody will open the file with the `sqlite3` tool, and `.schema` prints the
//! comments below. A namespace other than the default one has its own tables, `"shop/jobs"` beside `"jobs"`.

use celeriac_core::Namespace;
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Fault;
use super::scope::Names;
use crate::error::{BrokerError, Refusal};

/// Marks a file as ours: "celr" in ASCII.
const APPLICATION_ID: i64 = 0x6365_6C72;

/// The format of the tables; stands in the file's `user_version`.
pub(super) const FORMAT: i64 = 1;

/// Every name in double quotes is one of ours and gets the namespace in front of it.
const TABLES: &str = r#"
CREATE TABLE "meta" (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  clock INTEGER NOT NULL, -- the latest instant the store has shown, in ms since 1970
  fence INTEGER NOT NULL, -- the newest fencing token
  head INTEGER NOT NULL, -- the lowest seq so far
  tail INTEGER NOT NULL, -- the highest seq so far
  written INTEGER NOT NULL, -- uptime of the machine at the newest commit, in ms
  resumed INTEGER NOT NULL, -- uptime at the newest commit that came after a time without any, in ms
  schedule_changes INTEGER NOT NULL -- counts the changes of schedules
) STRICT;

CREATE TABLE "jobs" (
  id TEXT NOT NULL PRIMARY KEY,
  task TEXT NOT NULL,
  queue TEXT NOT NULL,
  state TEXT NOT NULL, -- scheduled, queued, running, retry, dead, parked
  priority INTEGER NOT NULL,
  attempt INTEGER NOT NULL, -- hand-outs that ended
  failures INTEGER NOT NULL,
  losses INTEGER NOT NULL,
  suspect INTEGER NOT NULL, -- 1: was running when a worker vanished, runs alone
  enqueued_at INTEGER NOT NULL, -- ms since 1970, as all instants
  since INTEGER NOT NULL, -- when it came into its state; running: when it became ready
  due_at INTEGER, -- scheduled and retry only
  holder TEXT, -- running only: the worker
  fence INTEGER, -- running only: the token it must show
  rank INTEGER AS (iif(suspect, 100, -priority)) VIRTUAL, -- order in the queue, lowest first: suspects come last, in one line
  seq INTEGER NOT NULL, -- order within the rank, lowest first
  options TEXT, -- JSON: what the job says differently from its task, and its history
  bury_at INTEGER, -- dead only: when it is removed
  unique_key TEXT, -- unless dead: no other job may have it
  revoked INTEGER, -- running only: 1: somebody revoked it, 2: and its worker was told
  problem TEXT, -- why the row could not be read, if it was parked for that
  payload ANY NOT NULL -- the arguments
) STRICT;
CREATE INDEX "jobs_ready" ON "jobs" (queue, rank, seq) WHERE state = 'queued';
CREATE INDEX "jobs_due" ON "jobs" (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX "jobs_held" ON "jobs" (holder) WHERE holder IS NOT NULL;
CREATE INDEX "jobs_parked" ON "jobs" (task, since) WHERE state = 'parked';
CREATE INDEX "jobs_unreadable" ON "jobs" (since) WHERE problem IS NOT NULL;
CREATE INDEX "jobs_dead" ON "jobs" (bury_at) WHERE bury_at IS NOT NULL;
CREATE INDEX "jobs_died" ON "jobs" (since, id) WHERE state = 'dead';
CREATE UNIQUE INDEX "jobs_unique" ON "jobs" (unique_key) WHERE unique_key IS NOT NULL;
CREATE INDEX "jobs_revoked" ON "jobs" (holder) WHERE revoked = 1;
CREATE INDEX "jobs_listed" ON "jobs" (state, queue, since);

CREATE TABLE "queues" (
  name TEXT NOT NULL PRIMARY KEY,
  paused INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE "results" (
  id TEXT NOT NULL PRIMARY KEY,
  state TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  outcome TEXT NOT NULL -- JSON
) STRICT;
CREATE INDEX "results_expiring" ON "results" (expires_at);

CREATE TABLE "notes" (
  id TEXT NOT NULL PRIMARY KEY,
  expires_at INTEGER NOT NULL,
  notes TEXT NOT NULL -- JSON: what the job has told
) STRICT;
CREATE INDEX "notes_expiring" ON "notes" (expires_at);

CREATE TABLE "producers" (
  producer TEXT NOT NULL,
  lane INTEGER NOT NULL,
  last INTEGER NOT NULL, -- number of the last batch
  refused TEXT, -- JSON: positions of the jobs that were refused in it
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (producer, lane)
) STRICT, WITHOUT ROWID;
CREATE INDEX "producers_expiring" ON "producers" (expires_at);

CREATE TABLE "workers" (
  incarnation TEXT NOT NULL PRIMARY KEY,
  generation INTEGER NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  version TEXT NOT NULL,
  queues TEXT NOT NULL, -- JSON
  tasks TEXT NOT NULL, -- JSON
  lease INTEGER NOT NULL, -- ms
  expires_at INTEGER NOT NULL,
  boot TEXT, -- the boot of the machine, and the end in ms since then: what decides
  expires_uptime INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE "leases" (
  incarnation TEXT NOT NULL PRIMARY KEY,
  expires_at INTEGER NOT NULL,
  boot TEXT,
  expires_uptime INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE "lost" (
  incarnation TEXT NOT NULL PRIMARY KEY,
  condemned_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE "schedules" (
  name TEXT NOT NULL PRIMARY KEY,
  owner TEXT NOT NULL, -- the application that keeps it; empty: people do
  timetable TEXT NOT NULL, -- and whether it rests: what it must go on saying to keep its past
  definition TEXT NOT NULL, -- JSON: what it says
  revision INTEGER NOT NULL,
  paused INTEGER NOT NULL,
  last INTEGER NOT NULL, -- up to when its occurrences were dealt with
  next_at INTEGER, -- when it is due next, as a beat has found out
  fired INTEGER NOT NULL,
  missed INTEGER NOT NULL,
  skipped INTEGER NOT NULL,
  fired_at INTEGER, -- when its last job was enqueued
  lag INTEGER NOT NULL, -- how much later than due that was, in ms
  job TEXT -- that job
) STRICT;
CREATE INDEX "schedules_due" ON "schedules" (next_at, name) WHERE next_at IS NOT NULL;

INSERT INTO "meta" (one, clock, fence, head, tail, written, resumed, schedule_changes)
  VALUES (1, 0, 0, 0, 0, 0, 0, 0);
"#;

/// Tables that older versions do not make; they are added to their files.
const ADDED: &str = r#"
CREATE TABLE IF NOT EXISTS "workflows" (
  id TEXT NOT NULL PRIMARY KEY,
  token TEXT NOT NULL, -- tells a repeat of the call that stored it from another workflow of this id
  version INTEGER NOT NULL, -- of the rules by which its description is compiled
  nodes INTEGER NOT NULL, -- how many its plan has
  made_at INTEGER NOT NULL,
  begun INTEGER NOT NULL, -- 0: it is stored in parts and not complete
  failures INTEGER NOT NULL DEFAULT 0, -- steps that have ended without success and were not retried
  halted INTEGER NOT NULL DEFAULT 0, -- 1: no step begins
  revoked_by TEXT,
  ended_at INTEGER,
  expires_at INTEGER, -- when it is removed, once it has ended or if it does not begin
  spec TEXT NOT NULL -- JSON: what it is described by
) STRICT;
CREATE INDEX IF NOT EXISTS "workflows_listed" ON "workflows" (made_at, id);
CREATE INDEX IF NOT EXISTS "workflows_expiring" ON "workflows" (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS "workflow_nodes" (
  workflow TEXT NOT NULL,
  node INTEGER NOT NULL, -- its index in the plan; 4294967295 stands for the beginning
  kind TEXT, -- how it ended: S succeeded, E with an error that is a value, D dead, R revoked, X expired
  pending INTEGER NOT NULL DEFAULT 0, -- 1: followers are still to be dealt with
  advanced INTEGER NOT NULL DEFAULT 0, -- how many of them were, one part after the other
  counted INTEGER NOT NULL DEFAULT 0, -- how many of those it waits for have ended
  value TEXT, -- JSON: what its followers take, or why there is nothing
  PRIMARY KEY (workflow, node)
) STRICT;

CREATE TABLE IF NOT EXISTS "workflow_waiting" (
  workflow TEXT NOT NULL,
  node INTEGER NOT NULL,
  id TEXT NOT NULL, -- of the job that is enqueued when the only node ends that this one waits for
  task TEXT NOT NULL,
  queue TEXT NOT NULL,
  priority INTEGER NOT NULL,
  options TEXT, -- JSON
  gap INTEGER, -- where in the arguments the value of that node goes, in bytes
  payload ANY NOT NULL, -- the arguments
  PRIMARY KEY (workflow, node)
) STRICT;

CREATE TABLE IF NOT EXISTS "workflow_events" (
  workflow TEXT NOT NULL,
  node INTEGER NOT NULL, -- 4294967295: it begins; 4294967294: all nodes are to be looked at
  due_at INTEGER NOT NULL, -- when somebody may take it: later while somebody has
  PRIMARY KEY (workflow, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS "workflow_events_due" ON "workflow_events" (due_at, workflow, node);
"#;

/// The names of a namespace.
pub(super) fn names(namespace: &Namespace) -> Names {
    let default = *namespace == Namespace::default();
    Names::new(if default { None } else { Some(namespace.as_str()) })
}

/// Fails unless the file is empty or a store that this version reads. It writes nothing.
pub(super) fn check(connection: &Connection, store: &str) -> Result<(), Fault> {
    // In one snapshot: between two reads another process may create the tables, and the file would look like a stranger's.
    connection.execute_batch("BEGIN")?;
    let owner = identify(connection, store);
    connection.execute_batch("ROLLBACK")?;
    owner.map(|_| ())
}

/// Creates what is missing. Two processes may do it at the same moment: the second finds it done.
pub(super) fn create(connection: &Connection, names: &Names, store: &str) -> Result<(), Fault> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let created = create_inside(connection, names, store);
    let end = if created.is_ok() { "COMMIT" } else { "ROLLBACK" };
    created.and(connection.execute_batch(end).map_err(Fault::from))
}

fn create_inside(connection: &Connection, names: &Names, store: &str) -> Result<(), Fault> {
    if identify(connection, store)? == Owner::Nobody {
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
    }
    let meta = names.table("meta");
    let find = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
    if connection.query_row(find, [meta], |_| Ok(())).optional()?.is_none() {
        connection.execute_batch(&names.sql(TABLES))?;
    }
    connection.execute_batch(&names.sql(ADDED))?;
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Owner {
    Nobody,
    Us,
}

fn identify(connection: &Connection, store: &str) -> Result<Owner, Fault> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, format) = (number("application_id")?, number("user_version")?);
    if application == APPLICATION_ID && format > FORMAT {
        let detail = format!("{store} has format {format}, this version reads format {FORMAT}; use a newer celeriac");
        return Err(BrokerError::Corrupt { what: "format", detail }.into());
    }
    if application == APPLICATION_ID {
        return Ok(Owner::Us);
    }
    let tables = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0))?;
    if application == 0 && format == 0 && tables == 0 {
        return Ok(Owner::Nobody);
    }
    let detail = "the file is a database of something else; name another file".to_owned();
    Err(BrokerError::Refused { store: store.to_owned(), reason: Refusal::Foreign, detail }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_its_own_tables_in_the_same_file() {
        let connection = Connection::open_in_memory().unwrap();
        for namespace in ["celeriac", "shop", "shop"] {
            let names = names(&Namespace::new(namespace).unwrap());
            create(&connection, &names, "sqlite::memory:").unwrap();
        }
        let mut tables = connection.prepare("SELECT name FROM sqlite_master WHERE name LIKE '%jobs'").unwrap();
        let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(tables, ["jobs", "shop/jobs"]);
    }
}
