//! Looks at the file itself: how it is written, what it stands on, whether it is sound.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::broker::SqliteBroker;
use super::disk;
use super::schema::FORMAT;
use crate::checkup::{Checkup, Finding, bytes, median, short_time};
use crate::error::{BrokerError, Refusal};

/// How often something is committed, to see how long that takes.
const COMMITS: usize = 6;

/// A commit this slow bounds what the store takes to a few hundred calls a second.
const SLOW: Duration = Duration::from_millis(50);

/// How long the file is searched for damage. A large one is not searched to its end.
const SEARCH_TIME: Duration = Duration::from_secs(5);

/// All findings, what refuses jobs now before what may lose some later.
pub(super) async fn check_up(store: &SqliteBroker) -> Result<Checkup, BrokerError> {
    let mut findings = vec![commits(store).await?];
    findings.push(durability(store).await?);
    let format: i64 =
        store.read(|view| Ok(view.first("PRAGMA user_version", [], |row| row.get(0))?.unwrap_or_default())).await?;
    findings.push(Finding::good("format", format!("format {format} of the tables; this version knows {FORMAT}")));
    let path: Option<String> = store
        .read(|view| view.first("SELECT file FROM pragma_database_list WHERE name = 'main'", [], |row| row.get(0)))
        .await?;
    if let Some(path) = path.filter(|path| !path.is_empty()).map(PathBuf::from) {
        findings.extend(disk::findings(&path));
        findings.push(soundness(path).await);
    }
    Ok(Checkup::new(findings))
}

/// Writes what is there once more: that shows whether it can be written, and how long a commit takes.
async fn commits(store: &SqliteBroker) -> Result<Finding, BrokerError> {
    const CHECK: &str = "writing";
    let mut times = Vec::with_capacity(COMMITS);
    for _ in 0..COMMITS {
        let began = Instant::now();
        let written = store.write(|scope| scope.execute(r#"UPDATE "meta" SET clock = clock"#, []).map(|_| ())).await;
        match written {
            Ok(()) => times.push(began.elapsed()),
            Err(BrokerError::Refused { reason, detail, .. }) => {
                let advice = match reason {
                    Refusal::Full => "make room on the disk",
                    Refusal::ReadOnly => "give this user the right to write the file and its directory",
                    Refusal::NotReady => "find the process that holds the file locked",
                    _ => "look at the file",
                };
                return Ok(Finding::bad(CHECK, format!("jobs are refused: {detail}")).advise(advice));
            }
            Err(error) => return Err(error),
        }
    }
    let time = median(times);
    let detail = format!("a commit, synced to the disk, takes {}", short_time(time));
    Ok(if time < SLOW {
        Finding::good(CHECK, detail)
    } else {
        Finding::doubtful(CHECK, format!("{detail}; every call waits that long")).advise("use a faster disk, or Redis")
    })
}

async fn durability(store: &SqliteBroker) -> Result<Finding, BrokerError> {
    const CHECK: &str = "persistence";
    // The connection that writes knows how it does so.
    let (mode, synchronous) = store
        .write(|scope| {
            let mode: Option<String> = scope.first("PRAGMA journal_mode", [], |row| row.get(0))?;
            let synchronous: Option<i64> = scope.first("PRAGMA synchronous", [], |row| row.get(0))?;
            Ok((mode.unwrap_or_default(), synchronous.unwrap_or_default()))
        })
        .await?;
    Ok(match (mode.as_str(), synchronous) {
        ("memory", _) => Finding::doubtful(CHECK, "in memory: every job is lost when this process ends")
            .advise("name a file, as in sqlite:queue.db"),
        ("wal", 2..) => {
            Finding::good(CHECK, "write-ahead log, synced at each commit: a crash loses nothing that was acknowledged")
        }
        (mode, level) => Finding::bad(
            CHECK,
            format!("journal mode {mode}, synchronous {level}: a power loss can lose or damage jobs"),
        )
        .advise("put the file on a local disk, and let only celeriac open it for writing"),
    })
}

/// Searches the file for damage, for a bounded time and on a connection of its own.
async fn soundness(path: PathBuf) -> Finding {
    const CHECK: &str = "integrity";
    let size = std::fs::metadata(&path).map(|file| file.len()).unwrap_or_default();
    let searched = match open(&path) {
        Ok(connection) => search(connection).await,
        Err(error) => Err(error),
    };
    let damaged = |what: &str| {
        Finding::bad(CHECK, format!("the file is damaged: {what}"))
            .advise("stop the workers, keep a copy, and restore a backup or try sqlite3 FILE .recover")
    };
    match searched {
        Ok(problems) if problems.is_empty() => Finding::good(CHECK, format!("{}, no damage found", bytes(size))),
        Ok(problems) => damaged(&problems.join("; ")),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => {
                let seconds = SEARCH_TIME.as_secs();
                Finding::good(CHECK, format!("{}, no damage found in {seconds} s of searching", bytes(size)))
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(&error.to_string()),
            _ => Finding::doubtful(CHECK, format!("could not be searched for damage: {error}")),
        },
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

async fn search(connection: Connection) -> rusqlite::Result<Vec<String>> {
    let interrupt = connection.get_interrupt_handle();
    let searching = tokio::task::spawn_blocking(move || {
        let mut statement = connection.prepare("PRAGMA quick_check(3)")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        let lines = rows.collect::<Result<Vec<_>, _>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    });
    tokio::pin!(searching);
    let searched = tokio::select! {
        searched = &mut searching => searched,
        () = tokio::time::sleep(SEARCH_TIME) => {
            interrupt.interrupt();
            searching.await
        }
    };
    // The thread neither panics nor is it aborted; if it were, nothing was found.
    searched.unwrap_or_else(|_| Ok(Vec::new()))
}
