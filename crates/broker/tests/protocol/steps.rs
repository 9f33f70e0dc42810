//! What may happen in a state, and what it does.

use crate::store::{Ending, Holder, INCARNATIONS, JOBS, LANES, LeaseTime, Session, Status, Store};
use crate::worker::{Answer, Command, End, Mend, Producer, Reclaim, Way, Worker};
use crate::{Action, Event, Mutant, Protocol, State};

impl Action {
    /// The same call going another way; `None` if it is no call.
    pub(crate) fn going(self, way: Way) -> Option<Self> {
        Some(match self {
            Self::Enqueue(_) => Self::Enqueue(way),
            Self::Fetch(worker, _) => Self::Fetch(worker, way),
            Self::Settle(worker, job, _) => Self::Settle(worker, job, way),
            Self::Heartbeat(worker, _) => Self::Heartbeat(worker, way),
            Self::Reconcile(worker, _) => Self::Reconcile(worker, way),
            Self::HandBack(worker, _) => Self::HandBack(worker, way),
            Self::Register(worker, _) => Self::Register(worker, way),
            Self::Condemn(worker, _) => Self::Condemn(worker, way),
            Self::Drain(worker, _) => Self::Drain(worker, way),
            Self::FinishDrain(worker, _) => Self::FinishDrain(worker, way),
            _ => return None,
        })
    }

    fn way(self) -> Option<Way> {
        match self {
            Self::Enqueue(way)
            | Self::Fetch(_, way)
            | Self::Settle(_, _, way)
            | Self::Heartbeat(_, way)
            | Self::Reconcile(_, way)
            | Self::HandBack(_, way)
            | Self::Register(_, way)
            | Self::Condemn(_, way)
            | Self::Drain(_, way)
            | Self::FinishDrain(_, way) => Some(way),
            _ => None,
        }
    }

    fn worker(self) -> Option<usize> {
        match self {
            Self::Fetch(worker, _)
            | Self::Take(worker)
            | Self::Execute(worker, ..)
            | Self::Settle(worker, ..)
            | Self::Heartbeat(worker, _)
            | Self::Reconcile(worker, _)
            | Self::Compare(worker)
            | Self::HandBack(worker, _)
            | Self::Register(worker, _)
            | Self::Look(worker, _)
            | Self::Condemn(worker, _)
            | Self::HeldBy(worker)
            | Self::Drain(worker, _)
            | Self::FinishDrain(worker, _) => Some(worker),
            _ => None,
        }
    }
}

fn reclaimer_actions(at: usize, worker: &Worker, state: &State, actions: &mut Vec<Action>) {
    match worker.reclaim {
        Reclaim::No => {
            let known = 0..state.incarnations;
            let prey = |incarnation: &u8| {
                let incarnation = &state.store.incarnations[usize::from(*incarnation)];
                incarnation.lost || incarnation.lease == LeaseTime::Ended
            };
            actions.extend(known.filter(prey).map(|incarnation| Action::Look(at, incarnation)));
        }
        Reclaim::Looked(_) => actions.push(Action::Condemn(at, Way::Answered)),
        Reclaim::Found(_) => actions.push(Action::HeldBy(at)),
        Reclaim::Listed(_, leases) if leases == [None; JOBS] => actions.push(Action::FinishDrain(at, Way::Answered)),
        Reclaim::Listed(..) => actions.push(Action::Drain(at, Way::Answered)),
    }
}

impl State {
    /// Whether a worker that lives uses this incarnation.
    pub(crate) fn has_owner(&self, incarnation: u8) -> bool {
        self.workers.iter().flatten().any(|worker| worker.session.incarnation == incarnation)
    }

    fn has_ready(&self) -> bool {
        self.store.jobs.iter().any(|job| job.ready > 0)
    }

    fn lease(&self, incarnation: u8) -> LeaseTime {
        self.store.incarnations[usize::from(incarnation)].lease
    }

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
    pub(crate) fn settle_pending(&mut self) {
        let store = &self.store;
        let known = |incarnation: u8| &store.incarnations[usize::from(incarnation)];
        let is_current = |session: Session| known(session.incarnation).generation == Some(session.generation);
        let mut event = None;
        self.pending.retain(|command| match *command {
            Command::Enqueue { lane, number, .. } => number > store.lanes[usize::from(lane)],
            Command::Fetch(session) => {
                let kept = is_current(session);
                event = event.or((!kept).then_some(Event::LateFetch));
                kept
            }
            Command::Settle { holder: Holder::Session(session), leases, .. } => {
                let kept = is_current(session)
                    && leases
                        .into_iter()
                        .zip(known(session.incarnation).running)
                        .any(|(lease, held)| lease.is_some() && lease == held);
                event = event.or((!kept).then_some(Event::LateSettle));
                kept
            }
            Command::Settle { holder: Holder::Condemned(incarnation), leases, .. } => {
                known(incarnation).lost
                    && leases
                        .into_iter()
                        .zip(known(incarnation).running)
                        .any(|(lease, held)| lease.is_some() && lease == held)
            }
            Command::Reconcile(incarnation) | Command::Heartbeat(incarnation) => {
                known(incarnation).generation.is_some()
            }
            Command::Condemn(incarnation) => {
                known(incarnation).generation.is_some() || known(incarnation).lease != LeaseTime::None
            }
            Command::FinishDrain(incarnation) => known(incarnation).generation.is_some() || known(incarnation).lost,
            Command::Register(_) => true,
        });
        self.event = self.event.or(event);
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
    /// What processes do and time brings while nothing fails.
    pub(crate) fn calm_actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.producer.job < self.bounds.jobs {
            actions.push(Action::Enqueue(Way::Answered));
        }
        for (at, worker) in state.workers.iter().enumerate() {
            let Some(worker) = worker else { continue };
            self.session_actions(at, worker, state, actions);
            self.job_actions(at, worker, state, actions);
            reclaimer_actions(at, worker, state, actions);
        }
        for incarnation in 0..state.incarnations {
            if !state.has_owner(incarnation) && state.lease(incarnation) == LeaseTime::Holds {
                actions.push(Action::LeaseEnds(incarnation));
            }
        }
    }

