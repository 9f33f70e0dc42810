//! Opening the file: what is checked before anything is written, and how a connection is set up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::fault::{Breakdown, Fault};
use super::schema;
use super::scope::Names;
use crate::error::{BrokerError, Refusal};

/// How often a locked file is tried again, one [`LOCK_PAUSE`] apart: about 15 s.
const LOCK_TRIES: i32 = 7_500;

/// SQLite's own pauses grow to 100 ms; a process that commits one group after the other leaves the file unlocked for
/// microseconds, and whoever looks rarely would never get in.
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// Where a store is and what it is called.
#[derive(Debug, Clone)]
pub(super) struct Location {
    /// The file; `None` is memory.
    pub(super) path: Option<PathBuf>,
    pub(super) names: Names,
    /// The store in words.
    pub(super) store: String,
}

/// Opens the connection that writes; creates file and tables if need be.
pub(super) fn open_writer(location: &Location) -> Result<Connection, BrokerError> {
    let Some(path) = &location.path else {
        let connection = Connection::open_in_memory().map_err(Fault::from);
        return connection
            .and_then(|connection| prepare(connection, location))
            .map_err(|fault| answer(fault, location));
    };
    check_directory(path, &location.store)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    connect(path, flags).and_then(|connection| prepare(connection, location)).map_err(|fault| {
        let detail = if cannot_open(&fault) { read_only(path) } else { None };
        match detail {
            Some(detail) => BrokerError::Refused { store: location.store.clone(), reason: Refusal::ReadOnly, detail },
            None => answer(fault, location),
        }
    })
}

/// Opens the connection that only reads; the writer's must have been opened before. There is none for memory.
pub(super) fn open_reader(location: &Location, path: &Path) -> Result<Connection, BrokerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> Result<Connection, Fault> {
        let connection = connect(path, flags)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    open().map_err(|fault| answer(fault, location))
}

fn answer(fault: Fault, location: &Location) -> BrokerError {
    fault.into_answer(&location.store)
}

/// SQLite says only "unable to open database file"; say which part of the path is wrong.
fn check_directory(path: &Path, store: &str) -> Result<(), BrokerError> {
    let unreachable = |detail: String| BrokerError::Unreachable { store: store.to_owned(), source: detail.into() };
    if path.is_dir() {
        return Err(unreachable(format!("{} is a directory; name a file in it", path.display())));
    }
    match path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        Some(directory) if !directory.is_dir() => {
            Err(unreachable(format!("the directory {} does not exist; create it first", directory.display())))
        }
        _ => Ok(()),
    }
}

fn cannot_open(fault: &Fault) -> bool {
    matches!(fault, Fault::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen))
}

/// What must be written and may not be: the file, or its directory, where the log is kept beside it. Again SQLite says only that it cannot
/// open the file.
///
/// The file is not opened to find out: closing it again would drop the locks that this process has on it through SQLite.
#[cfg(target_os = "linux")]
fn read_only(path: &Path) -> Option<String> {
    use rustix::fs::{Access, access};
    use rustix::io::Errno;

    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let places = [path, directory.unwrap_or(Path::new("."))];
    places.into_iter().find_map(|place| match access(place, Access::WRITE_OK) {
        Err(Errno::ROFS) => Some(format!("{} is on a file system that may only be read", place.display())),
        Err(Errno::ACCESS) => Some(format!("this user may not write {}", place.display())),
        _ => None,
    })
}

#[cfg(not(target_os = "linux"))]
fn read_only(_path: &Path) -> Option<String> {
    None
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Fault> {
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_handler(Some(wait_for_lock as fn(i32) -> bool))?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

fn wait_for_lock(tries: i32) -> bool {
    std::thread::sleep(LOCK_PAUSE);
    tries < LOCK_TRIES
}

/// Checks whose file it is before it changes anything in it.
fn prepare(connection: Connection, location: &Location) -> Result<Connection, Fault> {
    schema::check(&connection, &location.store)?;
    if connection.is_readonly("main")? {
        let detail = location.path.as_deref().and_then(read_only);
        let detail = detail.unwrap_or_else(|| "the file is read-only for this user".to_owned());
        let store = location.store.clone();
        return Err(BrokerError::Refused { store, reason: Refusal::ReadOnly, detail }.into());
    }
    if location.path.is_some() {
        use_write_ahead_log(&connection, location)?;
    }
    // FULL: the log is synced with each commit, so what was acknowledged survives a power loss.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // In KiB. The default of 2 MiB makes each write to a store of a million jobs read the indexes anew: half the speed.
    connection.pragma_update(None, "cache_size", -16_384)?;
    schema::create(&connection, &location.names, &location.store)?;
    Ok(connection)
}

/// Switches a new file to the write-ahead log. SQLite does not wait for the lock this needs, so it is tried again here.
fn use_write_ahead_log(connection: &Connection, location: &Location) -> Result<(), Fault> {
    for tries in 0.. {
        let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                let detail = format!("the file system allows only journal mode {mode}; use a local disk");
                return Err(BrokerError::Unreachable { store: location.store.clone(), source: detail.into() }.into());
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && wait_for_lock(tries) => {}
            Err(error) => return Err(Breakdown::before_commit(&error).answer(&location.store).into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(path: &Path) -> Location {
        Location { path: Some(path.to_owned()), names: Names::new(None), store: "sqlite:test".to_owned() }
    }

    #[test]
    fn a_file_that_may_only_be_read_is_refused_and_not_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.db");
        drop(open_writer(&location(&path)).unwrap());
        let before = std::fs::read(&path).unwrap();
        // A flag instead of file permissions, which do not bind the superuser.
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let refused = prepare(connection, &location(&path)).unwrap_err().into_answer("sqlite:test");
        assert!(matches!(refused, BrokerError::Refused { reason: Refusal::ReadOnly, .. }), "{refused:?}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
