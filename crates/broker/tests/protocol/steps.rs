//! What happens with an action.

use crate::store::{Ending, Holder, JOBS, LeaseTime, Session, Status, Store};
use crate::worker::{Answer, Command, End, Mend, Producer, Reclaim, Way, Worker};
use crate::{Action, Event, Mutant, Protocol, State};

impl State {
    fn die(&mut self, at: usize) {
        self.deaths -= 1;
        if let Some(Worker { reclaim: Reclaim::Found(lost) | Reclaim::Listed(lost, _), .. }) = self.workers[at]
            && self.store.incarnations[usize::from(lost)].holds_jobs()
        {
            self.event = Some(Event::ReclaimerDied);
        }
        self.workers[at] = None;
    }

    /// Carries out, at once, what is pending and can do nothing any more: neither a generation nor a token nor a registration that is gone
    /// comes back, so it would do nothing later either. This leaves fewer states.
    pub(crate) fn carry_out_voids(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let (void, pending): (Vec<_>, Vec<_>) = pending.into_iter().partition(|command| self.is_void(*command));
        self.pending = pending;
        self.event = void.into_iter().fold(self.event, |event, command| event.or(self.lateness(command)));
    }

    fn is_void(&self, command: Command) -> bool {
        let known = |incarnation: u8| &self.store.incarnations[usize::from(incarnation)];
        match command {
            Command::Enqueue { lane, number, .. } => number <= self.store.lanes[usize::from(lane)],
            Command::Register(_) => false,
            Command::Fetch(session) => !self.is_newest(session),
            Command::Settle { holder: Holder::Session(session), leases, .. } => {
                !self.is_newest(session) || !known(session.incarnation).holds_any(leases)
            }
            Command::Settle { holder: Holder::Condemned(incarnation), leases, .. } => {
                !known(incarnation).lost || !known(incarnation).holds_any(leases)
            }
            Command::Reconcile(incarnation) | Command::Heartbeat(incarnation) => {
                known(incarnation).generation.is_none()
            }
            Command::Condemn(incarnation) => {
                known(incarnation).generation.is_none() && known(incarnation).lease == LeaseTime::None
            }
            Command::FinishDrain(incarnation) => known(incarnation).generation.is_none() && !known(incarnation).lost,
        }
    }

    fn is_newest(&self, session: Session) -> bool {
        self.store.incarnations[usize::from(session.incarnation)].generation == Some(session.generation)
    }

    /// What it means that this command comes now: whether it belongs to a connection that has a successor.
    fn lateness(&self, command: Command) -> Option<Event> {
        let is_old = |session: Session| {
            let newest = self.store.incarnations[usize::from(session.incarnation)].generation;
            newest.is_some_and(|newest| newest > session.generation)
        };
        match command {
            Command::Fetch(session) if is_old(session) && self.has_ready() => Some(Event::LateFetch),
            Command::Settle { holder: Holder::Session(session), .. } if is_old(session) => Some(Event::LateSettle),
            _ => None,
        }
    }

    /// The store goes back to what it was; connections die with it, and with them what was pending there.
    fn fail_over(&mut self) {
        let Some(replica) = self.replica.take() else { return };
        self.failovers -= 1;
        let wrongs = self.store.wrongs;
        self.store = Store { wrongs, ..*replica };
        self.pending.clear();
        for (accepted, job) in self.producer.accepted.iter_mut().zip(&self.store.jobs) {
            *accepted &= job.applied > 0;
        }
        self.workers.iter_mut().flatten().for_each(Worker::recover);
    }
}

impl Protocol {
    pub(crate) fn step(&self, state: &mut State, action: Action) {
        if let Some(Way::Swallowed | Way::LeftPending) = action.way() {
            state.cuts -= 1;
        }
        match action {
            Action::Enqueue(way) => self.enqueue(state, way),
            Action::HalfEnqueue => {
                let producer = &mut state.producer;
                producer.in_doubt = true;
                state.store.half_enqueue(producer.lane, producer.number);
            }
            Action::GiveUp => {
                state.producer.job += 1;
                if self.is(Mutant::NumberUsedAgain) {
                    state.producer.in_doubt = false;
                } else {
                    state.producer.leave_lane();
                }
            }
            Action::CarryOut(at) => {
                let command = state.pending.remove(at);
                state.event = state.lateness(command);
                self.execute(state, command);
            }
            Action::LeaseEnds(incarnation) => {
                state.pauses -= u8::from(state.has_owner(incarnation));
                state.store.incarnations[usize::from(incarnation)].lease = LeaseTime::Ended;
            }
            Action::Die(worker) => state.die(worker),
            Action::Replicate => state.replica = Some(Box::new(state.store)),
            Action::Failover => state.fail_over(),
            _ => self.step_of_worker(state, action),
        }
    }

