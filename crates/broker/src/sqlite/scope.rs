//! What an operation works with: the connection inside a transaction, the clocks and the counters.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::time::Duration;

use celeriac_core::{Fence, JobId, QueueName, Timestamp};
use rusqlite::{Connection, Params, Row};

use super::clock::{Clock, Moment};
use super::fault::Fault;

/// How long nothing may have been committed before it counts as an interruption: a process that was stopped in the middle of a
/// transaction keeps all others from writing. Workers that hold jobs write more often, unless their leases are much longer.
const INTERRUPTION: Duration = Duration::from_secs(2);

/// How long after an interruption nobody is condemned: longer than SQLite lets anyone sleep who waits for the file.
const RECOVERY: Duration = Duration::from_secs(1);

/// The names of the tables of one namespace.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: Option<String>,
}

impl Names {
    pub(super) fn new(namespace: Option<&str>) -> Self {
        Self { prefix: namespace.map(|name| format!("{name}/")) }
    }

    /// The name of a table.
    pub(super) fn table(&self, name: &str) -> String {
        format!("{}{name}", self.prefix.as_deref().unwrap_or_default())
    }

    /// A statement with the namespace in front of each name in double quotes.
    ///
    /// Namespaces hold no quotes, and the statements quote nothing but tables and indexes.
    pub(super) fn sql<'a>(&self, statement: &'a str) -> Cow<'a, str> {
        let Some(prefix) = &self.prefix else { return Cow::Borrowed(statement) };
        let mut named = String::with_capacity(statement.len() + 32);
        for (index, part) in statement.split('"').enumerate() {
            if index % 2 == 1 {
                named.extend(["\"", prefix, part, "\""]);
            } else {
                named.push_str(part);
            }
        }
        Cow::Owned(named)
    }
}

/// A consistent look at the store.
#[derive(Debug)]
pub(super) struct View<'c> {
    connection: &'c Connection,
    names: &'c Names,
    pub(super) moment: Moment,
}

impl<'c> View<'c> {
    /// Begins inside a transaction that is open on `connection`.
    pub(super) fn new(connection: &'c Connection, names: &'c Names, clock: &Clock) -> Result<Self, Fault> {
        let sql = names.sql(r#"SELECT clock FROM "meta""#);
        let last: i64 = connection.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
        Ok(Self { connection, names, moment: clock.read(instant(last)) })
    }

    /// Now, by the store's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.moment.now
    }

    /// Hands each row to `see` until that answers false.
    pub(super) fn visit<P: Params>(
        &self,
        statement: &str,
        params: P,
        mut see: impl FnMut(&Row<'_>) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let mut prepared = self.connection.prepare_cached(&self.names.sql(statement))?;
        let mut rows = prepared.query(params)?;
        while let Some(row) = rows.next()? {
            if !see(row)? {
                break;
            }
        }
        Ok(())
    }

    /// All rows.
    pub(super) fn all<T, P: Params>(
        &self,
        statement: &str,
        params: P,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Fault> {
        let mut all = Vec::new();
        self.visit(statement, params, |row| {
            all.push(read(row)?);
            Ok(true)
        })?;
        Ok(all)
    }

    /// The first row.
    pub(super) fn first<T, P: Params>(
        &self,
        statement: &str,
        params: P,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Fault> {
        let mut first = None;
        self.visit(statement, params, |row| {
            first = Some(read(row)?);
            Ok(false)
        })?;
        Ok(first)
    }

    /// Whether there is a row.
    pub(super) fn any<P: Params>(&self, statement: &str, params: P) -> Result<bool, Fault> {
        Ok(self.first(statement, params, |_| Ok(()))?.is_some())
    }

    /// When the next waiting job is due.
    pub(super) fn next_due(&self) -> Result<Option<Timestamp>, Fault> {
        let sql = r#"SELECT due_at FROM "jobs" INDEXED BY "jobs_due" WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1"#;
        self.first(sql, [], |row| row.get(0).map(instant))
    }
}

/// What a commit means for those who wait.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Queues that have work now.
    pub(super) queues: BTreeSet<QueueName>,
    /// Jobs whose end can be read now.
    pub(super) ended: Vec<JobId>,
    /// Whether a job waits for its due time that did not wait before.
    pub(super) scheduled: bool,
    /// Whether a schedule was changed.
    pub(super) schedules: bool,
}

/// A transaction that may write. A group of operations shares it, one after the other.
#[derive(Debug)]
pub(super) struct Scope<'c> {
    view: View<'c>,
    clock: &'c Clock,
    fence: i64,
    head: i64,
    tail: i64,
    /// Uptime of the machine when writing went on after the newest interruption.
    resumed: i64,
    changed: bool,
    /// What to tell those who wait, once it is committed.
    pub(super) news: News,
}

impl<'c> Deref for Scope<'c> {
    type Target = View<'c>;
    fn deref(&self) -> &View<'c> {
        &self.view
    }
}

