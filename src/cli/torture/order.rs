//! What a child is to do, told in one line of JSON on its standard input: the address of a store may hold a password, and a
//! command line can be read by everybody.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cli::exit::Failure;

/// The order to one child.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    /// The name of this life: no other process of the torture has or had it.
    pub(super) name: String,
    pub(super) role: Role,
    /// The store, with its password, through the child's own link.
    pub(super) store: String,
    /// Where it writes what happens: a worker the ledger, a producer its history.
    pub(super) writes: PathBuf,
    /// Decides what a producer enqueues.
    pub(super) seed: u64,
    /// Whether jobs may end the process that runs them.
    pub(super) poison: bool,
    /// How long jobs stay a worker's own after its last heartbeat.
    pub(super) lease: Duration,
    /// How long a worker may take to stop.
    pub(super) grace: Duration,
}

/// The part a child plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    Work,
    Beat,
    Produce {
        /// Jobs a second.
        rate: u32,
    },
}

impl Order {
    /// Reads the first line of standard input.
    pub(super) fn read() -> Result<Self, Failure> {
        let failed =
            |error: &dyn std::fmt::Display| Failure::usage(format!("this verb is for `torture` alone: {error}"));
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(|error| failed(&error))?;
        serde_json::from_str(&line).map_err(|error| failed(&error))
    }
}
