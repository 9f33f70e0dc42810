//! Hands out jobs through `fetch.lua`, and through `exchange.lua` in one call with settlements.

use std::time::Duration;

use celeriac_core::{Fence, Incarnation, JobId, Lease, QueueName, Record};
use redis::Value;

use super::places::Stored;
use super::replies::{Reply, job_id, read};
use super::script::{self, Call};
use super::session::millis;
use super::settle::Ways;
use super::store::RedisBroker;
use crate::batch::{MAX_BATCH_BYTES, MAX_BATCH_JOBS};
use crate::delivery::{Delivery, Exchanged, FetchRequest, Fetched, Settlement};
use crate::error::BrokerError;
use crate::worker_session::{Holder, Session};

impl RedisBroker {
    pub(super) async fn fetch_jobs(&self, session: &Session, request: &FetchRequest) -> Result<Fetched, BrokerError> {
        let reply = self.commands.call(&self.fetch_call(session, request)).await?;
        self.fetched(session, reply.in_session()?).await
    }

    /// Waits for a token, and fetches in the same round trip: the server runs the fetch as soon as the wait is over.
    pub(super) async fn wait_and_fetch(
        &self,
        session: &Session,
        request: &FetchRequest,
        timeout: Duration,
    ) -> Result<Fetched, BrokerError> {
        let call = self.fetch_call(session, request);
        let reply = self.waiting.wait_and_call(&session.incarnation, &request.queues, timeout, &call).await?;
        self.fetched(session, reply.in_session()?).await
    }

    pub(super) async fn exchange_jobs(
        &self,
        session: &Session,
        settlements: &[Settlement],
        request: &FetchRequest,
    ) -> Result<Exchanged, BrokerError> {
        if settlements.is_empty() {
            return Ok(Exchanged { settled: Vec::new(), fetched: self.fetch_jobs(session, request).await? });
        }
        let ways = Ways::of(settlements)?;
        let mut list = self.session_keys(&session.incarnation);
        self.add_fetch_keys(&mut list, request);
        ways.add_keys(&mut list, &self.keys);
        let mut call = Call::new(&script::EXCHANGE, &list);
        self.add_session(&mut call, &Holder::Session(session.clone()));
        add_request(&mut call, session, request);
        ways.add_arguments(&mut call, settlements, &self.keys);
        let mut reply = self.commands.call(&call).await?.in_session()?;
        let settled = ways.answers(&reply.take::<String>()?);
        Ok(Exchanged { settled, fetched: self.fetched(session, reply).await? })
    }

    fn fetch_call(&self, session: &Session, request: &FetchRequest) -> Call {
        let mut list = self.session_keys(&session.incarnation);
        self.add_fetch_keys(&mut list, request);
        let mut call = Call::new(&script::FETCH, &list);
        self.add_session(&mut call, &Holder::Session(session.clone()));
        add_request(&mut call, session, request);
        call
    }

    /// The keys with which `fetch`, `settle` and `exchange` begin.
    pub(super) fn session_keys(&self, incarnation: &Incarnation) -> Vec<String> {
        let keys = &self.keys;
        let mut list = vec![keys.worker(incarnation), keys.running(incarnation), keys.leases()];
        list.extend([keys.jobs(), keys.scheduled(), keys.counts()]);
        list
    }

    /// The arguments with which `fetch`, `settle` and `exchange` begin.
    pub(super) fn add_session(&self, call: &mut Call, holder: &Holder) {
        call.arg(self.now_override()).arg(holder.incarnation().as_str());
        match holder {
            Holder::Session(session) => call.arg(session.generation.get()),
            Holder::Condemned(_) => call.arg(""),
        };
    }

    fn add_fetch_keys(&self, list: &mut Vec<String>, request: &FetchRequest) {
        let keys = &self.keys;
        list.extend([keys.meta(), keys.queues(), keys.unreadable()]);
        list.extend(request.queues.iter().flat_map(|queue| keys.lists(queue)));
    }

