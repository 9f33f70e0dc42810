//! The protocol that delivers jobs, as a model that is explored exhaustively.
//!
//! Two workers, a producer and a store. [`store`] says what each script does, [`worker`] what each process knows, [`actions`] what may
//! happen and [`steps`] what it does; names are those of the code. Any call may be *swallowed* after it was carried out, or be *left pending* on
//! a dead connection and be carried out much later. A worker may die at any point, and one that takes no step is paused. A lease may end at any
//! time, as after a long pause. The store may go back to what it was, as after a failover or a restore. [`Bounds`] says how much of this
//! happens in one run; within them every order of everything is looked at.
//!
//! Each rule of the protocol is there because something breaks without it: a [`Mutant`] leaves one out, and a test shows what breaks.
//!
//! An exchange is a settle and a fetch with nothing in between, which is one of the orders in which both happen here. That nobody is
//! condemned for a while after a connect is left out: it spares workers, and nothing else hangs on it.
#![expect(clippy::print_stdout, reason = "the number of states is what a reader wants to see")]

mod actions;
mod checks;
mod steps;
mod store;
mod worker;

use std::collections::BTreeSet;

use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use crate::checks::Known;
use crate::store::{Ending, INCARNATIONS, Store};
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
    /// Generations are counted, and a restore takes the counter back.
    PlainGenerations,
    /// A settlement is applied whoever holds the job.
    SettleWithoutOwner,
    /// A settlement is applied whatever the token under which its sender holds the job.
    SettleWithoutToken,
    /// A batch that has come before is applied again.
    NumberNotCompared,
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
    /// A reconcile hands back all that is listed.
    HandBackRunning,
    /// A hand-back that is refused for its generation is taken for a lost registration.
    RefusalStartsOver,
    /// Answers of older sessions count.
    OldAnswersCount,
}

/// How much of everything happens at most.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    jobs: u8,
    /// Jobs that a worker runs at once.
    slots: usize,
    /// Calls whose answer or connection is lost.
    cuts: u8,
    /// Leases that end although their worker lives. Those of the dead always end.
    pauses: u8,
    deaths: u8,
    /// Times that the store goes back to what it was at some moment before.
    failovers: u8,
    /// Handlers that fail.
    failures: u8,
}

/// Something rare that the last step was. The model must come to it, or it proves nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Event {
    /// A fetch came on a connection that has a successor, and there was something to take.
    LateFetch,
    /// A settle came on a connection that has a successor.
    LateSettle,
    /// A reclaimer died between condemn and the end of the drain.
    ReclaimerDied,
    /// A counter would have given a token again that a lost hand-out has.
    TokenGoneBack,
    /// A counter would have given a generation again that a lost session has.
    GenerationGoneBack,
    /// The store did not know what a producer had sent before.
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
    /// Commands on dead connections, in an order of their own: which comes first is open anyway.
    pending: Vec<Command>,
    /// The largest token, and for each incarnation the largest generation, that any history of the store gave.
    newest_token: u8,
    newest_generations: [u8; INCARNATIONS],
    /// Incarnations that were ever made.
    incarnations: u8,
    // How much of the bounds is left.
    cuts: u8,
    pauses: u8,
    deaths: u8,
    failovers: u8,
    failures: u8,
    event: Option<Event>,
}

