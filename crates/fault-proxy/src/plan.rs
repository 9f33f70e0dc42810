//! A sequence of faults that a seed determines, so that a failure under it can be looked for again.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use fastrand::Rng;

use crate::rule::{Answer, Commands, Fault, Rule, Way};

/// A kind of fault that a plan may consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A command does not reach the server.
    LostCommand,
    /// A command is carried out and its answer does not come back.
    LostAnswer,
    /// A command is cut in its middle.
    CutCommand,
    /// An answer is cut in its middle.
    CutAnswer,
    /// Every connection is cut.
    Cut,
    /// A connection, or every one, ends with a reset.
    Reset,
    /// For a while no connection is accepted.
    Refuse,
    /// For a while everything is late.
    Delay,
    /// For a while everything vanishes, and connections stay open.
    HalfOpen,
    /// For a while everything vanishes that goes one of the two ways.
    OneWay,
    /// For a while everything is held back, one way or both, and then arrives.
    Partition,
    /// For a while the server seems to be a replica, to load, to be full, busy or without its scripts.
    Answer,
    /// For a while messages of subscriptions are lost.
    LostPush,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::LostCommand,
        Self::LostAnswer,
        Self::CutCommand,
        Self::CutAnswer,
        Self::Cut,
        Self::Reset,
        Self::Refuse,
        Self::Delay,
        Self::HalfOpen,
        Self::OneWay,
        Self::Partition,
        Self::Answer,
        Self::LostPush,
    ];
}

/// Which faults happen, in which order, after which pauses. Equal plans have equal steps, in one build of this crate.
///
/// The steps are fixed; which commands they meet depends on what passes when they happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    seed: u64,
    kinds: Vec<Kind>,
    faults: usize,
    pauses: RangeInclusive<Duration>,
    lasting: RangeInclusive<Duration>,
}

impl Plan {
    /// Faults of all kinds without an end, with pauses of 50 to 500 ms; those that last, last 50 ms to 2 s.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let millis = Duration::from_millis;
        let (pauses, lasting) = (millis(50)..=millis(500), millis(50)..=millis(2000));
        Self { seed, kinds: Kind::ALL.to_vec(), faults: usize::MAX, pauses, lasting }
    }

    /// Only these kinds. Without any there are no steps.
    #[must_use]
    pub fn only(mut self, kinds: &[Kind]) -> Self {
        self.kinds = kinds.to_vec();
        self
    }

    /// This many faults.
    #[must_use]
    pub fn faults(mut self, faults: usize) -> Self {
        self.faults = faults;
        self
    }

    /// How long nothing happens before each fault.
    #[must_use]
    pub fn pauses(mut self, pauses: RangeInclusive<Duration>) -> Self {
        self.pauses = pauses;
        self
    }

    /// How long those faults last that last.
    #[must_use]
    pub fn lasting(mut self, lasting: RangeInclusive<Duration>) -> Self {
        self.lasting = lasting;
        self
    }

    /// What happens, step by step.
    pub fn steps(&self) -> impl Iterator<Item = Step> + use<> {
        let mut dice = Dice { rng: Rng::with_seed(self.seed), plan: self.clone() };
        let faults = if self.kinds.is_empty() { 0 } else { self.faults };
        (0..faults).map(move |_| dice.step())
    }
}

/// One fault of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub(crate) pause: Duration,
    pub(crate) deed: Deed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    /// To the next command that is meant, if one comes soon.
    Next(Rule),
    /// To every command that is meant, for this long.
    All(Rule, Duration),
    Cut,
    Reset,
    Refuse(Duration),
    Vanish(Way, Duration),
    Hold(Way, Duration),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {:?}: ", self.pause)?;
        match &self.deed {
            Deed::Next(rule) => write!(f, "{} once", rule.fault),
            Deed::All(rule, time) => write!(f, "{} for {time:?}", rule.fault),
            Deed::Cut => write!(f, "cut every connection"),
            Deed::Reset => write!(f, "reset every connection"),
            Deed::Refuse(time) => write!(f, "refuse connections for {time:?}"),
            Deed::Vanish(way, time) => write!(f, "{} everywhere for {time:?}", Fault::Vanish(*way)),
            Deed::Hold(way, time) => write!(f, "{} everywhere for {time:?}", Fault::Hold(*way)),
        }
    }
}

/// Decides what is left open.
struct Dice {
    rng: Rng,
    plan: Plan,
}

impl Dice {
    fn step(&mut self) -> Step {
        let pause = self.time(&self.plan.pauses.clone());
        let kind = self.plan.kinds[self.rng.usize(..self.plan.kinds.len())];
        Step { pause, deed: self.deed(kind) }
    }