    fn session_actions(&self, at: usize, worker: &Worker, state: &State, actions: &mut Vec<Action>) {
        if worker.answer.is_some() {
            actions.push(Action::Take(at));
        }
        match worker.mend {
            Mend::No if Self::is_beat_news(worker, state) => actions.push(Action::Heartbeat(at, Way::Answered)),
            Mend::No => {}
            Mend::Due => actions.push(Action::Reconcile(at, Way::Answered)),
            Mend::Compare { .. } => actions.push(Action::Compare(at)),
            Mend::HandBack(_) => actions.push(Action::HandBack(at, Way::Answered)),
            Mend::StartOver if usize::from(state.incarnations) < INCARNATIONS => {
                actions.push(Action::Register(at, Way::Answered));
            }
            Mend::StartOver => {}
        }
    }

    /// Whether a beat would tell this worker something: it is not registered, or holds what it does not know and does not expect. A job that is
    /// on its way to the fetcher is not counted: only one that stays unknown for a while is.
    fn is_beat_news(worker: &Worker, state: &State) -> bool {
        let known = &state.store.incarnations[usize::from(worker.session.incarnation)];
        let unknown = worker.unknown(known.running) != [None; JOBS];
        worker.mend == Mend::No && worker.answer.is_none() && (known.generation.is_none() || unknown)
    }

    fn job_actions(&self, at: usize, worker: &Worker, state: &State, actions: &mut Vec<Action>) {
        if worker.mend == Mend::StartOver {
            return;
        }
        for job in 0..JOBS {
            if worker.ends[job].is_some() {
                actions.push(Action::Settle(at, job, Way::Answered));
            } else if worker.runs(job).is_some() {
                actions.push(Action::Execute(at, job, Ending::Succeeded));
            }
        }
        if state.has_ready() && worker.answer.is_none() && worker.running() < self.bounds.slots {
            actions.push(Action::Fetch(at, Way::Answered));
        }
    }

    /// What goes wrong, beside calls, and what need not happen.
    pub(crate) fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend((0..state.pending.len()).map(Action::CarryOut));
        if state.producer.in_doubt && usize::from(state.producer.lane) + 1 < LANES {
            actions.push(Action::GiveUp);
        }
        if self.is(Mutant::NumberFirst) && state.producer.job < self.bounds.jobs {
            actions.push(Action::HalfEnqueue);
        }
        for (at, worker) in state.workers.iter().enumerate() {
            let Some(worker) = worker else { continue };
            self.faults_of_worker(at, worker, state, actions);
        }
        if state.failovers > 0 {
            actions.push(if state.replica.is_some() { Action::Failover } else { Action::Replicate });
        }
    }

    fn faults_of_worker(&self, at: usize, worker: &Worker, state: &State, actions: &mut Vec<Action>) {
        // A beat that changes nothing is left out.
        let incarnation = &state.store.incarnations[usize::from(worker.session.incarnation)];
        if worker.mend != Mend::StartOver && (incarnation.generation.is_none() || incarnation.lease != LeaseTime::Holds)
        {
            actions.push(Action::Heartbeat(at, Way::Answered));
            if state.cuts > 0 {
                actions.push(Action::Heartbeat(at, Way::LeftPending));
            }
        }
        if state.failures > 0 {
            let running = (0..JOBS).filter(|job| worker.ends[*job].is_none() && worker.runs(*job).is_some());
            actions.extend(running.map(|job| Action::Execute(at, job, Ending::Failed)));
        }
        if state.pauses > 0 && incarnation.lease == LeaseTime::Holds {
            actions.push(Action::LeaseEnds(worker.session.incarnation));
        }
        // One worker is left, for there must be somebody to go on.
        if state.deaths > 0 && state.workers.iter().all(Option::is_some) {
            actions.push(Action::Die(at));
        }
    }

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
                self.carry_out(state, command);
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
            Command::Enqueue { lane, number, job } => store.enqueue(lane, number, usize::from(job)),
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

    /// A command that was left pending comes to the store.
    fn carry_out(&self, state: &mut State, command: Command) {
        let is_old = |session: Session| {
            let known = state.store.incarnations[usize::from(session.incarnation)].generation;
            known.is_some_and(|generation| generation > session.generation)
        };
        state.event = match command {
            Command::Fetch(session) if is_old(session) && state.has_ready() => Some(Event::LateFetch),
            Command::Settle { holder: Holder::Session(session), .. } if is_old(session) => Some(Event::LateSettle),
            _ => None,
        };
        self.execute(state, command);
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
