//! The worker's side of the model: sessions, hand-outs, settlements and the services.

use std::collections::BTreeSet;
use std::time::Duration;

use celeriac_broker::{
    BrokerError, Condemned, Delivery, Exchanged, FetchRequest, Fetched, Holder, MAX_BATCH_BYTES, MAX_BATCH_JOBS,
    NOTES_TTL, Note, Promoted, Pruned, Pulse, Reconciled, Registration, Session, Settled, Settlement, StoreLife,
};
use celeriac_core::{
    Fence, Generation, Incarnation, JobId, Lease, LogLine, Notes, Outcome, QueueName, TaskName, Timestamp, Transition,
};

use super::places::{Job, Place};
use super::steps::How;
use super::store::{End, Store, Worker};

/// How long a registration lives without a heartbeat, at least.
const REGISTRATION_TTL: Duration = Duration::from_secs(180);

impl Store {
    pub(crate) fn register(&mut self, registration: &Registration) -> Session {
        let generation = Generation::new(1);
        let (incarnation, lease) = (registration.incarnation.clone(), registration.lease);
        let expires = self.registration_end(lease);
        let worker = Worker { registration: registration.clone(), generation, expires };
        self.workers.insert(incarnation.clone(), worker);
        Session { incarnation, generation, lease, store: StoreLife::default() }
    }

    fn registration_end(&self, lease: Duration) -> Timestamp {
        self.now.after(REGISTRATION_TTL.max(lease * 3))
    }

    pub(crate) fn reconcile(&mut self, session: &Session) -> Result<Reconciled, BrokerError> {
        let micros = self.now.as_millis() * 1000;
        let worker = self.worker(session)?;
        worker.generation = Generation::new((worker.generation.get() + 1).max(micros));
        let session = Session { generation: worker.generation, ..session.clone() };
        let held = self.held(&session.incarnation);
        Ok(Reconciled { session, held })
    }

    pub(crate) fn heartbeat(&mut self, session: &Session) -> Result<Pulse, BrokerError> {
        let (now, expires) = (self.now, self.registration_end(session.lease));
        self.worker(session)?.expires = expires;
        let held = self.held(&session.incarnation);
        if held.is_empty() {
            self.leases.remove(&session.incarnation);
        } else {
            self.leases.insert(session.incarnation.clone(), now.after(session.lease));
        }
        let mut revoked = Vec::new();
        for (id, _) in &held {
            if let Some(told) = self.revoked.get_mut(id) {
                *told = true;
                revoked.push(id.clone());
            }
        }
        Ok(Pulse { now, newest_fence: self.newest_fence, held, revoked, next_due: self.next_due() })
    }

    pub(crate) fn deregister(&mut self, session: &Session) -> Result<(), BrokerError> {
        self.check_newest(session)?;
        self.workers.remove(&session.incarnation);
        if self.held(&session.incarnation).is_empty() {
            self.leases.remove(&session.incarnation);
        }
        Ok(())
    }

    pub(crate) fn fetch(&mut self, session: &Session, request: &FetchRequest) -> Result<Fetched, BrokerError> {
        self.check_newest(session)?;
        self.newest_fence = Fence::new((self.newest_fence.get() + 1).max(self.now.as_millis() * 1000));
        let open: Vec<_> = request.queues.iter().filter(|queue| !self.paused.contains(queue)).collect();
        let suspect = open.iter().find_map(|queue| self.suspects(queue).into_iter().next());
        let chosen = match suspect {
            Some(suspect) if request.holds_nothing && request.max_jobs > 0 => vec![suspect],
            _ => self.choose(&open, request),
        };
        let jobs: Vec<_> = chosen.into_iter().map(|job| self.hand_out(job, &session.incarnation)).collect();
        if !jobs.is_empty() {
            self.leases.insert(session.incarnation.clone(), self.now.after(session.lease));
        }
        let more = open.iter().any(|queue| !self.ready(queue).is_empty());
        let suspects_waiting = open.iter().any(|queue| !self.suspects(queue).is_empty());
        Ok(Fetched { jobs, now: self.now, next_due: self.next_due(), more, suspects_waiting, unreadable: Vec::new() })
    }