    fn deed(&mut self, kind: Kind) -> Deed {
        let time = self.time(&self.plan.lasting.clone());
        match kind {
            Kind::LostCommand => self.next(Fault::CutCommand { at: 0 }),
            Kind::LostAnswer => self.next(Fault::CutAnswer { at: 0 }),
            Kind::CutCommand => self.cut_at(300, |at| Fault::CutCommand { at }),
            Kind::CutAnswer => self.cut_at(60, |at| Fault::CutAnswer { at }),
            Kind::Cut => Deed::Cut,
            Kind::Reset if self.rng.bool() => self.next(Fault::Reset),
            Kind::Reset => Deed::Reset,
            Kind::Refuse => Deed::Refuse(time),
            Kind::Delay => {
                let (command, answer) = (self.late(time), self.late(time));
                Deed::All(Rule::new(Commands::any(), Fault::Delay { command, answer }).always(), time)
            }
            Kind::HalfOpen => Deed::Vanish(Way::Both, time),
            Kind::OneWay => Deed::Vanish(self.one_of(&[Way::ToServer, Way::ToClient]), time),
            Kind::Partition => Deed::Hold(self.one_of(&[Way::ToServer, Way::ToClient, Way::Both]), time),
            Kind::Answer => Deed::All(self.answer(), time),
            Kind::LostPush => Deed::All(Rule::new(Commands::any(), Fault::LosePush).always(), time),
        }
    }

    /// To any command, or to one that runs a script: those change most, and may be few among many that ask.
    fn next(&mut self, fault: Fault) -> Deed {
        let commands = if self.rng.bool() { Commands::any() } else { Commands::named("EVALSHA") };
        Deed::Next(Rule::new(commands, fault))
    }

    /// Somewhere among the first `most` bytes; more often near the beginning, where short ones are cut too.
    fn cut_at(&mut self, most: usize, fault: impl FnOnce(usize) -> Fault) -> Deed {
        let at = self.rng.usize(1..=most).min(self.rng.usize(1..=most));
        self.next(fault(at))
    }

    fn answer(&mut self) -> Rule {
        let answer = self.one_of(&[
            Answer::ReadOnly,
            Answer::Loading,
            Answer::OutOfMemory,
            Answer::Busy,
            Answer::MasterDown,
            Answer::NoScript,
        ]);
        // Only who names a script by its sum can be told that it is not there.
        let named = if answer == Answer::NoScript { Commands::named("EVALSHA") } else { Commands::any() };
        Rule::new(named, Fault::Answer(answer)).always()
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.rng.usize(..choices.len())].clone()
    }

    /// A part of the time: what is later than the fault lasts is as good as held back.
    fn late(&mut self, time: Duration) -> Duration {
        self.time(&(Duration::ZERO..=time / 2))
    }

    fn time(&mut self, between: &RangeInclusive<Duration>) -> Duration {
        let (least, most) = (between.start().as_micros(), between.end().as_micros());
        let [least, most] = [least, most].map(|micros| u64::try_from(micros).unwrap_or(u64::MAX));
        Duration::from_micros(self.rng.u64(least..=most.max(least)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(plan: &Plan) -> Vec<String> {
        plan.steps().map(|step| step.to_string()).collect()
    }

    #[test]
    fn a_seed_makes_one_plan_and_another_seed_another() {
        let plan = Plan::from_seed(7).faults(200);
        assert_eq!(plan.steps().collect::<Vec<_>>(), plan.clone().steps().collect::<Vec<_>>());
        assert_ne!(steps(&plan), steps(&Plan::from_seed(8).faults(200)));
        assert_eq!(steps(&plan)[..50], steps(&plan.clone().faults(50)), "a longer plan begins like a shorter one");
    }

    #[test]
    fn every_kind_comes_up_and_only_those_that_were_asked_for() {
        let kind = |kind: Kind| steps(&Plan::from_seed(1).only(&[kind]).faults(40));
        for kind_of in Kind::ALL {
            assert_eq!(kind(kind_of).len(), 40, "{kind_of:?}");
        }
        assert!(kind(Kind::Refuse).iter().all(|step| step.contains("refuse connections")));
        assert_eq!(Plan::from_seed(1).only(&[]).steps().count(), 0);
    }

    #[test]
    fn times_stay_within_what_was_asked_for() {
        let millis = Duration::from_millis;
        let plan = Plan::from_seed(3).only(&[Kind::Refuse]).faults(100);
        for step in plan.pauses(millis(5)..=millis(6)).lasting(millis(7)..=millis(7)).steps() {
            assert!((millis(5)..=millis(6)).contains(&step.pause), "{step}");
            assert_eq!(step.deed, Deed::Refuse(millis(7)));
        }
    }
}
