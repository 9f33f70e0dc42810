//! Removes what has been kept long enough, and releases what is parked though this worker can run it.

use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::Pruned;

use crate::post::{Post, pause};

/// The most things of each kind removed in one call.
const MAX_REMOVED: usize = 500;
/// Between two calls that both had all they may do.
const BETWEEN_CALLS: Duration = Duration::from_millis(50);
/// The most calls of one release.
const MAX_RELEASES: usize = 1000;
/// The most parked jobs released in one call.
const MAX_RELEASED: usize = 500;
/// Between two looks; halved and doubled at random, so that many workers do not look together.
const INTERVAL: Duration = Duration::from_secs(600);

/// After a registration parked jobs are released again, so long after it. Another worker may have looked for one that knows the task just
/// before this one registered, and have parked the job just after this one released what there was; it uses an answer of the store for up
/// to a second.
const SECOND_LOOKS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(8)];

/// Prunes until the worker ends.
pub(crate) async fn run(post: Arc<Post>) {
    for wait in SECOND_LOOKS {
        if !pause(wait, &post.signals.end).await {
            return;
        }
        release_parked(&post).await;
    }
    loop {
        let spread = INTERVAL.mul_f64(0.5 + fastrand::f64());
        if !pause(spread, &post.signals.end).await {
            return;
        }
        // A job may have been parked by another worker in the moment this one registered.
        release_parked(&post).await;
        prune(&post).await;
    }
}

/// Removes in calls of bounded size until a call finds less than it may remove; a moment between them lets other work through.
async fn prune(post: &Post) {
    let mut more = true;
    while more {
        let Pruned { dead, results, workers, workflows } = match post.broker.prune(MAX_REMOVED).await {
            Ok(pruned) => pruned,
            Err(error) => {
                tracing::debug!(%error, "could not prune");
                return;
            }
        };
        if dead + results + workers + workflows > 0 {
            tracing::info!(dead, results, workers, workflows, "removed what was kept long enough");
        }
        more = dead.max(results).max(workers).max(workflows) >= MAX_REMOVED
            && pause(BETWEEN_CALLS, &post.signals.end).await;
    }
}

/// Releases what was parked for want of a worker like this one.
pub(crate) async fn release_parked(post: &Post) {
    let tasks: Vec<_> = post.tasks.known_names().filter_map(|name| name.parse().ok()).collect();
    // A call stops at its bound of jobs or bytes, so only none is the end. Bounded, because what cannot be decoded is parked again.
    for _ in 0..MAX_RELEASES {
        match post.broker.release_parked(&tasks, MAX_RELEASED).await {
            Ok(released) => {
                if released == 0 {
                    return;
                }
                tracing::info!(jobs = released, "released parked jobs");
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not release parked jobs");
                return;
            }
        }
    }
}