/// What can happen. Workers and jobs are named by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// client/lane.rs sends its batch, or sends it again; enqueue.lua.
    Enqueue(Way),
    /// The same, cut off between two commits. Only [`Mutant::NumberFirst`] has two.
    HalfEnqueue,
    /// client/flight.rs: the deadline of a batch in doubt passes, and its lane is left.
    GiveUp,
    /// worker/fetcher.rs asks; fetch.lua.
    Fetch(usize, Way),
    /// worker/fetcher.rs looks at the answer.
    Take(usize),
    /// worker/executor.rs: the handler ends, and leaves its end in worker/ends.rs.
    Execute(usize, usize, Ending),
    /// worker/settler.rs sends an end, or sends it again; settle.lua.
    Settle(usize, usize, Way),
    /// worker/heartbeat.rs; heartbeat.lua.
    Heartbeat(usize, Way),
    /// worker/session.rs asks for a new generation; reconcile.lua.
    Reconcile(usize, Way),
    /// worker/session.rs compares what the store lists with what runs.
    Compare(usize),
    /// worker/session.rs settles what it does not know; settle.lua.
    HandBack(usize, Way),
    /// worker/session.rs starts over; register.lua.
    Register(usize, Way),
    /// worker/reclaimer.rs finds an ended lease or somebody to drain; expired.lua.
    Look(usize, u8),
    /// worker/reclaimer.rs; condemn.lua.
    Condemn(usize, Way),
    /// worker/reclaimer.rs asks what the condemned one holds; held.lua.
    HeldBy(usize),
    /// worker/reclaimer.rs settles that as lost; settle.lua.
    Drain(usize, Way),
    /// worker/reclaimer.rs; finish_drain.lua.
    FinishDrain(usize, Way),
    /// The store carries out a command that was left pending.
    CarryOut(usize),
    /// Time passes, for this incarnation.
    LeaseEnds(u8),
    Die(usize),
    /// What a failover will lead back to.
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
            next.carry_out_voids();
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

/// What is left out, within which bounds, and the rules that break.
fn mutants() -> Vec<(Mutant, Bounds, &'static [&'static str])> {
    let cut = Bounds { cuts: 1, ..CALM };
    let failed = Bounds { failures: 1, ..cut };
    let paused = Bounds { pauses: 1, ..cut };
    let restored = Bounds { failovers: 1, ..cut };
    vec![
        (Mutant::NoFence, failed, &[checks::STALE, checks::TOKENS]),
        (Mutant::PlainCounter, restored, &[checks::TOKENS]),
        (Mutant::NoGenerations, cut, &[checks::NOT_FORGOTTEN]),
        (Mutant::PlainGenerations, restored, &[checks::ONE_HOLDER]),
        (Mutant::SettleWithoutOwner, paused, &[checks::STALE, checks::ONE_PLACE]),
        (Mutant::SettleWithoutToken, failed, &[checks::STALE, checks::ATTEMPTS]),
        (Mutant::NumberNotCompared, cut, &[checks::APPLIED_ONCE, checks::ONE_END]),
        (Mutant::NumberFirst, cut, &[checks::NOT_LOST]),
        (Mutant::NumberUsedAgain, Bounds { jobs: 2, ..cut }, &[checks::NOT_LOST]),
        (Mutant::CondemnUnchecked, paused, &[checks::INNOCENT]),
        (Mutant::CondemnWithoutNote, paused, &[checks::CAN_END]),
        (Mutant::RegistrationSurvives, paused, &[checks::ONE_HOLDER]),
        (Mutant::HandBackRunning, cut, &[checks::ONE_HOLDER]),
        (Mutant::RefusalStartsOver, Bounds { cuts: 2, ..CALM }, &[checks::LOST_WITH_WORKER]),
        (Mutant::OldAnswersCount, cut, &[checks::ONE_HOLDER]),
    ]
}

#[test]
fn every_rule_is_needed() {
    let mut never_broken: BTreeSet<_> = checks::rules().into_iter().map(|rule| rule.name).collect();
    for (mutant, bounds, breaks) in mutants() {
        let model = Protocol { mutant: Some(mutant), ..Protocol::new(bounds, &[]) };
        let found = HasDiscoveries::AllOf(breaks.iter().copied().collect());
        let checker = model.checker().finish_when(found).spawn_bfs().join();
        for rule in breaks {
            let Some(path) = checker.discovery(rule) else { panic!("{mutant:?} does not break: {rule}") };
            println!("{mutant:?} breaks: {rule}, after {:?}", path.into_actions());
            never_broken.remove(rule);
        }
    }
    assert!(never_broken.is_empty(), "nothing shows that these can break: {never_broken:?}");
}
