//! Reports the ends of attempts to the store, many in one call, and again after a lost answer.

use std::sync::Arc;

use celeriac_broker::{BrokerError, Holder, MAX_BATCH_JOBS, Settled, Settlement};
use celeriac_core::Transition;
use tokio::sync::mpsc;

use crate::post::Post;
use crate::session::Backoff;

/// The most result bytes in one call; a bigger end goes alone.
const MAX_BATCH_BYTES: usize = celeriac_broker::MAX_BATCH_BYTES;

/// Where attempts leave their ends. The settler ends when all handles are dropped and everything is settled.
#[derive(Clone)]
pub(crate) struct SettlerHandle {
    ends: mpsc::UnboundedSender<Settlement>,
}

impl SettlerHandle {
    /// Leaves an end to be settled. The channel needs no bound: the fetcher fetches nothing while too many held jobs wait here.
    pub(crate) fn settle(&self, settlement: Settlement) {
        // The settler outlives every handle, so this fails only when the runtime goes down; the lease tells the rest.
        let _ = self.ends.send(settlement);
    }
}

/// Moves ended attempts from the executor to the store.
pub(crate) struct Settler {
    post: Arc<Post>,
    ends: mpsc::UnboundedReceiver<Settlement>,
    left_over: Option<Settlement>,
}

impl Settler {
    pub(crate) fn new(post: Arc<Post>) -> (SettlerHandle, Self) {
        let (sender, ends) = mpsc::unbounded_channel();
        (SettlerHandle { ends: sender }, Self { post, ends, left_over: None })
    }

    /// Settles until all handles are gone.
    pub(crate) async fn run(mut self) {
        while let Some(batch) = self.next_batch().await {
            if let Err(error) = self.settle(&batch).await {
                // Only when the store refuses for good or the worker was told to give up. The store still lists the jobs: a later
                // comparison hands them back, or their lease ends with the worker.
                let jobs = batch.len();
                tracing::error!(%error, jobs, "ends of jobs could not be settled; the jobs will run again");
            }
            batch.iter().for_each(|settlement| self.post.held.remove(&settlement.id, settlement.fence));
        }
    }

    /// Waits for an end and takes what else is there.
    async fn next_batch(&mut self) -> Option<Vec<Settlement>> {
        let first = match self.left_over.take() {
            Some(settlement) => settlement,
            None => self.ends.recv().await?,
        };
        let mut bytes = weight(&first);
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH_JOBS {
            let Ok(next) = self.ends.try_recv() else { break };
            bytes += weight(&next);
            if bytes > MAX_BATCH_BYTES {
                self.left_over = Some(next);
                break;
            }
            batch.push(next);
        }
        Some(batch)
    }

    /// Settles a batch, mending the session as often as needed.
    async fn settle(&self, batch: &[Settlement]) -> Result<(), BrokerError> {
        let mut in_doubt = false;
        let mut backoff = Backoff::until(&self.post.signals.end);
        loop {
            let Some(session) = self.post.session.current() else { return Err(BrokerError::SessionLost) };
            match self.post.broker.settle(&Holder::Session(session.clone()), batch).await {
                Ok(answers) => {
                    self.note(batch, &answers, in_doubt);
                    return Ok(());
                }
                Err(error) => {
                    in_doubt |= error.is_in_doubt();
                    self.post.recover(&session, error, &mut backoff).await?;
                }
            }
        }
    }

    /// Counts what became of each. After a lost answer "not held" means that the earlier copy was carried out.
    fn note(&self, batch: &[Settlement], answers: &[Settled], in_doubt: bool) {
        for (settlement, settled) in batch.iter().zip(answers) {
            match settled {
                Settled::NotHeld if !in_doubt => {
                    self.post.counters.lease_lost();
                    tracing::warn!(job = %settlement.id, fence = %settlement.fence, "LeaseLost: the end of this attempt was refused");
                }
                _ => self.settled(&settlement.transition),
            }
        }
    }

    fn settled(&self, transition: &Transition) {
        self.post.counters.settled(transition.state());
        if let Transition::Retry { delay, .. } = transition {
            // This worker may be the only one, and idle until then.
            self.post.signals.due(Some(self.post.clock.now().after(*delay)));
        }
    }
}

fn weight(settlement: &Settlement) -> usize {
    use Transition::*;
    match &settlement.transition {
        Finish { outcome, .. } => outcome.result.as_ref().map_or(0, |result| result.get().len()),
        Retry { record, .. } | DeadLetter { record, .. } | Requeue { record } | Park { record } => {
            record.payload.len() + record.history.iter().map(|incident| incident.error.len()).sum::<usize>()
        }
        _ => 0,
    }
}