    /// The jobs for one hand-out, as far as they fit; one that is too big for any goes alone.
    fn choose(&self, queues: &[&QueueName], request: &FetchRequest) -> Vec<Job> {
        let max_jobs = request.max_jobs.min(MAX_BATCH_JOBS);
        let mut chosen = Vec::new();
        let mut bytes = 0;
        let in_order = |queue: &&QueueName| {
            let mut ready = self.ready(queue);
            if request.lowest_first {
                ready.sort_by_key(|job| (job.record.priority, job.turn()));
            }
            ready
        };
        for job in queues.iter().flat_map(in_order) {
            bytes += job.record.payload.len();
            if chosen.len() == max_jobs || (bytes > MAX_BATCH_BYTES && !chosen.is_empty()) {
                break;
            }
            chosen.push(job);
        }
        chosen
    }

    fn hand_out(&mut self, mut job: Job, holder: &Incarnation) -> Delivery {
        let fence = self.newest_fence;
        job.place = Place::Running { holder: holder.clone(), fence };
        let record = job.record.clone();
        self.jobs.insert(record.id.clone(), job);
        Delivery { record, lease: Lease { holder: holder.clone(), fence } }
    }

    pub(crate) fn exchange(
        &mut self,
        session: &Session,
        settlements: &[Settlement],
        request: &FetchRequest,
    ) -> Result<Exchanged, BrokerError> {
        let settled = self.settle(&Holder::Session(session.clone()), settlements)?;
        Ok(Exchanged { settled, fetched: self.fetch(session, request)? })
    }

    pub(crate) fn settle(&mut self, holder: &Holder, settlements: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        match holder {
            Holder::Session(session) => self.check_newest(session)?,
            Holder::Condemned(incarnation) if self.lost.contains(incarnation) => {}
            _ => return Err(BrokerError::SessionLost),
        }
        // Of several settlements of one job the first counts, also when it is refused.
        let mut refused = BTreeSet::new();
        let settle = |settlement: &Settlement| {
            let settled = match refused.contains(&settlement.id) {
                true => Settled::NotHeld,
                false => self.settle_one(holder.incarnation(), settlement),
            };
            if settled == Settled::Revoked {
                refused.insert(settlement.id.clone());
            }
            settled
        };
        Ok(settlements.iter().map(settle).collect())
    }

    pub(crate) fn note(&mut self, holder: &Incarnation, note: &Note) {
        let held = self.jobs.get(&note.id).and_then(|job| job.held_by(holder));
        if held == Some(note.fence) {
            let (now, until) = (self.now, self.now.after(NOTES_TTL));
            let mut notes = self.notes(&note.id);
            notes.add(note.progress.clone(), note.lines.iter().map(|line| LogLine::new(now, line)));
            self.notes.insert(note.id.clone(), (notes, until));
        }
    }

    pub(crate) fn notes(&self, id: &JobId) -> Notes {
        let kept = self.notes.get(id).filter(|(_, until)| *until > self.now);
        kept.map(|(notes, _)| notes.clone()).unwrap_or_default()
    }

    fn settle_one(&mut self, holder: &Incarnation, settlement: &Settlement) -> Settled {
        let held = self.jobs.get(&settlement.id).and_then(|job| job.held_by(holder));
        if held != Some(settlement.fence) {
            return Settled::NotHeld;
        }
        if self.revoked.contains_key(&settlement.id) && !settlement.transition.state().is_terminal() {
            return Settled::Revoked;
        }
        self.revoked.remove(&settlement.id);
        self.jobs.remove(&settlement.id);
        match settlement.transition.clone() {
            Transition::Finish { outcome, keep, step, .. } => {
                let end = step.as_ref().map(|link| link.end(&outcome));
                self.keep_end(outcome, keep);
                self.end_step(step.as_deref(), end, How::Settled);
            }
            Transition::Retry { record, delay } => self.put(record, Place::Scheduled { due: self.now.after(delay) }),
            Transition::DeadLetter { record, outcome, keep, retention } => {
                let step = record.options.step.clone();
                let end = step.as_ref().map(|link| link.end(&outcome));
                self.put(record, Place::Dead { until: self.now.after(retention) });
                self.keep_end(*outcome, keep);
                self.end_step(step.as_deref(), end, How::Settled);
            }
            Transition::Requeue { record } => {
                let place = if record.suspect { self.tail() } else { self.head() };
                self.put(record, place);
            }
            Transition::Park { record } => self.put(record, Place::Parked),
            other => panic!("the model does not know {other:?}"),
        }
        Settled::Done
    }

