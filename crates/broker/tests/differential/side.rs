//! One store with what it has answered so far. Answers become text that is the same for every side that does the same.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::conformance::{
    death_kept, hand_back, lost, parking, retry, revocation, seconds, settlement, success, success_kept,
};
use celeriac_broker::{
    Broker, BrokerError, Delivery, Exchanged, Fetched, Holder, JobFilter, Revocation, Session, Settlement,
    WorkflowEvent,
};
use celeriac_core::{Fence, JobId, Timestamp, Transition};

use crate::call::{Call, Way};
use crate::schedules;
use crate::workflows::{self, WorkflowCall};

/// How long the dead are kept; off the whole seconds, so that whether a job is as old or older is not asked.
const RETENTION: Duration = Duration::from_millis(60_500);

/// Tokens differ between stores; what counts is the order in which they were given out.
#[derive(Debug, Default)]
struct Tokens(Vec<Fence>);

impl Tokens {
    fn rank(&mut self, fence: Fence) -> usize {
        if let Some(rank) = self.0.iter().position(|known| *known == fence) {
            return rank;
        }
        assert!(self.0.last().is_none_or(|last| *last < fence), "token {fence} after {:?}", self.0);
        self.0.push(fence);
        self.0.len() - 1
    }
}

/// A store and its side of the story.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) broker: Arc<dyn Broker>,
    /// For each worker its sessions, the newest last.
    pub(crate) sessions: Vec<Vec<Session>>,
    /// Every delivery, in the order of the hand-outs.
    pub(crate) deliveries: Vec<Delivery>,
    tokens: Tokens,
    /// Every event that was taken.
    events: Vec<WorkflowEvent>,
    /// Whether a job was revoked or withdrawn that waited.
    revoked: bool,
}

