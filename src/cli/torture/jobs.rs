//! The jobs of a torture: what each does, chosen by chance and reproducible by its seed.

use std::time::Duration;

use celeriac_core::{Task, TaskOptions};
use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// The queues they go to.
pub(super) const QUEUES: [&str; 3] = ["red", "green", "blue"];

/// How many unique keys there are; few, so that they meet.
const KEYS: u32 = 20;

/// What a handler does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Act {
    /// Takes its time and succeeds.
    Succeed,
    /// Fails until this attempt is over.
    FailUntil(u32),
    /// Panics until this attempt is over.
    PanicUntil(u32),
    /// Fails whenever it runs, and has few retries.
    Fail,
    /// Keeps its thread, without an await.
    Block,
    /// Ends the process it runs in.
    Abort,
}

/// The arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Torture {
    pub(super) act: Act,
    /// How long it takes, in milliseconds.
    pub(super) takes: u64,
}

impl Task for Torture {
    const NAME: &'static str = "torture";
    /// The token of the attempt that succeeded.
    type Output = u64;

    fn options() -> TaskOptions {
        TaskOptions::new().backoff(Duration::from_millis(50), Duration::from_millis(400))
    }
}

/// A job before it is enqueued.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) queue: &'static str,
    pub(super) task: Torture,
    pub(super) delay: Duration,
    pub(super) priority: u8,
    pub(super) unique: Option<String>,
    pub(super) expires: Option<Duration>,
    pub(super) retries: Option<u32>,
    /// When to revoke it, counted from its acceptance.
    pub(super) revoke_after: Option<Duration>,
    /// Whether somebody waits for its end.
    pub(super) awaited: bool,
}

impl Draft {
    /// The next job; `poison` allows those that end their process.
    pub(super) fn next(chance: &mut Rng, poison: bool) -> Self {
        let act = act(chance, poison);
        let percent = |chance: &mut Rng, of: u32| chance.u32(0..100) < of;
        let milliseconds = |chance: &mut Rng, most: u64| Duration::from_millis(chance.u64(0..most));
        let takes = if percent(chance, 5) { chance.u64(500..3000) } else { chance.u64(0..40) };
        Self {
            queue: QUEUES[chance.usize(0..QUEUES.len())],
            task: Torture { act, takes: if act == Act::Block { takes.min(300) } else { takes } },
            delay: if percent(chance, 15) { milliseconds(chance, 3000) } else { Duration::ZERO },
            priority: if percent(chance, 20) { chance.u8(0..=9) } else { 5 },
            unique: percent(chance, 5).then(|| format!("key-{}", chance.u32(0..KEYS))),
            expires: percent(chance, 3).then(|| Duration::from_millis(chance.u64(100..3000))),
            retries: (act == Act::Fail).then_some(2),
            revoke_after: percent(chance, 4).then(|| milliseconds(chance, 2000)),
            awaited: percent(chance, 10),
        }
    }
}

fn act(chance: &mut Rng, poison: bool) -> Act {
    match chance.u32(0..2000) {
        0..120 => Act::FailUntil(chance.u32(1..4)),
        120..160 => Act::PanicUntil(chance.u32(1..3)),
        160..200 => Act::Fail,
        200..220 => Act::Block,
        // Few: each ends three processes before it is dead.
        220..221 if poison => Act::Abort,
        _ => Act::Succeed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_jobs_again_and_every_kind_of_them() {
        let jobs = |seed: u64| {
            let mut chance = Rng::with_seed(seed);
            (0..20_000).map(|_| format!("{:?}", Draft::next(&mut chance, true))).collect::<Vec<_>>()
        };
        assert_eq!(jobs(7), jobs(7));
        assert_ne!(jobs(7), jobs(8));
        let all = jobs(7).join("\n");
        for act in ["Succeed", "FailUntil", "PanicUntil", "Fail,", "Block", "Abort", "unique: Some", "expires: Some"] {
            assert!(all.contains(act), "{act}");
        }
    }
}
