//! Removes what has been kept long enough, and releases what is parked though this worker can run it.

use std::sync::Arc;
use std::time::Duration;

use crate::post::{Post, pause};

/// How long dead jobs are kept.
const DEAD_RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);
/// The most things of each kind removed in one call.
const MAX_REMOVED: usize = 500;
/// The most parked jobs released in one call.
const MAX_RELEASED: usize = 500;
/// Between two looks; halved and doubled at random, so that many workers do not look together.
const INTERVAL: Duration = Duration::from_secs(600);

/// Prunes until the worker ends.
pub(crate) async fn run(post: Arc<Post>) {
    loop {
        let spread = INTERVAL.mul_f64(0.5 + fastrand::f64());
        if !pause(spread, &post.signals.end).await {
            return;
        }
        // A job may have been parked by another worker in the moment this one registered.
        release_parked(&post).await;
        match post.broker.prune(DEAD_RETENTION, MAX_REMOVED).await {
            Ok(pruned) if pruned == celeriac_broker::Pruned::default() => {}
            Ok(pruned) => tracing::info!(
                dead = pruned.dead,
                results = pruned.results,
                workers = pruned.workers,
                "removed what was kept long enough"
            ),
            Err(error) => tracing::debug!(%error, "could not prune"),
        }
    }
}

/// Releases what was parked for want of a worker like this one.
pub(crate) async fn release_parked(post: &Post) {
    let tasks: Vec<_> = post.tasks.names().filter_map(|name| name.parse().ok()).collect();
    loop {
        match post.broker.release_parked(&tasks, MAX_RELEASED).await {
            Ok(released) => {
                if released > 0 {
                    tracing::info!(jobs = released, "released parked jobs");
                }
                if released < MAX_RELEASED {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not release parked jobs");
                return;
            }
        }
    }
}