    /// Reads what a hand-out answered: now, next due, and what was handed out.
    async fn fetched(&self, session: &Session, mut reply: Reply) -> Result<Fetched, BrokerError> {
        let now = reply.instant()?;
        let next_due = reply.maybe_instant()?;
        let mut handed = reply.part()?;
        let fence = Fence::new(handed.maybe_number()?.unwrap_or_default());
        let taken = Pairs(handed.take::<Vec<Value>>()?.into_iter());
        let shelved: Vec<String> = handed.take()?;
        let (more, suspects_waiting) = (handed.take()?, handed.take()?);
        let mut unreadable = shelved.iter().map(|id| job_id(id)).collect::<Result<Vec<_>, _>>()?;
        let held = taken.map(|pair| pair.map(|(id, record)| (id, fence, record)));
        let (jobs, odd) = deliveries(&session.incarnation, held)?;
        if let Err(error) = self.shelve(&session.incarnation, &odd).await {
            // The jobs that came with them must be known all the same. These come here again when they are reclaimed.
            tracing::warn!(%error, jobs = odd.len(), "jobs that cannot be read could not be put aside yet");
        }
        unreadable.extend(odd.into_iter().map(|(id, ..)| id));
        Ok(Fetched { jobs, now, next_due, more, suspects_waiting, unreadable })
    }

    /// Takes bytes that are no record from their holder and keeps them aside. A crash before it leaves them held; they
    /// come here again with the next reclaim.
    pub(super) async fn shelve(&self, holder: &Incarnation, odd: &[Odd]) -> Result<(), BrokerError> {
        if odd.is_empty() {
            return Ok(());
        }
        let keys = &self.keys;
        let mut list = vec![keys.running(holder), keys.leases(), keys.unreadable(), keys.counts(), keys.revoked()];
        list.push(keys.jobs());
        let mut call = Call::new(&script::SHELVE, &list);
        call.arg(self.now_override());
        for (id, fence, queue) in odd {
            call.arg(id.as_str()).arg(fence.get()).arg(queue.as_str());
        }
        self.commands.call(&call).await.map(|_| ())
    }
}

fn add_request(call: &mut Call, session: &Session, request: &FetchRequest) {
    call.arg(millis(session.lease))
        .arg(request.max_jobs.min(MAX_BATCH_JOBS))
        .arg(MAX_BATCH_BYTES)
        .arg(u8::from(request.holds_nothing))
        .arg(u8::from(request.lowest_first))
        .arg(request.queues.len());
    request.queues.iter().for_each(|queue| {
        call.arg(queue.as_str());
    });
}

/// Id and record, read one after the other.
struct Pairs<I>(I);

impl<I: Iterator<Item = Value>> Iterator for Pairs<I> {
    type Item = Result<(JobId, Vec<u8>), BrokerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (id, record) = (self.0.next()?, self.0.next().unwrap_or(Value::Nil));
        Some(read_id(id).and_then(|id| Ok((id, read(record)?))))
    }
}

/// An id, without a copy on the way.
fn read_id(value: Value) -> Result<JobId, BrokerError> {
    match &value {
        Value::BulkString(bytes) => job_id(std::str::from_utf8(bytes).unwrap_or_default()),
        _ => job_id(&read::<String>(value)?),
    }
}

/// A held job whose bytes are no record, and its queue as far as it is known.
pub(super) type Odd = (JobId, Fence, QueueName);

/// Sorts what is held into deliveries and what cannot be decoded.
pub(super) fn deliveries(
    holder: &Incarnation,
    held: impl Iterator<Item = Result<(JobId, Fence, Vec<u8>), BrokerError>>,
) -> Result<(Vec<Delivery>, Vec<Odd>), BrokerError> {
    let (mut jobs, mut odd) = (Vec::with_capacity(held.size_hint().0), Vec::new());
    for job in held {
        let (id, fence, bytes) = job?;
        match Stored::decode(&id, bytes) {
            Stored::Readable(record) => jobs.push(delivery(holder, fence, record)),
            Stored::Unreadable(queue) => odd.push((id, fence, queue)),
        }
    }
    Ok((jobs, odd))
}

fn delivery(holder: &Incarnation, fence: Fence, record: Record) -> Delivery {
    Delivery { record, lease: Lease { holder: holder.clone(), fence } }
}