    fn step_of_worker(&self, state: &mut State, action: Action) {
        let Some(at) = action.worker() else { return };
        let Some(mut worker) = state.workers[at] else { return };
        match action {
            Action::Fetch(_, way) => self.fetch(state, &mut worker, way),
            Action::Take(_) => self.take(&mut worker),
            Action::Execute(_, job, ending) => {
                state.failures -= u8::from(ending == Ending::Failed);
                worker.ends[job] = worker.held[job].map(|lease| End { lease, ending });
            }
            Action::Settle(_, job, way) => self.settle(state, &mut worker, job, way),
            Action::Heartbeat(_, way) => self.heartbeat(state, &mut worker, way),
            Action::Reconcile(_, way) => self.reconcile(state, &mut worker, way),
            Action::Compare(_) => self.compare(&mut worker),
            Action::HandBack(_, way) => self.hand_back(state, &mut worker, way),
            Action::Register(_, way) => self.register(state, &mut worker, way),
            Action::Look(_, incarnation) => {
                let lost = state.store.incarnations[usize::from(incarnation)].lost;
                worker.reclaim = if lost { Reclaim::Found(incarnation) } else { Reclaim::Looked(incarnation) };
            }
            _ => self.step_of_reclaimer(state, &mut worker, action),
        }
        state.workers[at] = Some(worker);
    }

    fn step_of_reclaimer(&self, state: &mut State, worker: &mut Worker, action: Action) {
        let way = action.way().unwrap_or(Way::Answered);
        match (action, worker.reclaim) {
            (Action::Condemn(..), Reclaim::Looked(incarnation)) => {
                let status = self.call(state, way, Command::Condemn(incarnation));
                worker.reclaim = if status == Some(Status::Done) { Reclaim::Found(incarnation) } else { Reclaim::No };
            }
            (Action::HeldBy(_), Reclaim::Found(incarnation)) => {
                worker.reclaim =
                    Reclaim::Listed(incarnation, state.store.incarnations[usize::from(incarnation)].running);
            }
            (Action::Drain(..), Reclaim::Listed(incarnation, leases)) => {
                let holder = Holder::Condemned(incarnation);
                let status = self.call(state, way, Command::Settle { holder, leases, ending: Ending::Lost });
                worker.reclaim = if status == Some(Status::Done) { Reclaim::Found(incarnation) } else { Reclaim::No };
            }
            (Action::FinishDrain(..), Reclaim::Listed(incarnation, _)) => {
                self.call(state, way, Command::FinishDrain(incarnation));
                worker.reclaim = Reclaim::No;
            }
            _ => {}
        }
    }

    /// Sends a command; answers what the caller hears.
    fn call(&self, state: &mut State, way: Way, command: Command) -> Option<Status> {
        if way == Way::LeftPending {
            state.pending.push(command);
            state.pending.sort();
            return None;
        }
        let status = self.execute(state, command);
        (way == Way::Answered).then_some(status)
    }

    /// The store carries out a command whose answer, if it is more than a word, nobody will hear.
    fn execute(&self, state: &mut State, command: Command) -> Status {
        let store = &mut state.store;
        match command {
            Command::Enqueue { lane, number, job } => store.enqueue(lane, number, usize::from(job), self.mutant),
            Command::Register(incarnation) => {
                store.register(incarnation);
                Status::Done
            }
            Command::Fetch(session) => {
                let fetched = store.fetch(session, &mut state.newest_token, self.mutant);
                fetched.map_or_else(|status| status, |_| Status::Done)
            }
            Command::Settle { holder, leases, ending } => store.settle(holder, leases, ending, self.mutant),
            Command::Reconcile(incarnation) => {
                let newest = &mut state.newest_generations[usize::from(incarnation)];
                store.reconcile(incarnation, newest, self.mutant).map_or_else(|status| status, |_| Status::Done)
            }
            Command::Heartbeat(incarnation) => store.heartbeat(incarnation),
            Command::Condemn(incarnation) => store.condemn(incarnation, self.mutant),
            Command::FinishDrain(incarnation) => store.finish_drain(incarnation),
        }
    }

