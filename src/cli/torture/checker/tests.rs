//! Each rule is fed a history in which it is broken, and must object; and one in which everything is as it should be.

use super::*;
use crate::cli::torture::events::{Event, Line};
use crate::cli::torture::evidence::Fault;

const MS: u64 = 1_000_000;

/// A history in the making: each line comes a millisecond after the one before.
#[derive(Default)]
struct Scene {
    evidence: Evidence,
    now: u64,
}

impl Scene {
    /// One job that was accepted, ran once and succeeded.
    fn sound() -> Self {
        let mut scene = Self::default();
        scene.accept("a", Act::Succeed);
        scene.run("a", "w1", 1, 10, Some(true));
        scene.end("a", State::Succeeded, (1, 0, 0), Some(10));
        scene
    }

    fn tick(&mut self) -> u64 {
        self.now += MS;
        self.now
    }

    fn ask(&mut self, job: &str, act: Act, delay: u64, unique: Option<&str>) {
        let event = Event::Asked { queue: "red".into(), delay, expires: false, unique: unique.map(str::to_owned), act };
        self.history(job, event);
    }

    fn accept(&mut self, job: &str, act: Act) {
        self.ask(job, act, 0, None);
        self.history(job, Event::Accepted);
    }

    fn history(&mut self, job: &str, event: Event) {
        let line = Line { at: self.tick(), by: "p1".into(), job: job.into(), event };
        self.evidence.history.push(line);
    }

    fn ledger(&mut self, job: &str, worker: &str, event: Event) {
        let line = Line { at: self.tick(), by: worker.into(), job: job.into(), event };
        self.evidence.ledger.push(line);
    }

    /// A run, and its answer if it came to one.
    fn run(&mut self, job: &str, worker: &str, attempt: u32, fence: u64, success: Option<bool>) {
        self.ledger(job, worker, Event::Began { attempt, fence });
        match success {
            Some(true) => self.ledger(job, worker, Event::Ended { attempt, fence }),
            Some(false) => self.ledger(job, worker, Event::Failed { attempt, fence }),
            None => {}
        }
    }

    fn end(&mut self, job: &str, state: State, (attempt, failures, losses): (u32, u32, u32), fence: Option<u64>) {
        let end = End::Over { state, attempt, failures, losses, fence };
        self.evidence.ends.insert(job.into(), end);
    }

    fn fault(&mut self, kind: &'static str, worker: &str) {
        let (at, target) = (self.tick(), Some(worker.to_owned()));
        self.evidence.faults.push(Fault { kind, from: at, healed: at, until: at, target, hands_back: kind == "term" });
    }

    /// The rules that were broken.
    fn broken(&self) -> Vec<Rule> {
        let mut rules: Vec<_> = check(&self.evidence).into_iter().map(|violation| violation.rule).collect();
        rules.sort();
        rules.dedup();
        rules
    }
}

#[test]
fn a_sound_history_breaks_nothing() {
    let mut scene = Scene::sound();
    // Refused; never answered; failed and tried again; lost and run again; handed back; dead as it must be; revoked in time.
    scene.ask("refused", Act::Succeed, 0, None);
    scene.history("refused", Event::Refused);
    scene.ask("silent", Act::Succeed, 0, None);
    scene.evidence.ends.insert("silent".into(), End::Absent);
    scene.accept("fails", Act::FailUntil(1));
    scene.run("fails", "w1", 1, 11, Some(false));
    scene.run("fails", "w1", 2, 12, Some(true));
    scene.end("fails", State::Succeeded, (2, 1, 0), Some(12));
    scene.accept("lost", Act::Succeed);
    scene.run("lost", "w1", 1, 13, None);
    scene.fault("kill", "w1");
    scene.run("lost", "w2", 2, 14, Some(true));
    scene.end("lost", State::Succeeded, (2, 0, 1), Some(14));
    scene.accept("back", Act::Succeed);
    scene.run("back", "w2", 1, 15, None);
    scene.fault("term", "w2");
    scene.run("back", "w3", 1, 16, Some(true));
    scene.end("back", State::Succeeded, (1, 0, 0), Some(16));
    scene.accept("doomed", Act::Fail);
    scene.run("doomed", "w3", 1, 17, Some(false));
    scene.end("doomed", State::Dead, (1, 1, 0), None);
    scene.accept("revoked", Act::Succeed);
    scene.history("revoked", Event::Revoking);
    scene.history("revoked", Event::Revoked { answer: Revoked::Ended });
    scene.end("revoked", State::Revoked, (0, 0, 0), None);
    // Its producer was killed before it heard the answer.
    scene.accept("perhaps", Act::Succeed);
    scene.history("perhaps", Event::Revoking);
    scene.end("perhaps", State::Revoked, (0, 0, 0), None);
    assert_eq!(scene.broken(), []);
}

