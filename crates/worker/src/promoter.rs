//! Moves jobs whose time has come from scheduled to ready.

use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::MAX_BATCH_JOBS;
use celeriac_core::Timestamp;
use tokio::sync::watch;

use crate::post::Post;

/// The longest sleep between two looks at this process's estimate of the store's clock. The store itself is asked only when a job may
/// be due: every answer tells when that is, and an idle worker has one every 20 s, from the reclaimer.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);

/// Promotes at the next due time, busy or not, until the worker ends.
pub(crate) async fn run(post: Arc<Post>) {
    let mut due = post.signals.watch_due();
    loop {
        due.mark_unchanged();
        let next = match post.broker.promote_due(MAX_BATCH_JOBS).await {
            Ok(promoted) => {
                post.clock.note(promoted.now);
                if promoted.count > 0 {
                    tracing::debug!(jobs = promoted.count, "promoted");
                }
                promoted.next_due
            }
            Err(error) => {
                tracing::debug!(%error, "could not promote due jobs");
                Some(post.clock.now().after(Duration::from_secs(1)))
            }
        };
        tokio::select! {
            () = post.signals.end.cancelled() => return,
            () = until_due(next, &mut due, &post) => {}
        }
    }
}

/// Resolves when a job is due: the one that is known now, or an earlier one that becomes known meanwhile.
async fn until_due(mut next: Option<Timestamp>, due: &mut watch::Receiver<Option<Timestamp>>, post: &Post) {
    loop {
        let left = next.map_or(LONGEST_SLEEP, |next| post.clock.until(next));
        if next.is_some() && left.is_zero() {
            return;
        }
        // A millisecond more, so that a due time is past when we look and not just reached.
        let sleep = left.min(LONGEST_SLEEP).saturating_add(Duration::from_millis(1));
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            changed = due.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
                let heard = *due.borrow_and_update();
                next = match (next, heard) {
                    (Some(known), Some(heard)) => Some(known.min(heard)),
                    (known, heard) => known.or(heard),
                };
            }
        }
    }
}
