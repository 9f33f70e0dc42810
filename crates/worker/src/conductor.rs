//! Carries workflows on where a store cannot do it in the commit that ends a step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac_core::Transition;
use celeriac_core::canvas::MAX_INLINE_BYTES;

use crate::post::{Post, pause};

/// Events that one call takes.
const EVENTS_AT_ONCE: usize = 50;
/// The time between two looks while steps end one after the other: a chord's members each might have been the last.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// How long a store that does not answer is left alone.
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);

/// Takes events when there may be some, until the worker ends: at its start, when a step has ended that may have left one, and when the look
/// at the leases, every 20 s, has found one whose worker is gone.
pub(crate) async fn run(post: Arc<Post>) {
    let mut looked = Instant::now();
    loop {
        match post.conductor.conduct(EVENTS_AT_ONCE).await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) => {
                tracing::debug!(%error, "could not carry workflows on");
                if !pause(AFTER_AN_ERROR, &post.signals.end).await {
                    return;
                }
                continue;
            }
        }
        tokio::select! {
            () = post.signals.end.cancelled() => return,
            () = post.signals.events.notified() => {}
        }
        // At once after a rest, because somebody may wait for it.
        if !pause(BETWEEN_LOOKS.saturating_sub(looked.elapsed()), &post.signals.end).await {
            return;
        }
        looked = Instant::now();
    }
}

/// Whether the end of a job may have left something to do.
pub(crate) fn may_leave_an_event(transition: &Transition) -> bool {
    match transition {
        Transition::Finish { step: Some(step), outcome, .. } => {
            let long = outcome.result.as_ref().is_some_and(|result| result.get().len() > MAX_INLINE_BYTES);
            let failed = outcome.result.is_none();
            step.many || step.last || !step.counts.is_empty() || long || failed
        }
        Transition::DeadLetter { record, .. } => record.options.step.is_some(),
        _ => false,
    }
}
