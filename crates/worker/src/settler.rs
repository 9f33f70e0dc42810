//! Reports the ends of attempts to the store when the fetcher does not take them along, and again after a lost answer.

use std::sync::Arc;
use std::time::Instant;

use celeriac_broker::{BrokerError, Exchanged, FetchRequest, Holder, Session, Settled, Settlement};
use celeriac_core::{State, Transition};

use crate::ends::Batch;
use crate::executor::Executor;
use crate::post::Post;
use crate::session::Backoff;

/// Settles until there will be no more ends.
pub(crate) async fn run(executor: Executor) {
    let post = &executor.post;
    while let Some(batch) = post.ends.next().await {
        if let Err(error) = settle(&executor, &batch).await {
            // Only when the store refuses for good or the worker was told to give up. The store still lists the jobs: a later
            // comparison hands them back, or their lease ends with the worker.
            let jobs = batch.settlements.len();
            tracing::error!(%error, jobs, "ends of jobs could not be settled; the jobs will run again");
            post.held.remove(&batch.settlements);
        }
    }
}

/// Settles a batch, mending the session as often as needed.
async fn settle(executor: &Executor, batch: &Batch) -> Result<(), BrokerError> {
    let post = &executor.post;
    let Batch { settlements, in_doubt } = batch;
    let mut in_doubt = *in_doubt;
    let mut backoff = Backoff::until(&post.signals.end);
    loop {
        let Some(session) = post.session.current() else { return Err(BrokerError::SessionLost) };
        let next = if in_doubt { 0 } else { steps_behind(settlements).min(executor.spare()) };
        let settled = if next > 0 {
            settle_and_go_on(executor, &session, settlements, next).await
        } else {
            post.broker.settle(&Holder::Session(session.clone()), settlements).await
        };
        match settled {
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

/// How many steps of workflows begin with these ends.
fn steps_behind(settlements: &[Settlement]) -> usize {
    let behind = |settlement: &Settlement| match &settlement.transition {
        Transition::Finish { step: Some(step), outcome, .. } if outcome.state == State::Succeeded => step.next.len(),
        _ => 0,
    };
    settlements.iter().map(behind).sum()
}

/// Settles, and takes in what begins with that, in one call. The wait of the fetcher would bring it too, one way through the store later,
/// and a chain would take that time for each step.
async fn settle_and_go_on(
    executor: &Executor,
    session: &Session,
    settlements: &[Settlement],
    next: usize,
) -> Result<Vec<Settled>, BrokerError> {
    let post = &executor.post;
    let request = FetchRequest::new(post.settings.queues.clone(), next);
    let asked = Instant::now();
    let Exchanged { settled, fetched } = post.broker.exchange(session, settlements, &request).await?;
    if asked.elapsed() > post.settings.lease / 4 {
        post.session.doubt_the_past();
    }
    if !fetched.jobs.is_empty() {
        post.session.renewed(asked);
        post.session.lease_began();
    }
    post.clock.note_answer(fetched.now, asked);
    post.signals.due(fetched.next_due);
    executor.take_in(session, fetched);
    if post.signals.stop.is_cancelled() || post.backlog.is_closed() {
        // The fetcher may have handed back what it had before these came.
        executor.hand_back(post.backlog.drain());
    }
    Ok(settled)
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