#[test]
fn an_accepted_job_that_is_gone_or_open_is_lost() {
    let mut scene = Scene::sound();
    scene.evidence.ends.insert("a".into(), End::Absent);
    assert_eq!(scene.broken(), [Rule::Lost]);
    scene.evidence.ends.insert("a".into(), End::Open(State::Queued));
    assert_eq!(scene.broken(), [Rule::Lost]);
    // It was never read: then nothing is known to be there.
    scene.evidence.ends.clear();
    assert_eq!(scene.broken(), [Rule::Lost]);
}

#[test]
fn a_job_whose_enqueue_was_not_answered_and_that_ran_is_not_gone() {
    let mut scene = Scene::sound();
    scene.ask("b", Act::Succeed, 0, None);
    scene.run("b", "w1", 1, 20, Some(true));
    scene.evidence.ends.insert("b".into(), End::Absent);
    assert_eq!(scene.broken(), [Rule::Lost]);
}

#[test]
fn a_job_that_nobody_asked_for_is_invented() {
    let mut scene = Scene::sound();
    scene.run("ghost", "w1", 1, 20, Some(true));
    assert_eq!(scene.broken(), [Rule::Invented]);
}

#[test]
fn a_job_that_was_refused_must_not_be_there() {
    let mut scene = Scene::sound();
    scene.ask("b", Act::Succeed, 0, None);
    scene.history("b", Event::Refused);
    scene.end("b", State::Revoked, (0, 0, 0), None);
    assert!(scene.broken().contains(&Rule::Invented));
}

#[test]
fn an_end_that_was_told_must_not_change() {
    let mut scene = Scene::sound();
    scene.history("a", Event::Told { state: State::Succeeded, attempt: 2 });
    assert_eq!(scene.broken(), [Rule::ChangedEnd]);
}

#[test]
fn a_token_belongs_to_one_run() {
    let mut scene = Scene::sound();
    scene.fault("stop", "w1");
    scene.run("a", "w2", 1, 10, Some(true));
    assert!(scene.broken().contains(&Rule::Tokens));
}

#[test]
fn an_older_attempt_has_no_newer_token() {
    let mut scene = Scene::default();
    scene.accept("a", Act::FailUntil(2));
    scene.run("a", "w1", 2, 10, Some(false));
    scene.run("a", "w1", 1, 11, Some(false));
    scene.run("a", "w1", 3, 12, Some(true));
    scene.end("a", State::Succeeded, (3, 2, 0), Some(12));
    assert_eq!(scene.broken(), [Rule::Tokens]);
}

#[test]
fn nothing_runs_under_a_newer_token_than_the_winner() {
    let mut scene = Scene::sound();
    scene.fault("kill", "w1");
    scene.run("a", "w2", 2, 11, Some(true));
    scene.end("a", State::Succeeded, (1, 0, 0), Some(10));
    assert!(scene.broken().contains(&Rule::Tokens));
}

#[test]
fn attempts_are_failures_losses_and_the_success() {
    let mut scene = Scene::sound();
    scene.end("a", State::Succeeded, (3, 0, 0), Some(10));
    assert!(scene.broken().contains(&Rule::Tokens));
}

#[test]
fn a_success_needs_a_run_that_came_to_its_end() {
    let mut scene = Scene::default();
    scene.accept("a", Act::Succeed);
    scene.run("a", "w1", 1, 10, None);
    scene.end("a", State::Succeeded, (1, 0, 0), Some(10));
    assert_eq!(scene.broken(), [Rule::Winner]);
    scene.end("a", State::Succeeded, (1, 0, 0), Some(99));
    assert!(scene.broken().contains(&Rule::Winner));
}

#[test]
fn what_always_fails_cannot_succeed() {
    let mut scene = Scene::default();
    scene.accept("a", Act::Fail);
    scene.run("a", "w1", 1, 10, Some(true));
    scene.end("a", State::Succeeded, (1, 0, 0), Some(10));
    assert_eq!(scene.broken(), [Rule::Winner]);
}

#[test]
fn a_second_run_needs_a_cause() {
    let mut scene = Scene::default();
    scene.accept("a", Act::Succeed);
    scene.run("a", "w1", 1, 10, None);
    // Something happened, but to another worker.
    scene.fault("kill", "w9");
    scene.run("a", "w2", 2, 11, Some(true));
    scene.end("a", State::Succeeded, (2, 0, 1), Some(11));
    assert_eq!(scene.broken(), [Rule::Cause]);
}

#[test]
fn a_finished_run_is_not_repeated_without_a_cause() {
    let mut scene = Scene::default();
    scene.accept("a", Act::Succeed);
    scene.run("a", "w1", 1, 10, Some(true));
    scene.run("a", "w2", 2, 11, Some(true));
    scene.end("a", State::Succeeded, (2, 0, 1), Some(11));
    assert_eq!(scene.broken(), [Rule::Cause]);
}

