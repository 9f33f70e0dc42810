//! What must hold in every state, and what must come up.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use stateright::{Model, Property};

use crate::store::{JOBS, Leases, Session};
use crate::worker::{Mend, Worker};
use crate::{Event, Protocol, State};

pub(crate) const ONE_PLACE: &str = "a job is in exactly one place";
pub(crate) const NOT_LOST: &str = "an accepted job is not lost";
pub(crate) const ONE_END: &str = "a job ends once";
pub(crate) const APPLIED_ONCE: &str = "a batch is applied once";
pub(crate) const ATTEMPTS: &str = "attempts are counted without a gap";
pub(crate) const ONE_HOLDER: &str = "who runs a job holds it";
pub(crate) const NOT_FORGOTTEN: &str = "what a worker holds it knows";
pub(crate) const STALE: &str = "a stale holder settles nothing";
pub(crate) const INNOCENT: &str = "no innocent is condemned";
pub(crate) const LOST_WITH_WORKER: &str = "a job is lost only with its worker";
pub(crate) const TOKENS: &str = "tokens grow";
pub(crate) const CAN_END: &str = "everything can end";

/// Steps without faults after which everything must have ended.
const PATIENCE: usize = 200;

/// States from which everything can end, by a number that a state has for itself.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashSet<u64>>);

/// What holds in every state.
pub(crate) fn rules() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONE_PLACE, |_, state: &State| (0..JOBS).all(|job| state.is_in_one_place(job))),
        Property::always(NOT_LOST, |_, state: &State| {
            let accepted = state.producer.accepted.iter().zip(&state.store.jobs);
            accepted.into_iter().all(|(accepted, job)| !accepted || job.record.is_some() || job.ended > 0)
        }),
        Property::always(ONE_END, |_, state: &State| {
            state.store.jobs.iter().all(|job| job.ended == 0 || (job.ended == 1 && job.record.is_none()))
        }),
        Property::always(APPLIED_ONCE, |_, state: &State| state.store.jobs.iter().all(|job| job.applied <= 1)),
        Property::always(ATTEMPTS, |_, state: &State| {
            state.store.jobs.iter().all(|job| job.record.is_none_or(|(attempt, _)| attempt == job.attempts))
        }),
        Property::always(ONE_HOLDER, |_, state: &State| state.who_runs_holds()),
        Property::always(NOT_FORGOTTEN, |_, state: &State| state.who_holds_knows()),
        Property::always(STALE, |_, state: &State| !state.store.wrongs.stale_settled),
        Property::always(INNOCENT, |_, state: &State| !state.store.wrongs.innocent_condemned),
        Property::always(LOST_WITH_WORKER, |protocol: &Protocol, state: &State| {
            let spared = (state.pauses, state.deaths, state.failovers)
                == (protocol.bounds.pauses, protocol.bounds.deaths, protocol.bounds.failovers);
            !spared || state.store.jobs.iter().all(|job| job.record.is_none_or(|(_, losses)| losses == 0))
        }),
        Property::always(TOKENS, |_, state: &State| !state.store.wrongs.token_repeated),
        Property::always(CAN_END, |protocol: &Protocol, state: &State| protocol.can_end(state)),
    ]
}

/// That the model comes to an event.
pub(crate) fn comes_to(event: Event) -> Property<Protocol> {
    let sometimes = Property::<Protocol>::sometimes;
    match event {
        Event::LateFetch => {
            sometimes("a fetch comes late, on an old connection", |_, state| state.event == Some(Event::LateFetch))
        }
        Event::LateSettle => {
            sometimes("a settle comes late, on an old connection", |_, state| state.event == Some(Event::LateSettle))
        }
        Event::ReclaimerDied => sometimes("a reclaimer dies between condemn and drain", |_, state| {
            state.event == Some(Event::ReclaimerDied)
        }),
        Event::TokenGoneBack => {
            sometimes("a counter would give a token again", |_, state| state.event == Some(Event::TokenGoneBack))
        }
        Event::GenerationGoneBack => sometimes("a counter would give a generation again", |_, state| {
            state.event == Some(Event::GenerationGoneBack)
        }),
        Event::Gap => sometimes("a producer meets a gap", |_, state| state.event == Some(Event::Gap)),
    }
}

impl State {
    fn is_in_one_place(&self, at: usize) -> bool {
        let job = &self.store.jobs[at];
        let holders = self.store.incarnations.iter().filter(|worker| worker.running[at].is_some()).count();
        usize::from(job.ready) + holders == usize::from(job.record.is_some())
    }

    /// The incarnations of workers whose session works: it is the newest, and nothing tells them otherwise. Others find out with their next
    /// call, and stop what they run.
    fn in_step(&self) -> impl Iterator<Item = (&Worker, Leases)> {
        self.workers.iter().flatten().filter_map(|worker| {
            let Session { incarnation, generation } = worker.session;
            let known = &self.store.incarnations[usize::from(incarnation)];
            (worker.mend == Mend::No && known.generation == Some(generation)).then_some((worker, known.running))
        })
    }

    fn who_runs_holds(&self) -> bool {
        self.in_step()
            .all(|(worker, holds)| (0..JOBS).all(|job| worker.runs(job).is_none_or(|lease| holds[job] == Some(lease))))
    }

    fn who_holds_knows(&self) -> bool {
        let mut waiting_for_nothing = self.in_step().filter(|(worker, _)| worker.answer.is_none());
        waiting_for_nothing.all(|(worker, holds)| worker.unknown(holds) == [None; JOBS])
    }
}

impl Protocol {
    fn has_ended(&self, state: &State) -> bool {
        state.producer.job == self.bounds.jobs && state.store.jobs.iter().all(|job| job.record.is_none())
    }

    /// Whether everything ends if nothing more goes wrong. Always the first thing that changes something is done; which states lead
    /// to the end is remembered, so that this costs about one step a state.
    fn can_end(&self, state: &State) -> bool {
        let (mut at, mut passed) = (state.clone(), Vec::new());
        let mut known = self.known.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.has_ended(&at) {
            let mut hasher = DefaultHasher::new();
            at.hash(&mut hasher);
            let name = hasher.finish();
            if known.contains(&name) {
                break;
            }
            passed.push(name);
            let mut actions = Vec::new();
            self.calm_actions(&at, &mut actions);
            let next = actions.into_iter().find_map(|action| self.next_state(&at, action));
            let Some(next) = next.filter(|_| passed.len() < PATIENCE) else { return false };
            at = next;
        }
        known.extend(passed);
        true
    }
}
