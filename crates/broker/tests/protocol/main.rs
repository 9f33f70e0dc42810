//! The protocol that delivers jobs, as a model that is explored exhaustively.
//!
//! Two workers, a producer and a store. Each transition stands for a script of the store ([`store`]) or for a step of a process
//! ([`worker`]), and has its name. Any call may be swallowed after it was carried out or be left pending on a dead connection and be carried
//! out later; a worker may die at any point, and is paused whenever it is not its turn; a lease may end; the store may go back to what
//! it was. How much of it happens in one run is bounded by [`Bounds`].
//!
//! Each rule of the protocol is there because something breaks without it: a [`Mutant`] leaves one out, and a test shows what breaks.
#![expect(clippy::print_stdout, reason = "the number of states is what a reader wants to see")]

mod checks;
mod steps;
mod store;
mod worker;

use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use crate::checks::Known;
use crate::store::{INCARNATIONS, Store};
use crate::worker::{Command, Producer, Way, Worker};

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutant {
    /// Every hand-out has the same token.
    NoFence,
    /// Tokens are counted, and a restore takes the counter back.
    PlainCounter,
    /// The generation of a session is not looked at.
    NoGenerations,
    /// A settlement is applied whoever holds the job.
    SettleWithoutOwner,
    /// A settlement is applied whatever the token under which its sender holds the job.
    SettleWithoutToken,
    /// The number of a batch is written in a commit of its own, before the jobs.
    NumberFirst,
    /// A number in doubt is used again for other content.
    NumberUsedAgain,
    /// Condemning does not look at the lease again.
    CondemnUnchecked,
    /// Condemning does not note the incarnation as lost.
    CondemnWithoutNote,
    /// Condemning leaves the registration.
    RegistrationSurvives,
    /// Generations are counted, and a restore takes the counter back.
    PlainGenerations,
    /// A reconcile hands back all that is listed.
    HandBackRunning,
    /// Answers of older sessions count.
    OldAnswersCount,
}

/// How much of everything happens at most.
#[derive(Debug, Clone, Copy, Default)]
struct Bounds {
    jobs: u8,
    /// Jobs that a worker runs at once.
    slots: usize,
    /// Calls whose answer or connection is lost.
    cuts: u8,
    /// Leases that end although their worker lives. Others end whenever it may be.
    pauses: u8,
    deaths: u8,
    failovers: u8,
    /// Handlers that fail.
    failures: u8,
}

/// Something rare that the last step was. The model must come to it, or it proves nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Event {
    LateFetch,
    LateSettle,
    /// A reclaimer died between condemn and the end of the drain.
    ReclaimerDied,
    /// A counter would have given a token again that a lost hand-out has.
    TokenGoneBack,
    /// A counter would have given a generation again that a lost session has.
    GenerationGoneBack,
    Gap,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    store: Store,
    /// What a failover leads back to.
    replica: Option<Box<Store>>,
    producer: Producer,
    /// `None` is dead.
    workers: [Option<Worker>; 2],
    pending: Vec<Command>,
    /// The largest token, and for each incarnation the largest generation, that any history of the store gave.
    newest_token: u8,
    newest_generations: [u8; INCARNATIONS],
    incarnations: u8,
    cuts: u8,
    pauses: u8,
    deaths: u8,
    failovers: u8,
    failures: u8,
    event: Option<Event>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Enqueue(Way),
    /// Only [`Mutant::NumberFirst`] can be cut off there.
    HalfEnqueue,
    /// The deadline of a batch in doubt passes.
    GiveUp,
    Fetch(usize, Way),
    Take(usize),
    Execute(usize, usize, store::Ending),
    Settle(usize, usize, Way),
    Heartbeat(usize, Way),
    Reconcile(usize, Way),
    Compare(usize),
    HandBack(usize, Way),
    Register(usize, Way),
    Look(usize, u8),
    Condemn(usize, Way),
    HeldBy(usize),
    Drain(usize, Way),
    FinishDrain(usize, Way),
    /// A command that was left pending is carried out.
    CarryOut(usize),
    LeaseEnds(u8),
    Die(usize),
    Replicate,
    Failover,
}

struct Protocol {
    bounds: Bounds,
    mutant: Option<Mutant>,
    /// What it must come to.
    events: &'static [Event],
    known: Known,
}

