//! What can go wrong between celeriac and a store, sorted by what the caller may do next.

use std::error::Error;

/// Why a store refused a command without carrying it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The store is full: Redis at `maxmemory`, or no room on the disk.
    Full,
    /// The store may not be written: a replica, a demoted primary, or a read-only file.
    ReadOnly,
    /// The store is starting or busy, and will answer later.
    NotReady,
    /// The store asks for a password, or does not let this user do it.
    Denied,
    /// A key or table holds something that celeriac did not put there.
    Foreign,
}

/// A failed call to a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// No connection could be made, so nothing was sent.
    #[error("cannot reach {store}")]
    Unreachable {
        /// The store, without its password.
        store: String,
        /// What the connection said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The command was sent and its answer is unknown: it may have been carried out, or be carried out later.
    #[error("no answer from {store}")]
    InDoubt {
        /// The store, without its password.
        store: String,
        /// What the connection said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store answered that it did not carry the command out.
    #[error("{store} refused: {detail}")]
    Refused {
        /// The store, without its password.
        store: String,
        /// Why.
        reason: Refusal,
        /// The store's own words.
        detail: String,
    },
    /// The worker's registration is gone, or a newer connection of it exists: nothing was carried out.
    #[error("the registration of this worker has ended")]
    SessionLost,
    /// The store holds data that this version cannot read.
    #[error("{what} in the store cannot be read: {detail}")]
    Corrupt {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The store's address or a request cannot work.
    #[error("{0}")]
    Invalid(String),
}

impl BrokerError {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::InDoubt { .. } => true,
            Self::Refused { reason, .. } => matches!(reason, Refusal::ReadOnly | Refusal::NotReady | Refusal::Full),
            Self::SessionLost | Self::Corrupt { .. } | Self::Invalid(_) => false,
        }
    }

    /// Whether the command may have been carried out.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        matches!(self, Self::InDoubt { .. })
    }
}
