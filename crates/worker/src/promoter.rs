//! Moves jobs whose time has come from scheduled to ready.

use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::MAX_BATCH_JOBS;
use celeriac_core::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::post::Post;

/// The longest sleep between two looks. A due time that another process adds is told by the store; this is the floor.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);

/// Promotes at the next due time, busy or not, until the worker ends.
pub(crate) async fn run(post: Arc<Post>) {
    let mut due = post.signals.watch_due();
    loop {
        due.mark_unchanged();
        let sleep = match post.broker.promote_due(MAX_BATCH_JOBS).await {
            Ok(promoted) => {
                post.clock.note(promoted.now);
                let wait = promoted.next_due.map_or(LONGEST_SLEEP, |next| next.since(promoted.now));
                if promoted.count > 0 {
                    tracing::debug!(jobs = promoted.count, "promoted");
                }
                // A millisecond more, so that a due time is past when we look and not just reached.
                wait.min(LONGEST_SLEEP).saturating_add(Duration::from_millis(1))
            }
            Err(error) => {
                tracing::debug!(%error, "could not promote due jobs");
                Duration::from_secs(1)
            }
        };
        tokio::select! {
            () = post.signals.end.cancelled() => return,
            () = tokio::time::sleep(sleep) => {}
            () = earlier(&mut due, &post, sleep) => {}
        }
    }
}

/// Resolves at a due time that becomes known meanwhile and lies before the end of `sleep`; the earliest, if several do.
async fn earlier(due: &mut watch::Receiver<Option<Timestamp>>, post: &Post, sleep: Duration) {
    let mut wakes_at = Instant::now() + sleep;
    let mut known = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(wakes_at), if known => return,
            changed = due.changed() => if changed.is_err() {
                return std::future::pending().await;
            },
        }
        let next = *due.borrow_and_update();
        if let Some(at) = next.map(|next| Instant::now() + post.clock.until(next)).filter(|at| *at < wakes_at) {
            (wakes_at, known) = (at, true);
        }
    }
}