impl Protocol {
    fn new(bounds: Bounds, events: &'static [Event]) -> Self {
        Self { bounds, mutant: None, events, known: Known::default() }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let Bounds { cuts, pauses, deaths, failovers, failures, .. } = self.bounds;
        vec![State {
            store: Store::new(2),
            replica: None,
            producer: Producer::NEW,
            workers: [Some(Worker::new(0)), Some(Worker::new(1))],
            pending: Vec::new(),
            newest_token: 0,
            newest_generations: [1; INCARNATIONS],
            incarnations: 2,
            cuts,
            pauses,
            deaths,
            failovers,
            failures,
            event: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let faultless = actions.len();
        self.calm_actions(state, actions);
        if state.cuts > 0 {
            for at in faultless..actions.len() {
                let cut = |way| actions[at].going(way);
                let (swallowed, pending) = (cut(Way::Swallowed), cut(Way::LeftPending));
                actions.extend(swallowed.into_iter().chain(pending));
            }
        }
        self.faults(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.event = None;
        self.step(&mut next, action);
        if self.mutant.is_none() {
            next.settle_pending();
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        checks::rules().into_iter().chain(self.events.iter().map(|event| checks::comes_to(*event))).collect()
    }
}

/// Explores everything within the bounds: each rule holds in each state, and each of the events comes.
fn explore(bounds: Bounds, events: &'static [Event]) {
    let checker = Protocol::new(bounds, events).checker().spawn_bfs().join();
    println!("{bounds:?}: {} states, {} transitions", checker.unique_state_count(), checker.state_count());
    for (property, path) in checker.discoveries() {
        let broken = checker.model().property(property).expectation == Expectation::Always;
        assert!(!broken, "{property}: not after {:?}", path.into_actions());
    }
    for event in events {
        let property = checks::comes_to(*event).name;
        assert!(checker.discovery(property).is_some(), "not seen: {property}");
    }
}

const CALM: Bounds = Bounds { jobs: 1, slots: 1, cuts: 0, pauses: 0, deaths: 0, failovers: 0, failures: 0 };

#[test]
fn lost_and_late_commands_do_no_harm() {
    explore(Bounds { jobs: 2, slots: 2, cuts: 2, ..CALM }, &[Event::LateFetch, Event::LateSettle]);
    explore(Bounds { jobs: 2, slots: 2, cuts: 1, failures: 1, ..CALM }, &[Event::LateFetch, Event::LateSettle]);
}

#[test]
fn jobs_of_lost_workers_run_again() {
    let events = &[Event::LateFetch, Event::LateSettle, Event::ReclaimerDied];
    explore(Bounds { cuts: 1, pauses: 1, deaths: 1, ..CALM }, events);
    explore(Bounds { jobs: 2, pauses: 1, deaths: 1, ..CALM }, &[Event::ReclaimerDied]);
    explore(Bounds { pauses: 2, deaths: 1, ..CALM }, &[Event::ReclaimerDied]);
}

#[test]
fn a_store_that_goes_back_loses_no_more_than_that() {
    explore(Bounds { cuts: 1, failovers: 1, ..CALM }, &[Event::TokenGoneBack, Event::GenerationGoneBack]);
    explore(Bounds { jobs: 2, slots: 2, failovers: 1, ..CALM }, &[Event::TokenGoneBack, Event::Gap]);
}

#[test]
#[ignore = "it takes minutes, with --release"]
fn all_at_once() {
    explore(Bounds { cuts: 1, pauses: 2, deaths: 1, ..CALM }, &[Event::ReclaimerDied]);
    explore(Bounds { jobs: 2, cuts: 1, pauses: 1, ..CALM }, &[Event::LateFetch, Event::LateSettle]);
    explore(Bounds { pauses: 1, failovers: 1, ..CALM }, &[Event::TokenGoneBack]);
    explore(Bounds { jobs: 2, cuts: 1, failovers: 1, ..CALM }, &[Event::Gap]);
}

#[test]
fn every_rule_is_needed() {
    let cut = Bounds { cuts: 1, ..CALM };
    let failed = Bounds { failures: 1, ..cut };
    let paused = Bounds { pauses: 1, ..cut };
    let restored = Bounds { failovers: 1, ..cut };
    for (mutant, bounds, broken) in [
        (Mutant::NoFence, failed, checks::STALE),
        (Mutant::PlainCounter, restored, checks::TOKENS),
        (Mutant::NoGenerations, cut, checks::NOT_FORGOTTEN),
        (Mutant::PlainGenerations, restored, checks::ONE_HOLDER),
        (Mutant::SettleWithoutOwner, paused, checks::STALE),
        (Mutant::SettleWithoutToken, failed, checks::STALE),
        (Mutant::NumberFirst, cut, checks::NOT_LOST),
        (Mutant::NumberUsedAgain, Bounds { jobs: 2, ..cut }, checks::NOT_LOST),
        (Mutant::CondemnUnchecked, paused, checks::INNOCENT),
        (Mutant::CondemnWithoutNote, paused, checks::CAN_END),
        (Mutant::RegistrationSurvives, paused, checks::ONE_HOLDER),
        (Mutant::HandBackRunning, cut, checks::ONE_HOLDER),
        (Mutant::OldAnswersCount, cut, checks::ONE_HOLDER),
    ] {
        let model = Protocol { mutant: Some(mutant), ..Protocol::new(bounds, &[]) };
        let first = HasDiscoveries::AnyOf([broken].into());
        let checker = model.checker().finish_when(first).spawn_bfs().join();
        let Some(path) = checker.discovery(broken) else { panic!("{mutant:?} breaks nothing") };
        println!("{mutant:?} breaks: {broken}, after {:?}", path.into_actions());
    }
}
