//! The job that every system runs: a number and filler, so that the JSON has the wanted length.

use std::time::Duration;

use anyhow::{Result, ensure};
use celeriac::{Task, TaskOptions};
use serde::{Deserialize, Serialize};

/// Does nothing but be counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Noop {
    /// Which job it is, so that each can be seen to run once.
    pub(crate) n: u64,
    pad: String,
}

impl Task for Noop {
    const NAME: &'static str = "noop";
    type Output = ();

    /// Nothing is kept of a job that has ended, as with BullMQ's `remove_on_complete`.
    fn options() -> TaskOptions {
        TaskOptions::new().result_ttl(Duration::ZERO)
    }
}

impl Noop {
    /// A job whose JSON has exactly `payload` bytes.
    pub(crate) fn new(n: u64, payload: usize) -> Self {
        let bare = r#"{"n":,"pad":""}"#.len() + n.to_string().len();
        Self { n, pad: "x".repeat(payload.saturating_sub(bare)) }
    }
}

/// Makes sure that jobs up to number `last` can have this length.
pub(crate) fn check_payload(last: u64, payload: usize) -> Result<()> {
    for n in [0, last] {
        let length = serde_json::to_vec(&Noop::new(n, payload))?.len();
        ensure!(length == payload, "a payload of {payload} bytes is too short: job {n} needs {length}");
    }
    Ok(())
}