impl Side {
    pub(crate) fn new(name: &'static str, broker: Arc<dyn Broker>) -> Self {
        let (sessions, deliveries, events) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, broker, sessions, deliveries, tokens: Tokens::default(), events, revoked: false }
    }

    /// Carries out a call; the answer, or the refusal, as text.
    pub(crate) async fn answer(&mut self, call: &Call, now: Timestamp) -> String {
        let answer = match call {
            Call::Heartbeat { .. } | Call::Reconcile { .. } | Call::Register(_) | Call::Deregister { .. } => {
                self.session_call(call).await
            }
            Call::Fetch { worker, session, request } => {
                let session = self.sessions[*worker][*session].clone();
                self.fetch(&session, request).await
            }
            Call::Settle { worker, session, picks } => {
                let holder = Holder::Session(self.sessions[*worker][*session].clone());
                self.broker.settle(&holder, &self.settlements(picks, now)).await.map(text)
            }
            Call::Exchange { worker, session, picks, request } => {
                let session = self.sessions[*worker][*session].clone();
                let settlements = self.settlements(picks, now);
                let exchanged = self.broker.exchange(&session, &settlements, request).await;
                exchanged.map(|Exchanged { settled, fetched }| format!("{settled:?} {}", self.fetched(fetched)))
            }
            Call::Revoke(ids) => {
                let answers = self.broker.revoke(ids, "test").await;
                self.revoked |= answers.as_ref().is_ok_and(|answers| answers.contains(&Revocation::Ended));
                answers.map(text)
            }
            Call::Workflows(call) => {
                self.revoked |= matches!(call, WorkflowCall::Withdraw(..));
                call.answer(self.broker.as_ref(), &mut self.events).await
            }
            Call::Drain { worker, count, way } => self.drain(*worker, *count, *way, now).await,
            _ => self.plain_call(call).await,
        };
        answer.unwrap_or_else(|error| match error {
            BrokerError::SessionLost => "session lost".to_owned(),
            other => panic!("{} failed: {other:?}", self.name),
        })
    }

    async fn session_call(&mut self, call: &Call) -> Result<String, BrokerError> {
        match call {
            Call::Register(registration) => {
                let session = self.broker.register(registration).await?;
                self.sessions.push(vec![session]);
                Ok(String::new())
            }
            Call::Reconcile { worker, session } => {
                let reconciled = self.broker.reconcile(&self.sessions[*worker][*session]).await?;
                self.sessions[*worker].push(reconciled.session);
                Ok(self.held(reconciled.held))
            }
            Call::Heartbeat { worker, session } => {
                let pulse = self.broker.heartbeat(&self.sessions[*worker][*session]).await?;
                let mut revoked = pulse.revoked;
                revoked.sort();
                Ok(format!("{:?} {:?} {} {revoked:?}", pulse.now, pulse.next_due, self.held(pulse.held)))
            }
            Call::Deregister { worker, session } => {
                self.broker.deregister(&self.sessions[*worker][*session]).await.map(text)
            }
            other => panic!("{other:?} is no call of a session"),
        }
    }

    async fn plain_call(&self, call: &Call) -> Result<String, BrokerError> {
        let broker = &self.broker;
        match call {
            Call::Enqueue(batch) => broker.enqueue(batch).await.map(text),
            Call::FinishDrain { worker } => broker.finish_drain(&self.sessions[*worker][0].incarnation).await.map(text),
            Call::Promote(max) => broker.promote_due(*max).await.map(text),
            Call::Condemn(max) => {
                let mut condemned = broker.condemn_expired(*max).await?;
                // Which of those to be drained are named first, and how many beyond the bound, stores may choose.
                condemned.lost.clear();
                Ok(text(condemned))
            }
            Call::RetryDead(ids) => broker.retry_dead(ids).await.map(text),
            Call::Pause(queue, paused) => broker.set_paused(queue, *paused).await.map(text),
            Call::Release(task, max) => broker.release_parked(std::slice::from_ref(task), *max).await.map(text),
            // Ends and registrations a store may also drop by itself.
            Call::Prune => broker.prune(100).await.map(|pruned| text((pruned.dead, pruned.workflows))),
            Call::Delete(ids) => broker.delete_dead(ids).await.map(text),
            Call::Purge(queue) => broker.purge(queue, 500, "test").await.map(text),
            Call::Schedules(call) => call.answer(broker.as_ref()).await,
            other => panic!("{other:?} is no plain call"),
        }
    }

    async fn fetch(
        &mut self,
        session: &Session,
        request: &celeriac_broker::FetchRequest,
    ) -> Result<String, BrokerError> {
        let fetched = self.broker.fetch(session, request).await?;
        Ok(self.fetched(fetched))
    }

    fn settlements(&self, picks: &[(usize, Way)], now: Timestamp) -> Vec<Settlement> {
        picks.iter().map(|(delivery, way)| leave(&self.deliveries[*delivery], *way, now)).collect()
    }

    fn fetched(&mut self, fetched: Fetched) -> String {
        let mut jobs = Vec::new();
        for delivery in fetched.jobs {
            let rank = self.tokens.rank(delivery.lease.fence);
            jobs.push(format!("{:?} by {:?} under {rank}", delivery.record, delivery.lease.holder));
            self.deliveries.push(delivery);
        }
        // Ids of revoked jobs may stand in a list until they come up, and then there seems to be more.
        let left = (!self.revoked).then_some((fetched.more, fetched.suspects_waiting));
        let rest = (fetched.now, fetched.next_due, left, fetched.unreadable);
        format!("{jobs:#?} {rest:?}")
    }

    async fn drain(&mut self, worker: usize, count: usize, way: Way, now: Timestamp) -> Result<String, BrokerError> {
        let incarnation = self.sessions[worker][0].incarnation.clone();
        let holder = Holder::Condemned(incarnation.clone());
        if !self.broker.lost(100).await?.contains(&incarnation) {
            return self.broker.settle(&holder, &[]).await.map(text);
        }
        let mut held = self.broker.held_by(&incarnation, 100).await?;
        // A store may list them in any order.
        held.sort_by_key(|delivery| (delivery.lease.fence, delivery.record.id.clone()));
        let settlements: Vec<_> = held.iter().take(count).map(|delivery| leave(delivery, way, now)).collect();
        let settled = self.broker.settle(&holder, &settlements).await?;
        Ok(format!("{:?} {settled:?}", held.iter().map(|delivery| &delivery.record).collect::<Vec<_>>()))
    }

    fn held(&mut self, mut held: Vec<(JobId, Fence)>) -> String {
        held.sort();
        let held: Vec<_> = held.into_iter().map(|(id, fence)| (id, self.tokens.rank(fence))).collect();
        format!("{held:?}")
    }

    /// All that can be seen of the store.
    pub(crate) async fn state(&mut self, ids: &[JobId]) -> Result<String, BrokerError> {
        let mut filter = JobFilter::default();
        filter.limit = 1000;
        let mut jobs = self.broker.jobs(&filter).await?;
        jobs.sort_by(|one, other| one.id.cmp(&other.id));
        let mut lines = Vec::new();
        for mut job in jobs {
            let rank = job.fence.take().map(|fence| self.tokens.rank(fence));
            lines.push(format!("{job:?} under {rank:?}"));
        }
        for mut queue in self.broker.queues().await? {
            // Which of the ready ones is the oldest is only known roughly once one was handed back.
            assert_eq!(queue.oldest.take().is_some(), queue.ready > 0, "{}: {queue:?}", self.name);
            lines.push(text(queue));
        }
        lines.extend(self.broker.workers().await?.into_iter().map(text));
        lines.extend(schedules::listing(self.broker.as_ref()).await?.into_iter().map(text));
        lines.extend(workflows::listing(self.broker.as_ref()).await?);
        let mut lost = self.broker.lost(100).await?;
        lost.sort();
        let look = self.broker.condemn_expired(0).await?;
        lines.push(format!("lost {lost:?}, next lease ends {:?}", look.next_expiry));
        lines.push(format!("events wait: {}", look.events_waiting));
        for id in ids {
            if let Some(end) = self.broker.result(id).await? {
                lines.push(text(end));
            }
        }
        Ok(lines.join("\n"))
    }
}

fn text(answer: impl Debug) -> String {
    format!("{answer:?}")
}

fn leave(delivery: &Delivery, way: Way, now: Timestamp) -> Settlement {
    let transition: Transition = match way {
        Way::Succeed => success(delivery, now),
        Way::SucceedUnkept => success_kept(delivery, now, seconds(0)),
        Way::Retry(delay) => retry(delivery, now, delay),
        Way::Die => death_kept(delivery, now, RETENTION, seconds(24 * 3600)),
        Way::HandBack => hand_back(delivery, now),
        Way::Park => parking(delivery, now),
        Way::Lose => lost(delivery, now),
        Way::Revoke => revocation(delivery, now),
    };
    settlement(delivery, transition)
}
