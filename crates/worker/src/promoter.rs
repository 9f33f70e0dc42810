//! Moves jobs whose time has come from scheduled to ready.

use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::MAX_BATCH_JOBS;

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

/// Resolves when a due time becomes known that lies before the end of `sleep`.
async fn earlier(
    due: &mut tokio::sync::watch::Receiver<Option<celeriac_core::Timestamp>>,
    post: &Post,
    sleep: Duration,
) {
    let wakes_at = tokio::time::Instant::now() + sleep;
    loop {
        if due.changed().await.is_err() {
            return std::future::pending().await;
        }
        let next = *due.borrow_and_update();
        if let Some(next) = next {
            let at = tokio::time::Instant::now() + post.clock.until(next);
            if at < wakes_at {
                tokio::time::sleep_until(at).await;
                return;
            }
        }
    }
}