    pub(crate) fn keep_end(&mut self, outcome: Outcome, keep: Duration) {
        let until = self.now.after(keep);
        if until > self.now {
            self.ends.insert(outcome.id.clone(), End { outcome, until });
        }
    }

    pub(crate) fn promote_due(&mut self, max: usize) -> Promoted {
        let due = self.select(|job| job.due().filter(|due| *due <= self.now));
        let due: Vec<_> = due.into_iter().take(max.min(MAX_BATCH_JOBS)).collect();
        let count = due.len();
        due.into_iter().for_each(|job| self.make_ready(job.record));
        Promoted { count, next_due: self.next_due(), now: self.now }
    }

    pub(crate) fn condemn_expired(&mut self, queues: &[QueueName], max: usize) -> Condemned {
        let mut leases: Vec<_> = self.leases.iter().map(|(holder, end)| (*end, holder.clone())).collect();
        leases.sort();
        let ended = leases.into_iter().filter(|(end, _)| *end <= self.now).take(max);
        let incarnations: Vec<_> = ended.map(|(_, incarnation)| incarnation).collect();
        for incarnation in &incarnations {
            self.leases.remove(incarnation);
            self.workers.remove(incarnation);
            self.lost.insert(incarnation.clone());
        }
        let next_expiry = self.leases.values().copied().filter(|end| *end > self.now).min();
        let lost = self.lost.iter().take(max).cloned().collect();
        let mut open = queues.iter().filter(|queue| !self.paused.contains(*queue));
        let work_waiting = open.any(|queue| !self.ready(queue).is_empty());
        Condemned {
            incarnations,
            lost,
            next_expiry,
            next_due: self.next_due(),
            now: self.now,
            work_waiting,
            events_waiting: self.has_events(),
        }
    }

    pub(crate) fn held_deliveries(
        &self,
        incarnation: &Incarnation,
        max: usize,
        asked: impl Fn(&JobId) -> bool,
    ) -> Vec<Delivery> {
        let mut bytes = 0;
        let held = self.select(|job| job.held_by(incarnation).map(|fence| (fence, job.id().clone())));
        let deliver = |job: Job| {
            let fence = job.held_by(incarnation)?;
            Some(Delivery { lease: Lease { holder: incarnation.clone(), fence }, record: job.record })
        };
        let fits = |delivery: &Delivery| {
            let fits = bytes < MAX_BATCH_BYTES;
            bytes += delivery.record.payload.len();
            fits
        };
        held.into_iter().filter(|job| asked(job.id())).filter_map(deliver).take_while(fits).take(max).collect()
    }

    pub(crate) fn finish_drain(&mut self, incarnation: &Incarnation) -> bool {
        self.held(incarnation).is_empty() && self.lost.remove(incarnation)
    }

    pub(crate) fn release_parked(&mut self, tasks: &[TaskName], max: usize) -> usize {
        let known = |job: &Job| job.place == Place::Parked && tasks.contains(&job.record.task);
        let parked = self.select(|job| known(job).then_some(job.record.since));
        let released: Vec<_> = parked.into_iter().take(max.min(MAX_BATCH_JOBS)).collect();
        let count = released.len();
        released.into_iter().for_each(|job| self.make_ready(job.record));
        count
    }

    pub(crate) fn prune(&mut self, max: usize) -> Pruned {
        let now = self.now;
        let dead = self.select(|job| match job.place {
            Place::Dead { until } => (until <= now).then_some(until),
            _ => None,
        });
        let dead: Vec<_> = dead.iter().take(max).map(|job| job.id().clone()).collect();
        dead.iter().for_each(|id| drop(self.jobs.remove(id)));
        let over = self.ends.iter().filter(|(_, end)| end.until <= now).map(|(id, _)| id.clone());
        let over: Vec<_> = over.take(max).collect();
        over.iter().for_each(|id| drop(self.ends.remove(id)));
        let idle = |incarnation: &Incarnation| !self.leases.contains_key(incarnation);
        let stale = self.workers.iter().filter(|(id, worker)| worker.expires <= now && idle(id));
        let stale: Vec<_> = stale.map(|(incarnation, _)| incarnation.clone()).take(max).collect();
        stale.iter().for_each(|incarnation| drop(self.workers.remove(incarnation)));
        let workflows = self.prune_workflows(max);
        Pruned { dead: dead.len(), results: over.len(), workers: stale.len(), workflows }
    }
}
