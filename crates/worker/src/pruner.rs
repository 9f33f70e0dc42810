//! Removes what has been kept long enough.

use std::sync::Arc;
use std::time::Duration;

use crate::post::{Post, pause};

/// How long dead jobs are kept.
const DEAD_RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);
/// The most things of each kind removed in one call.
const MAX_REMOVED: usize = 500;
/// Between two looks; halved and doubled at random, so that many workers do not look together.
const INTERVAL: Duration = Duration::from_secs(600);

/// Prunes until the worker ends.
pub(crate) async fn run(post: Arc<Post>) {
    loop {
        let spread = INTERVAL.mul_f64(0.5 + fastrand::f64());
        if !pause(spread, &post.signals.end).await {
            return;
        }
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
