//! Whether what happened keeps the promises: a pure function over the evidence.
//!
//! It trusts the ledger, which handlers wrote, and the instants of one clock; the store it only asks how each job ended. Every
//! rule has a test that feeds it a history in which that rule is broken.

use std::collections::BTreeMap;
use std::fmt;

use celeriac_core::State;

use super::events::Revoked;
use super::evidence::{Asked, End, Evidence, Run, Story};
use super::jobs::Act;

/// Losses after which a job is dead: what `core::decide` says.
const MOST_LOSSES: u32 = 3;

/// How much earlier than due a run may seem to begin, in nanoseconds: the store counts in milliseconds, by a clock that
/// the system may correct a little.
const TOLERANCE: u64 = 20_000_000;

/// A promise, and what the violation of it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Rule {
    /// An accepted job ends.
    Lost,
    /// Nothing is in the store, or runs, that nobody asked for or that was refused.
    Invented,
    /// The end that somebody was told is the end.
    ChangedEnd,
    /// Tokens grow with the attempts, each is given out once, and nothing runs after the winner.
    Tokens,
    /// A success is the success of a run.
    Winner,
    /// A second run, and every loss, has a recorded cause.
    Cause,
    /// Nothing runs before it is due.
    Early,
    /// What was revoked before it began never begins.
    Revoked,
    /// Only what had to fail is dead or expired.
    Innocent,
    /// No two unfinished jobs have one unique key.
    Unique,
    /// Nothing is left in the store that stands for no job.
    Leftover,
    /// Every queue, and the beats, go on after everything is healed.
    Silent,
    /// A process that is told to end does so in time.
    Straggler,
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) rule: Rule,
    pub(super) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// Every promise that the evidence shows broken.
pub(super) fn check(evidence: &Evidence) -> Vec<Violation> {
    let stories = evidence.stories();
    let mut found = Found::default();
    for (job, story) in &stories {
        Case { job, story, evidence, found: &mut found }.check();
    }
    unique_keys(&stories, &mut found);
    for (rule, texts) in [
        (Rule::Leftover, &evidence.leftovers),
        (Rule::Silent, &evidence.silent),
        (Rule::Straggler, &evidence.stragglers),
    ] {
        texts.iter().for_each(|text| found.add(rule, text.clone()));
    }
    found.0
}

#[derive(Debug, Default)]
struct Found(Vec<Violation>);

impl Found {
    fn add(&mut self, rule: Rule, what: String) {
        self.0.push(Violation { rule, what });
    }
}

/// One job before the court.
struct Case<'c, 'e> {
    job: &'c str,
    story: &'c Story<'e>,
    evidence: &'c Evidence,
    found: &'c mut Found,
}

impl Case<'_, '_> {
    fn check(&mut self) {
        let Some(asked) = &self.story.asked else {
            return self.object(Rule::Invented, "nobody asked for it");
        };
        self.presence();
        self.ends_told();
        self.tokens();
        self.causes();
        self.due(asked);
        self.revocations();
        if let Some(End::Over { state, attempt, failures, losses, fence }) = self.story.end {
            self.winner(*state, *attempt, *fence);
            self.counts(*state, *attempt, *failures, *losses);
            self.innocence(asked, *state, *losses);
        }
    }

    fn object(&mut self, rule: Rule, what: impl fmt::Display) {
        self.found.add(rule, format!("job {}: {what}", self.job));
    }

    /// It is in the store if it was accepted, and is not if it was refused.
    fn presence(&mut self) {
        for text in self.story.strange.clone() {
            self.object(Rule::Tokens, text);
        }
        let end = self.story.end;
        let absent = matches!(end, None | Some(End::Absent));
        match end {
            _ if self.story.accepted.is_some() && absent => {
                self.object(Rule::Lost, "accepted, and the store knows nothing of it");
            }
            Some(End::Open(state)) => self.object(Rule::Lost, format!("it has not ended: {}", state.as_str())),
            _ => {}
        }
        if self.story.refused && (!absent || !self.story.runs.is_empty()) {
            self.object(Rule::Invented, "it was refused, and yet it is there");
        }
        if absent && self.story.accepted.is_none() && !self.story.runs.is_empty() {
            self.object(Rule::Lost, "it ran, and the store knows nothing of it");
        }
    }

