//! Hands out jobs through `fetch.lua`.

use celeriac_core::{Fence, Incarnation, JobId, Lease, QueueName, Timestamp};

use super::places::Stored;
use super::replies::job_id;
use super::script::{self, Call};
use super::session::millis;
use super::store::RedisBroker;
use crate::batch::{MAX_BATCH_BYTES, MAX_BATCH_JOBS};
use crate::delivery::{Delivery, FetchRequest, Fetched};
use crate::error::BrokerError;
use crate::worker_session::Session;

impl RedisBroker {
    pub(super) async fn fetch_jobs(&self, session: &Session, request: &FetchRequest) -> Result<Fetched, BrokerError> {
        let mut reply = self.commands.call(&self.fetch_call(session, request)).await?.in_session()?;
        let now: Timestamp = reply.instant()?;
        let fence = Fence::new(reply.maybe_number()?.unwrap_or_default());
        let next_due = reply.maybe_instant()?;
        let suspects_waiting = reply.take()?;
        let taken = reply.pairs::<String, Vec<u8>>()?;
        let shelved: Vec<String> = reply.take()?;
        let mut unreadable = shelved.iter().map(|id| job_id(id)).collect::<Result<Vec<_>, _>>()?;
        let (jobs, odd) = deliveries(&session.incarnation, taken.into_iter().map(|(id, record)| (id, fence, record)))?;
        self.shelve(&session.incarnation, &odd).await?;
        unreadable.extend(odd.into_iter().map(|(id, ..)| id));
        Ok(Fetched { jobs, now, next_due, suspects_waiting, unreadable })
    }

    fn fetch_call(&self, session: &Session, request: &FetchRequest) -> Call {
        let (keys, incarnation) = (&self.keys, &session.incarnation);
        let mut list = vec![keys.worker(incarnation), keys.running(incarnation), keys.leases(), keys.meta()];
        list.extend([keys.jobs(), keys.queues(), keys.scheduled(), keys.unreadable(), keys.counts()]);
        list.extend(request.queues.iter().flat_map(|queue| keys.lists(queue)));
        let mut call = Call::new(&script::FETCH, &list);
        call.arg(self.now_override())
            .arg(incarnation.as_str())
            .arg(session.generation.get())
            .arg(millis(session.lease))
            .arg(request.max_jobs.min(MAX_BATCH_JOBS))
            .arg(MAX_BATCH_BYTES)
            .arg(u8::from(request.holds_nothing));
        request.queues.iter().for_each(|queue| {
            call.arg(queue.as_str());
        });
        call
    }

    /// Takes bytes that are no record from their holder and keeps them aside. A crash before it leaves them held; they
    /// come here again with the next reclaim.
    pub(super) async fn shelve(&self, holder: &Incarnation, odd: &[Odd]) -> Result<(), BrokerError> {
        if odd.is_empty() {
            return Ok(());
        }
        let keys = &self.keys;
        let list = [keys.running(holder), keys.leases(), keys.unreadable(), keys.counts()];
        let mut call = Call::new(&script::SHELVE, &list);
        call.arg(self.now_override());
        for (id, fence, queue) in odd {
            call.arg(id.as_str()).arg(fence.get()).arg(queue.as_str());
        }
        self.commands.call(&call).await.map(|_| ())
    }
}

/// A held job whose bytes are no record, and its queue as far as it is known.
pub(super) type Odd = (JobId, Fence, QueueName);

/// Sorts what is held into deliveries and what cannot be decoded.
pub(super) fn deliveries(
    holder: &Incarnation,
    held: impl Iterator<Item = (String, Fence, Vec<u8>)>,
) -> Result<(Vec<Delivery>, Vec<Odd>), BrokerError> {
    let (mut jobs, mut odd) = (Vec::new(), Vec::new());
    for (id, fence, bytes) in held {
        let id = job_id(&id)?;
        match Stored::decode(&id, &bytes) {
            Stored::Readable(record) => {
                jobs.push(Delivery { record: *record, lease: Lease { holder: holder.clone(), fence } });
            }
            Stored::Unreadable(queue) => odd.push((id, fence, queue)),
        }
    }
    Ok((jobs, odd))
}
