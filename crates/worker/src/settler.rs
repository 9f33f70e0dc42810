//! Reports the ends of attempts to the store when the fetcher does not take them along, and again after a lost answer.

use std::sync::Arc;

use celeriac_broker::{BrokerError, Holder, Settled, Settlement};
use celeriac_core::Transition;

use crate::ends::Batch;
use crate::post::Post;
use crate::session::Backoff;

/// Settles until there will be no more ends.
pub(crate) async fn run(post: Arc<Post>) {
    while let Some(batch) = post.ends.next().await {
        if let Err(error) = settle(&post, &batch).await {
            // Only when the store refuses for good or the worker was told to give up. The store still lists the jobs: a later
            // comparison hands them back, or their lease ends with the worker.
            let jobs = batch.settlements.len();
            tracing::error!(%error, jobs, "ends of jobs could not be settled; the jobs will run again");
            post.held.remove(&batch.settlements);
        }
    }
}

/// Settles a batch, mending the session as often as needed.
async fn settle(post: &Post, batch: &Batch) -> Result<(), BrokerError> {
    let Batch { settlements, in_doubt } = batch;
    let mut in_doubt = *in_doubt;
    let mut backoff = Backoff::until(&post.signals.end);
    loop {
        let Some(session) = post.session.current() else { return Err(BrokerError::SessionLost) };
        match post.broker.settle(&Holder::Session(session.clone()), settlements).await {
            Ok(answers) => {
                post.progress.answered();
                post.conclude(settlements, &answers, in_doubt);
                return Ok(());
            }
            Err(error) => {
                in_doubt |= error.is_in_doubt();
                post.recover(&session, error, &mut backoff).await?;
            }
        }
    }
}

impl Post {
    /// Counts what became of each, forgets those that are held no more, and has a look at the events that they may have left. After a lost answer "not held" means that the earlier copy was
    /// carried out. A job that was revoked meanwhile is settled once more, as that.
    pub(crate) fn conclude(&self, settlements: &[Settlement], answers: &[Settled], in_doubt: bool) {
        let mut tally = self.meters.tally();
        for (settlement, settled) in settlements.iter().zip(answers) {
            match settled {
                Settled::NotHeld if !in_doubt => {
                    self.counters.lease_lost();
                    tracing::warn!(job = %settlement.id, fence = %settlement.fence, "LeaseLost: the end of this attempt was refused");
                }
                Settled::Revoked => self.ends.leave(self.as_revoked(settlement)),
                _ => {
                    tally.count(&settlement.transition);
                    self.count_settled(&settlement.transition);
                }
            }
        }
        // Before they are held no more: a burst that holds nothing and owes no look is over.
        self.look_for_events(settlements);
        let gone = settlements.iter().zip(answers).filter(|(_, settled)| **settled != Settled::Revoked);
        self.held.remove(gone.map(|(settlement, _)| settlement));
    }

    /// The settlement that a store takes for a job that was revoked while it was held.
    pub(crate) fn as_revoked(&self, settlement: &Settlement) -> Settlement {
        let (Transition::Retry { record, .. } | Transition::Requeue { record } | Transition::Park { record }) =
            &settlement.transition
        else {
            return settlement.clone();
        };
        let rules = self.rules(&record.task, Arc::clone(&self.settings.name));
        Settlement { transition: settlement.transition.clone().revoked(&rules), ..settlement.clone() }
    }

    fn count_settled(&self, transition: &Transition) {
        self.counters.settled(transition.state());
        if let Transition::Retry { delay, .. } = transition {
            // This worker may be the only one, and idle until then.
            self.signals.due(Some(self.clock.now().after(*delay)));
        }
    }
}