    /// A terminal state is written once.
    fn ends_told(&mut self) {
        let Some(End::Over { state, attempt, .. }) = self.story.end else { return };
        for told in self.story.told.clone() {
            if told != (*state, *attempt) {
                self.object(Rule::ChangedEnd, format!("somebody was told {told:?}, and it is {:?}", (state, attempt)));
            }
        }
    }

    /// Attempts do not fall while tokens grow.
    fn tokens(&mut self) {
        for pair in self.story.runs.windows(2) {
            if pair[1].attempt < pair[0].attempt {
                self.object(Rule::Tokens, format!("attempt {} came after {}", pair[1].attempt, pair[0].attempt));
            }
        }
    }

    /// Each run that another one followed has failed, or something happened to its worker in between.
    fn causes(&mut self) {
        for pair in self.story.runs.windows(2) {
            let (run, next) = (&pair[0], &pair[1]);
            if matches!(run.answered, Some((at, false)) if at <= next.began) {
                continue;
            }
            // A handed back job spends no attempt; one that a worker lost does.
            let same = run.attempt == next.attempt;
            if !self.evidence.met(&run.worker, run.began, next.began, |fault| !same || fault.hands_back) {
                let what = match run.answered {
                    Some((at, _)) if at <= next.began => "had answered",
                    _ => "had not answered",
                };
                self.object(
                    Rule::Cause,
                    format!(
                        "attempt {} began on {} although attempt {} on {} {what} and nothing had happened to that worker",
                        next.attempt, next.worker, run.attempt, run.worker
                    ),
                );
            }
        }
    }

    fn due(&mut self, asked: &Asked<'_>) {
        let due = asked.at + asked.delay * 1_000_000;
        let early = self.story.runs.iter().map(|run| run.began).min().filter(|began| began + TOLERANCE < due);
        if let Some(began) = early {
            self.object(Rule::Early, format!("it began {} ms before it was due", (due - began) / 1_000_000));
        }
    }

    /// What ended by a revocation stays so. A worker that was stopped may begin what it had taken before.
    fn revocations(&mut self) {
        for (at, answer) in self.story.revoked.clone() {
            if answer != Revoked::Ended {
                continue;
            }
            if let Some(End::Over { state, .. }) = self.story.end
                && *state != State::Revoked
            {
                self.object(Rule::Revoked, format!("it was revoked, and is {}", state.as_str()));
            }
            let after = self.story.runs.iter().filter(|run| run.began > at);
            let guilty = after.filter(|run| !self.evidence.met(&run.worker, at, run.began, |_| true)).count();
            if guilty > 0 {
                self.object(Rule::Revoked, "it began after it had been revoked");
            }
        }
    }

    /// The result is that of a run that came to its end, and no newer run exists.
    fn winner(&mut self, state: State, attempt: u32, fence: Option<u64>) {
        if state != State::Succeeded {
            return;
        }
        let runs = &self.story.runs;
        let winner = runs.iter().find(|run| Some(run.fence) == fence && run.attempt == attempt);
        if !winner.is_some_and(|run| matches!(run.answered, Some((_, true)))) {
            return self.object(Rule::Winner, format!("attempt {attempt} succeeded, and no such run came to its end"));
        }
        if runs.last().is_some_and(|last| Some(last.fence) != fence) {
            self.object(Rule::Tokens, "a run began under a newer token than the one that succeeded");
        }
    }

