//! Names handlers that do not give their thread back: a `loop {}`, a blocking call in an async function.
//!
//! Each poll of a handler notes when it began, in ticks of a coarse clock, and that it has ended; that costs two stores. A watcher on the
//! heartbeat's thread, which no handler can block, moves the clock and looks for polls that began too long ago. While nothing is held
//! it does neither.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use celeriac_core::JobId;

use crate::context::Attempt;
use crate::post::{Post, pause};

/// A tick of the coarse clock.
const TICK: Duration = Duration::from_millis(250);
/// A poll that began so many ticks ago is a stall: half a second at least, three quarters at most.
const STALLED: u32 = 3;
/// How often a stall that goes on is named again.
const REMIND: Duration = Duration::from_secs(10);
/// How soon it is noticed that something is held.
const IDLE_LOOK: Duration = Duration::from_millis(500);

/// The coarse clock. It stands while nothing is held, and never shows 0: that means no poll.
#[derive(Debug)]
pub(crate) struct Epoch(AtomicU32);

impl Default for Epoch {
    fn default() -> Self {
        Self(AtomicU32::new(1))
    }
}

impl Epoch {
    pub(crate) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn tick(&self) -> u32 {
        let next = self.now().wrapping_add(1).max(1);
        self.0.store(next, Ordering::Relaxed);
        next
    }
}

/// A stall that was named.
struct Known {
    began: Instant,
    told: Instant,
}

/// Watches until the worker ends.
pub(crate) async fn watch(post: Arc<Post>) {
    let mut known: HashMap<JobId, Known> = HashMap::new();
    loop {
        let idle = post.held.is_empty();
        if !pause(if idle { IDLE_LOOK } else { TICK }, &post.signals.end).await {
            return;
        }
        if idle {
            continue;
        }
        let now = post.epoch.tick();
        let stalled = post.held.select(|attempt| {
            let began = attempt.polled_since();
            began != 0 && now.wrapping_sub(began) >= STALLED
        });
        tell(&mut known, &stalled);
    }
}

fn tell(known: &mut HashMap<JobId, Known>, stalled: &[Arc<Attempt>]) {
    let now = Instant::now();
    known.retain(|id, stall| {
        let goes_on = stalled.iter().any(|attempt| attempt.job_id == *id);
        if !goes_on {
            let seconds = stall.began.elapsed().as_secs_f32();
            tracing::warn!(job = %id, seconds, "the handler gave its thread back");
        }
        goes_on
    });
    for attempt in stalled {
        let stall = known.entry(attempt.job_id.clone()).or_insert_with(|| Known {
            began: now.checked_sub(TICK * STALLED).unwrap_or(now),
            told: now.checked_sub(REMIND).unwrap_or(now),
        });
        if stall.told.elapsed() >= REMIND || stall.told == now {
            stall.told = now;
            tracing::error!(
                task = %attempt.task, job = %attempt.job_id, queue = %attempt.queue, attempt = attempt.attempt,
                seconds = stall.began.elapsed().as_secs_f32(),
                "the handler blocks its thread, and other jobs wait for it; a task that blocks or computes for long is best a blocking one"
            );
        }
    }
}