#[test]
fn only_a_worker_that_was_told_to_end_hands_back_what_it_began() {
    let mut scene = Scene::default();
    scene.accept("a", Act::Succeed);
    scene.run("a", "w1", 1, 10, None);
    scene.fault("kill", "w1");
    scene.run("a", "w2", 1, 11, Some(true));
    scene.end("a", State::Succeeded, (1, 0, 0), Some(11));
    assert_eq!(scene.broken(), [Rule::Cause]);
}

#[test]
fn every_run_is_accounted_for() {
    let mut scene = Scene::default();
    scene.accept("a", Act::Succeed);
    scene.run("a", "w1", 1, 10, None);
    scene.fault("kill", "w1");
    scene.run("a", "w2", 2, 11, Some(true));
    // The loss is not noted.
    scene.end("a", State::Succeeded, (1, 0, 0), Some(11));
    assert!(scene.broken().contains(&Rule::Cause));
}

/// It expires while it waits for another worker; but no run is forgotten for nothing.
#[test]
fn what_was_handed_back_may_expire() {
    let mut scene = Scene::default();
    scene.ask("a", Act::Succeed, 0, None);
    scene.evidence.history.iter_mut().for_each(|line| {
        if let Event::Asked { expires, .. } = &mut line.event {
            *expires = true;
        }
    });
    scene.history("a", Event::Accepted);
    scene.run("a", "w1", 1, 10, Some(false));
    scene.end("a", State::Expired, (0, 0, 0), None);
    assert_eq!(scene.broken(), [Rule::Cause]);
    scene.fault("term", "w1");
    assert_eq!(scene.broken(), []);
}

#[test]
fn a_failure_that_is_noted_was_one() {
    let mut scene = Scene::sound();
    scene.end("a", State::Succeeded, (2, 1, 0), Some(10));
    assert!(scene.broken().contains(&Rule::Cause));
}

#[test]
fn nothing_begins_before_it_is_due() {
    let mut scene = Scene::default();
    scene.ask("a", Act::Succeed, 500, None);
    scene.history("a", Event::Accepted);
    scene.run("a", "w1", 1, 10, Some(true));
    scene.end("a", State::Succeeded, (1, 0, 0), Some(10));
    assert_eq!(scene.broken(), [Rule::Early]);
}

#[test]
fn what_was_revoked_in_time_never_begins() {
    let mut scene = Scene::default();
    scene.accept("a", Act::Succeed);
    scene.history("a", Event::Revoked { answer: Revoked::Ended });
    scene.run("a", "w1", 1, 10, None);
    scene.end("a", State::Revoked, (0, 0, 0), None);
    assert!(scene.broken().contains(&Rule::Revoked));
    scene.end("a", State::Succeeded, (1, 0, 0), Some(10));
    assert!(scene.broken().contains(&Rule::Revoked));
}

/// What happened to its worker before is no excuse; that it was stopped when it was revoked is.
#[test]
fn an_older_fault_excuses_no_run_after_a_revocation() {
    for (early, expected) in [(true, vec![Rule::Revoked]), (false, vec![])] {
        let mut scene = Scene::default();
        scene.accept("a", Act::Succeed);
        if early {
            scene.fault("stop", "w1");
        }
        scene.history("a", Event::Revoking);
        scene.history("a", Event::Revoked { answer: Revoked::Ended });
        if !early {
            scene.fault("stop", "w1");
        }
        scene.run("a", "w1", 1, 10, None);
        scene.end("a", State::Revoked, (0, 0, 0), None);
        assert_eq!(scene.broken(), expected);
    }
}

#[test]
fn an_innocent_does_not_die_expire_or_get_revoked() {
    for state in [State::Dead, State::Expired, State::Revoked] {
        let mut scene = Scene::default();
        scene.accept("a", Act::Succeed);
        scene.end("a", state, (0, 0, 0), None);
        assert_eq!(scene.broken(), [Rule::Innocent], "{state:?}");
    }
    let mut scene = Scene::default();
    scene.accept("a", Act::Succeed);
    scene.end("a", State::Dead, (3, 0, 3), None);
    assert_eq!(scene.broken(), [], "lost three times");
}

#[test]
fn a_unique_key_belongs_to_one_unfinished_job() {
    let mut scene = Scene::default();
    scene.ask("a", Act::Succeed, 0, Some("key"));
    scene.history("a", Event::Accepted);
    scene.ask("b", Act::Succeed, 0, Some("key"));
    scene.history("b", Event::Accepted);
    for (job, fence) in [("a", 10), ("b", 11)] {
        scene.run(job, "w1", 1, fence, Some(true));
        scene.end(job, State::Succeeded, (1, 0, 0), Some(fence));
    }
    assert_eq!(scene.broken(), [Rule::Unique]);
}

#[test]
fn leftovers_silence_and_stragglers_are_passed_on() {
    let mut scene = Scene::sound();
    scene.evidence.leftovers.push("the key jobs is there".into());
    scene.evidence.silent.push("queue red".into());
    scene.evidence.stragglers.push("worker-1".into());
    assert_eq!(scene.broken(), [Rule::Leftover, Rule::Silent, Rule::Straggler]);
}