    /// One try of `lane.rs`.
    fn enqueue(&self, state: &mut State, way: Way) {
        let Producer { lane, number, job, .. } = state.producer;
        let status = self.call(state, way, Command::Enqueue { lane, number, job });
        let producer = &mut state.producer;
        match status {
            Some(Status::Gap) => {
                producer.leave_lane();
                state.event = Some(Event::Gap);
            }
            Some(_) => {
                producer.accepted[usize::from(job)] = true;
                producer.number += 1;
                producer.job += 1;
                producer.in_doubt = false;
            }
            None => producer.in_doubt = true,
        }
    }

    fn fetch(&self, state: &mut State, worker: &mut Worker, way: Way) {
        let session = worker.session;
        if way != Way::Answered {
            self.call(state, way, Command::Fetch(session));
            return worker.recover();
        }
        let counted = state.store.fence + 1;
        let gone_back = counted <= state.newest_token;
        match state.store.fetch(session, &mut state.newest_token, self.mutant) {
            Ok(Some((job, lease))) => {
                worker.answer = Some(Answer { session, job, lease });
                state.event = gone_back.then_some(Event::TokenGoneBack);
            }
            Ok(None) => {}
            Err(_) => worker.recover(),
        }
    }

    /// `fetcher.rs`, `take`: an answer that was asked for in an older session counts no more.
    fn take(&self, worker: &mut Worker) {
        let Some(Answer { session, job, lease }) = worker.answer.take() else { return };
        let current = worker.mend != Mend::StartOver && session == worker.session;
        if current || self.is(Mutant::OldAnswersCount) {
            worker.held[job] = Some(lease);
        }
    }

    fn settle(&self, state: &mut State, worker: &mut Worker, job: usize, way: Way) {
        let Some(End { lease, ending }) = worker.ends[job] else { return };
        let leases = std::array::from_fn(|at| (at == job).then_some(lease));
        let holder = Holder::Session(worker.session);
        match self.call(state, way, Command::Settle { holder, leases, ending }) {
            Some(Status::Done) => worker.conclude(job, lease.token),
            _ => worker.recover(),
        }
    }

    fn heartbeat(&self, state: &mut State, worker: &mut Worker, way: Way) {
        let status = self.call(state, way, Command::Heartbeat(worker.session.incarnation));
        let listed = state.store.incarnations[usize::from(worker.session.incarnation)].running;
        if status == Some(Status::SessionLost) || (status.is_some() && worker.unknown(listed) != [None; JOBS]) {
            worker.recover();
        }
    }

    fn reconcile(&self, state: &mut State, worker: &mut Worker, way: Way) {
        let incarnation = worker.session.incarnation;
        if way != Way::Answered {
            self.call(state, way, Command::Reconcile(incarnation));
            return;
        }
        let newest = &mut state.newest_generations[usize::from(incarnation)];
        let counted = state.store.incarnations[usize::from(incarnation)].generation.map(|generation| generation + 1);
        state.event = counted.filter(|counted| *counted <= *newest).map(|_| Event::GenerationGoneBack);
        worker.mend = match state.store.reconcile(incarnation, newest, self.mutant) {
            Ok((generation, listed)) => Mend::Compare { generation, listed },
            Err(_) => {
                worker.keep_only([None; JOBS]);
                Mend::StartOver
            }
        };
    }

    fn compare(&self, worker: &mut Worker) {
        let Mend::Compare { generation, listed } = worker.mend else { return };
        worker.keep_only(listed);
        worker.session.generation = generation;
        let unknown = if self.is(Mutant::HandBackRunning) { listed } else { worker.unknown(listed) };
        worker.mend = if unknown == [None; JOBS] { Mend::No } else { Mend::HandBack(unknown) };
    }

    fn hand_back(&self, state: &mut State, worker: &mut Worker, way: Way) {
        let Mend::HandBack(leases) = worker.mend else { return };
        let holder = Holder::Session(worker.session);
        worker.mend = match self.call(state, way, Command::Settle { holder, leases, ending: Ending::HandedBack }) {
            Some(Status::Done) => Mend::No,
            Some(_) if self.is(Mutant::RefusalStartsOver) => {
                worker.keep_only([None; JOBS]);
                Mend::StartOver
            }
            _ => Mend::Due,
        };
    }

    fn register(&self, state: &mut State, worker: &mut Worker, way: Way) {
        let incarnation = state.incarnations;
        state.incarnations += 1;
        if self.call(state, way, Command::Register(incarnation)).is_some() {
            worker.session = Session { incarnation, generation: 1 };
            worker.mend = Mend::No;
        }
    }
}