impl<'c> Scope<'c> {
    /// Begins inside a transaction that is open on `connection`.
    pub(super) fn new(connection: &'c Connection, names: &'c Names, clock: &'c Clock) -> Result<Self, Fault> {
        let view = View::new(connection, names, clock)?;
        let counters = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
        let found = view.first(r#"SELECT fence, head, tail, written, resumed FROM "meta""#, [], counters)?;
        let (fence, head, tail, written, resumed) = found.unwrap_or_default();
        let resumed = resumed_at(written, resumed, view.moment.uptime());
        Ok(Self { view, clock, fence, head, tail, resumed, changed: false, news: News::default() })
    }

    /// Reads the clocks again, for the next operation of the group.
    pub(super) fn tick(&mut self) {
        self.view.moment = self.clock.read(self.now());
    }

    /// How long leases are not judged yet, because nobody could write for a time: whoever could not renew its lease is given the
    /// time to. Zero as a rule.
    pub(super) fn recovery_left(&self) -> Duration {
        let since = self.moment.uptime().map_or(u64::MAX, |uptime| uptime.saturating_sub(natural(self.resumed)));
        RECOVERY.saturating_sub(Duration::from_millis(since))
    }

    /// Commits the interruption that this transaction has found, although it changes nothing else.
    pub(super) fn note_interruption(&mut self) {
        self.changed = true;
    }

    /// Runs a statement that writes; answers how many rows it changed.
    pub(super) fn execute<P: Params>(&mut self, statement: &str, params: P) -> Result<usize, Fault> {
        let changed = self.connection.prepare_cached(&self.names.sql(statement))?.execute(params)?;
        self.changed |= changed > 0;
        Ok(changed)
    }

    /// A token for one fetch: above all before it, also after a restore of an older file.
    pub(super) fn next_fence(&mut self) -> Fence {
        let micros = integer(self.now().as_millis()).saturating_mul(1000);
        self.fence = self.fence.saturating_add(1).max(micros);
        self.newest_fence()
    }

    /// The newest token given out.
    pub(super) fn newest_fence(&self) -> Fence {
        Fence::new(natural(self.fence))
    }

    /// A place behind all jobs.
    pub(super) fn last_place(&mut self) -> i64 {
        self.tail += 1;
        self.tail
    }

    /// A place before all jobs.
    pub(super) fn first_place(&mut self) -> i64 {
        self.head -= 1;
        self.head
    }

    /// Writes the counters back if anything was written; the transaction may then be committed.
    pub(super) fn finish(mut self) -> Result<News, Fault> {
        if self.changed {
            let (now, uptime) = (integer(self.now().as_millis()), integer(self.moment.uptime().unwrap_or_default()));
            let values = (now, self.fence, self.head, self.tail, uptime, self.resumed);
            let sql = r#"UPDATE "meta" SET clock = max(clock, ?1), fence = ?2, head = ?3, tail = ?4, written = ?5, resumed = ?6"#;
            self.execute(sql, values)?;
        }
        Ok(self.news)
    }
}

/// When writing went on after the newest interruption, this moment included.
fn resumed_at(written: i64, resumed: i64, uptime: Option<u64>) -> i64 {
    let Some(uptime) = uptime.map(integer) else { return 0 };
    if written == 0 || written > uptime {
        // New, or written before the machine was started again: nobody is left who could have been kept from writing.
        return 0;
    }
    let pause = Duration::from_millis(natural(uptime - written));
    if pause > INTERRUPTION { uptime } else { resumed }
}

/// An instant from a column.
pub(super) fn instant(millis: i64) -> Timestamp {
    Timestamp::from_millis(natural(millis))
}

/// A number from a column.
pub(super) fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// A number for a column; SQLite's integers are signed.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_commits_is_an_interruption_unless_the_machine_was_off() {
        assert_eq!(resumed_at(10_000, 7_000, Some(11_000)), 7_000);
        assert_eq!(resumed_at(10_000, 7_000, Some(12_001)), 12_001);
        assert_eq!(resumed_at(10_000, 7_000, Some(500)), 0);
        assert_eq!(resumed_at(0, 0, Some(12_000)), 0);
        assert_eq!(resumed_at(10_000, 7_000, None), 0);
    }

    #[test]
    fn quoted_names_get_the_namespace_and_strings_do_not() {
        let sql = r#"SELECT 'queued' FROM "jobs" INDEXED BY "jobs_ready""#;
        assert_eq!(Names::new(None).sql(sql), sql);
        let named = r#"SELECT 'queued' FROM "shop/jobs" INDEXED BY "shop/jobs_ready""#;
        assert_eq!(Names::new(Some("shop")).sql(sql), named);
    }
}
