//! What people order: the answers of a store to those who revoke, retry, delete and purge.

use celeriac_core::JobId;

/// What became of a job that somebody revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Revocation {
    /// It waited, and has ended: it never starts.
    Ended,
    /// It runs. Its worker is told, and ends it unless it succeeds before; it is not run again.
    Told,
    /// It had ended before.
    TooLate,
    /// The store knows no such job.
    Unknown,
}

/// What became of a dead job that somebody retried.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retried {
    /// It is ready again.
    Done,
    /// There is no dead job of this id.
    NotDead,
    /// Another job has its unique key by now.
    UniqueInUse {
        /// That job.
        holder: JobId,
    },
}

/// What one step of a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Jobs that were ended.
    pub count: usize,
    /// Whether more may be left, so that another step is worth it.
    pub more: bool,
}
