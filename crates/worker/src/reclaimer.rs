//! Moves the jobs of workers that vanished back to their queues: condemn, then drain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac_broker::{Broker, BrokerError, Condemned, Holder, MAX_BATCH_JOBS, Settled, Settlement};
use celeriac_core::{Ending, Incarnation, decide};

use crate::post::{Post, pause};

/// Incarnations that one look condemns or drains at most.
const MAX_INCARNATIONS: usize = 16;
/// The shortest and the longest time between two looks at the leases, measured by the worker's patience of 10 s: 500 ms and 20 s.
const SHORTEST_LOOK: f64 = 0.05;
const LONGEST_LOOK: f64 = 2.0;

/// Reclaims until the worker ends.
pub(crate) async fn run(post: Arc<Post>) {
    loop {
        let wait = match look(&post).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::debug!(%error, "could not look at the leases");
                Duration::from_secs(1)
            }
        };
        if !pause(wait, &post.signals.end).await {
            return;
        }
    }
}

/// One look; says when to look again.
async fn look(post: &Post) -> Result<Duration, BrokerError> {
    let quiet = quiet_left(post);
    if !quiet.is_zero() {
        let lost = post.broker.lost(MAX_INCARNATIONS).await?;
        post.progress.answered();
        drain(post, lost).await?;
        return Ok(bounded(post, quiet));
    }
    let asked = Instant::now();
    let looked = post.broker.look(&post.settings.queues, MAX_INCARNATIONS).await?;
    post.progress.answered();
    let Condemned { incarnations, lost, next_expiry, next_due, now, work_waiting, events_waiting } = looked;
    if post.progress.starves(work_waiting) {
        post.signals.starving.notify_one();
    }
    if asked.elapsed() > post.settings.lease / 4 {
        post.session.doubt_the_past();
    }
    post.clock.note_answer(now, asked);
    post.signals.due(next_due);
    for incarnation in &incarnations {
        tracing::warn!(worker = %incarnation, "lease ended without a heartbeat; its jobs will run again");
    }
    if events_waiting {
        post.signals.events.tell();
    }
    drain(post, lost).await?;
    let wait = bounded(post, next_expiry.map_or(Duration::MAX, |next| next.since(now)));
    // Sooner, while there is something to fetch: whether it was fetched.
    Ok(if work_waiting { wait.min(post.settings.patience) } else { wait })
}

/// The time until the next look.
fn bounded(post: &Post, wait: Duration) -> Duration {
    let patience = post.settings.patience;
    wait.clamp(patience.mul_f64(SHORTEST_LOOK), patience.mul_f64(LONGEST_LOOK))
}

/// How long nobody may be condemned yet: a lease length after the last connect or slow answer. Others may have been cut off by the
/// same outage, and a restart of the store must not make every job run twice.
fn quiet_left(post: &Post) -> Duration {
    post.settings.lease.saturating_sub(post.session.connected_at().elapsed())
}

async fn drain(post: &Post, lost: Vec<Incarnation>) -> Result<(), BrokerError> {
    for incarnation in lost {
        let jobs = drain_one(post.broker.as_ref(), &incarnation, post).await?;
        tracing::warn!(worker = %incarnation, jobs, "drained");
    }
    Ok(())
}

/// Settles what a condemned incarnation holds, as lost. Several processes may do so at once: the tokens let each job be settled once.
async fn drain_one(broker: &dyn Broker, incarnation: &Incarnation, post: &Post) -> Result<usize, BrokerError> {
    let name: Arc<str> = incarnation.worker_name().into();
    let holder = Holder::Condemned(incarnation.clone());
    let mut drained = 0;
    loop {
        let held = broker.held_by(incarnation, MAX_BATCH_JOBS).await?;
        let settlements: Vec<Settlement> = held
            .into_iter()
            .map(|delivery| Settlement {
                id: delivery.record.id.clone(),
                fence: delivery.lease.fence,
                transition: {
                    let rules = post.rules(&delivery.record.task, Arc::clone(&name));
                    decide(delivery.record, Ending::Lost, &rules)
                },
            })
            .collect();
        if settlements.is_empty() {
            broker.finish_drain(incarnation).await?;
            return Ok(drained);
        }
        match broker.settle(&holder, &settlements).await {
            Ok(settled) => {
                drained += settlements.len();
                post.look_for_events(&settlements);
                end_revoked(post, &holder, &settlements, &settled).await?;
            }
            // Somebody else has finished the drain meanwhile.
            Err(BrokerError::SessionLost) => return Ok(drained),
            Err(error) => return Err(error),
        }
    }
}

/// Ends those that were revoked while the incarnation held them: they do not run again.
pub(crate) async fn end_revoked(
    post: &Post,
    holder: &Holder,
    settlements: &[Settlement],
    settled: &[Settled],
) -> Result<(), BrokerError> {
    let revoked = settlements.iter().zip(settled).filter(|(_, settled)| **settled == Settled::Revoked);
    let revoked: Vec<_> = revoked.map(|(settlement, _)| post.as_revoked(settlement)).collect();
    if !revoked.is_empty() {
        post.broker.settle(holder, &revoked).await?;
        post.look_for_events(&revoked);
    }
    Ok(())
}
