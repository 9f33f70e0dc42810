//! What may happen in a state.

use crate::store::{Ending, INCARNATIONS, JOBS, LANES, LeaseTime};
use crate::worker::{Mend, Reclaim, Way, Worker};
use crate::{Action, Mutant, Protocol, State};

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

    pub(crate) fn way(self) -> Option<Way> {
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

    pub(crate) fn worker(self) -> Option<usize> {
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

impl State {
    /// Whether a worker that lives uses this incarnation.
    pub(crate) fn has_owner(&self, incarnation: u8) -> bool {
        self.workers.iter().flatten().any(|worker| worker.session.incarnation == incarnation)
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.store.jobs.iter().any(|job| job.ready > 0)
    }

    fn lease(&self, incarnation: u8) -> LeaseTime {
        self.store.incarnations[usize::from(incarnation)].lease
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
