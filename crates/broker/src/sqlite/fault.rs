//! What SQLite's errors mean for the caller.

use rusqlite::ErrorCode;

use crate::error::{BrokerError, Refusal};

/// Why an operation did not go through.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite said no.
    Sqlite(rusqlite::Error),
    /// The operation answers this error by its own rules.
    Answer(BrokerError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<BrokerError> for Fault {
    fn from(error: BrokerError) -> Self {
        Self::Answer(error)
    }
}

impl Fault {
    /// The error to answer, when it is certain that nothing was carried out.
    pub(super) fn into_answer(self, store: &str) -> BrokerError {
        match self {
            Self::Answer(error) => error,
            Self::Sqlite(error) => Breakdown::before_commit(&error).answer(store),
        }
    }
}

/// Something that struck a whole group of operations; each of them gets its own copy of the error.
#[derive(Debug)]
pub(super) struct Breakdown {
    meaning: Meaning,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Refused(Refusal),
    Damaged(&'static str),
    Unreachable,
    InDoubt,
}

impl Breakdown {
    /// An error before COMMIT: nothing was carried out.
    pub(super) fn before_commit(error: &rusqlite::Error) -> Self {
        Self { meaning: meaning(error).unwrap_or(Meaning::Unreachable), detail: error.to_string() }
    }

    /// An error of COMMIT: the file may hold the transaction or not, unless SQLite says which.
    pub(super) fn at_commit(error: &rusqlite::Error) -> Self {
        Self { meaning: meaning(error).unwrap_or(Meaning::InDoubt), detail: error.to_string() }
    }

    /// A rule of the store itself was broken before COMMIT.
    pub(super) fn internal(detail: String) -> Self {
        Self { meaning: Meaning::Damaged("state"), detail }
    }

    /// The error for one caller.
    pub(super) fn answer(&self, store: &str) -> BrokerError {
        let (store, detail) = (store.to_owned(), self.detail.clone());
        match self.meaning {
            Meaning::Refused(reason) => BrokerError::Refused { store, reason, detail },
            Meaning::Damaged(what) => BrokerError::Corrupt { what, detail },
            Meaning::Unreachable => BrokerError::Unreachable { store, source: detail.into() },
            Meaning::InDoubt => BrokerError::InDoubt { store, source: detail.into() },
        }
    }
}

/// What an error means if it says so by itself; `None` for trouble of the machine, where it depends on the moment.
fn meaning(error: &rusqlite::Error) -> Option<Meaning> {
    let Some(code) = error.sqlite_error_code() else {
        // Everything that is not SQLite's own is a value that does not have the type it must have.
        return Some(Meaning::Damaged("row"));
    };
    match code {
        ErrorCode::DiskFull => Some(Meaning::Refused(Refusal::Full)),
        ErrorCode::ReadOnly => Some(Meaning::Refused(Refusal::ReadOnly)),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(Meaning::Refused(Refusal::NotReady)),
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            Some(Meaning::Refused(Refusal::Denied))
        }
        ErrorCode::DatabaseCorrupt => Some(Meaning::Damaged("page")),
        // The statements are fixed, so one that fails by its text met tables that are not the store's.
        ErrorCode::NotADatabase | ErrorCode::Unknown | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => {
            Some(Meaning::Refused(Refusal::Foreign))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn error(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn a_full_disk_is_a_refusal_even_at_commit() {
        let answer = Breakdown::at_commit(&error(ffi::SQLITE_FULL)).answer("sqlite:x");
        assert!(matches!(answer, BrokerError::Refused { reason: Refusal::Full, .. }), "{answer:?}");
    }

    #[test]
    fn an_io_error_is_in_doubt_at_commit_only() {
        let io = error(ffi::SQLITE_IOERR_FSYNC);
        assert!(Breakdown::at_commit(&io).answer("sqlite:x").is_in_doubt());
        assert!(!Breakdown::before_commit(&io).answer("sqlite:x").is_in_doubt());
    }

    #[test]
    fn a_file_that_cannot_be_written_and_a_locked_one_are_told_apart() {
        for (code, reason) in [(ffi::SQLITE_READONLY, Refusal::ReadOnly), (ffi::SQLITE_BUSY, Refusal::NotReady)] {
            let answer = Fault::from(error(code)).into_answer("sqlite:x");
            assert!(matches!(answer, BrokerError::Refused { reason: r, .. } if r == reason), "{answer:?}");
        }
    }
}
