//! What an operation works with: the connection inside a transaction, the clocks and the counters.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Deref;

use celeriac_core::{Fence, JobId, QueueName, Timestamp};
use rusqlite::{Connection, Params, Row};

use super::clock::{Clock, Moment};
use super::fault::Fault;

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
}

/// A transaction that may write. A group of operations shares it, one after the other.
#[derive(Debug)]
pub(super) struct Scope<'c> {
    view: View<'c>,
    clock: &'c Clock,
    fence: i64,
    head: i64,
    tail: i64,
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
        let counters = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found = view.first(r#"SELECT fence, head, tail FROM "meta""#, [], counters)?;
        let (fence, head, tail) = found.unwrap_or_default();
        Ok(Self { view, clock, fence, head, tail, changed: false, news: News::default() })
    }

    /// Reads the clocks again, for the next operation of the group.
    pub(super) fn tick(&mut self) {
        self.view.moment = self.clock.read(self.now());
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
            let values = (integer(self.now().as_millis()), self.fence, self.head, self.tail);
            self.execute(r#"UPDATE "meta" SET clock = max(clock, ?1), fence = ?2, head = ?3, tail = ?4"#, values)?;
        }
        Ok(self.news)
    }
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
    fn quoted_names_get_the_namespace_and_strings_do_not() {
        let sql = r#"SELECT 'queued' FROM "jobs" INDEXED BY "jobs_ready""#;
        assert_eq!(Names::new(None).sql(sql), sql);
        let named = r#"SELECT 'queued' FROM "shop/jobs" INDEXED BY "shop/jobs_ready""#;
        assert_eq!(Names::new(Some("shop")).sql(sql), named);
    }
}