    /// Every run is accounted for: it won, it failed, it was lost, or it was handed back.
    fn counts(&mut self, state: State, attempt: u32, failures: u32, losses: u32) {
        let runs = &self.story.runs;
        let handed_back = runs.windows(2).filter(|pair| pair[0].attempt == pair[1].attempt).count();
        // The last one won, was told to stop, or was handed back to a queue in which it expired.
        let last = match state {
            State::Succeeded | State::Revoked => 1,
            State::Expired => usize::from(runs.last().is_some_and(|run| self.was_handed_back(run))),
            _ => 0,
        };
        let explained = failures as usize + losses as usize + handed_back + last;
        let failed = runs.iter().filter(|run| matches!(run.answered, Some((_, false)))).count();
        if runs.len() > explained {
            let text = format!("it ran {} times, with {failures} failures and {losses} losses", runs.len());
            self.object(Rule::Cause, text);
        } else if failures as usize > failed {
            self.object(Rule::Cause, format!("{failures} failures are noted, and only {failed} runs failed"));
        }
        let spent = failures + losses + u32::from(state == State::Succeeded);
        let exact = matches!(state, State::Succeeded | State::Dead);
        if exact && attempt != spent {
            self.object(Rule::Tokens, format!("attempt {attempt} after {failures} failures and {losses} losses"));
        }
        if let Some(run) = runs.iter().find(|run| run.attempt > attempt.max(spent) + 1) {
            self.object(Rule::Tokens, format!("attempt {} ran, and the end says {attempt}", run.attempt));
        }
    }

    fn was_handed_back(&self, run: &Run) -> bool {
        self.evidence.met(&run.worker, run.began, u64::MAX, |fault| fault.hands_back)
    }

    /// A job that could succeed is dead only after three losses, and has expired only if it may.
    fn innocence(&mut self, asked: &Asked<'_>, state: State, losses: u32) {
        let doomed = asked.act == Act::Fail || losses >= MOST_LOSSES;
        match state {
            State::Dead if !doomed => self.object(Rule::Innocent, "it is dead without a reason"),
            State::Expired if !asked.expires => self.object(Rule::Innocent, "it has expired and could not"),
            State::Revoked if !self.story.revoking => {
                self.object(Rule::Innocent, "it is revoked, and nobody revoked it");
            }
            State::Succeeded if matches!(asked.act, Act::Fail | Act::Abort) => {
                self.object(Rule::Winner, "it succeeded and could not");
            }
            _ => {}
        }
    }
}

/// Two jobs of one key: the later was accepted while the earlier had not come to its end.
fn unique_keys(stories: &BTreeMap<&str, Story<'_>>, found: &mut Found) {
    let mut by_key: BTreeMap<&str, Vec<(&str, &Story<'_>)>> = BTreeMap::new();
    for (job, story) in stories {
        if let Some(key) = story.asked.as_ref().and_then(|asked| asked.unique) {
            by_key.entry(key).or_default().push((job, story));
        }
    }
    for (key, holders) in by_key {
        for (first, held) in spans(&holders) {
            for (second, asked_at, accepted) in claims(&holders) {
                if first != second && asked_at > held.0 && accepted < held.1 {
                    let text = format!("jobs {first} and {second} had the key {key} at the same time");
                    found.add(Rule::Unique, text);
                }
            }
        }
    }
}

/// For each job that succeeded: from when on it surely had its key, and until when surely.
fn spans<'j>(holders: &[(&'j str, &Story<'_>)]) -> Vec<(&'j str, (u64, u64))> {
    let span = |story: &Story<'_>| {
        let Some(End::Over { state: State::Succeeded, fence, .. }) = story.end else { return None };
        let winner: &Run = story.runs.iter().find(|run| Some(run.fence) == *fence)?;
        Some((story.accepted?, winner.answered?.0))
    };
    holders.iter().filter_map(|(job, story)| Some((*job, span(story)?))).collect()
}

/// Jobs that the store accepted, with when they were asked for and when they were accepted.
fn claims<'j>(holders: &[(&'j str, &Story<'_>)]) -> Vec<(&'j str, u64, u64)> {
    let claim = |story: &Story<'_>| Some((story.asked.as_ref()?.at, story.accepted?));
    holders.iter().filter_map(|(job, story)| claim(story).map(|(asked, accepted)| (*job, asked, accepted))).collect()
}

#[cfg(test)]
mod tests;
