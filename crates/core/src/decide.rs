//! What becomes of a job when an attempt has ended: the one place that knows.
//!
//! The executor and the reclaimer both come here, so the question whether an attempt was the last is answered once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::canvas::StepLink;
use crate::history::{Cause, Incident};
use crate::outcome::Outcome;
use crate::record::Record;
use crate::retry::RetryPolicy;
use crate::state::State;
use crate::task_error::{TaskError, Verdict};
use crate::time::Timestamp;
use crate::unique::UniqueKey;

/// How the delivery of a job ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ending {
    /// The handler answered this result, as JSON.
    Succeeded(Box<RawValue>),
    /// The attempt failed.
    Failed {
        /// Error, panic or time limit.
        cause: Cause,
        /// The text, and what the handler wants to happen.
        error: TaskError,
    },
    /// The worker that held the job vanished.
    Lost,
    /// The worker gave the job back without a verdict: it shuts down, or never started the job.
    HandedBack,
    /// This worker does not know the task, and another live one does.
    PassedOn,
    /// It was too late to begin: the job has expired, or its deadline has passed.
    Expired,
    /// Somebody revoked the job while it was held.
    Revoked,
    /// No live worker knows the task, or this one could not decode the arguments.
    NotRunnable {
        /// Which of the two.
        cause: Cause,
        /// What was wrong.
        error: String,
    },
}

/// What [`decide`] must know beside the record.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rules {
    /// The task's retry policy; the job's own number of retries goes before it.
    pub retry: RetryPolicy,
    /// How long the task keeps results; the job's own time goes before it.
    pub result_ttl: Duration,
    /// How long the task's dead jobs are kept.
    pub dead_ttl: Duration,
    /// Now, by the store's clock.
    pub now: Timestamp,
    /// The worker that ended the attempt, or lost it.
    pub worker: Arc<str>,
    /// A random number from 0 to 1 for the back-off.
    pub jitter: f64,
}

impl Rules {
    /// The default policy, decided now by `worker`.
    #[must_use]
    pub fn new(worker: impl Into<Arc<str>>, now: Timestamp) -> Self {
        Self {
            retry: RetryPolicy::default(),
            result_ttl: crate::options::DEFAULT_RESULT_TTL,
            dead_ttl: crate::options::DEFAULT_DEAD_TTL,
            now,
            worker: worker.into(),
            jitter: 1.0,
        }
    }
}

/// Losses after which a job is dead. The first may be another job's fault; after it the job runs alone, so the
/// others are its own.
const MAX_LOSSES: u32 = 3;

/// How long a job waits that was passed on, at most: long enough not to meet the same worker again and again.
const PASS_ON_DELAY: Duration = Duration::from_secs(1);

/// What a store is asked to do with a job that was held: the closed set of ways out of `Running`.
///
/// Each carries the whole record or outcome to write, so a store applies it and decides nothing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Transition {
    /// The job has ended and its record goes; its end can be read for `keep` (zero: not at all).
    Finish {
        /// The end.
        outcome: Outcome,
        /// How long it can be read.
        keep: Duration,
        /// The unique key that is free from now on.
        unique: Option<UniqueKey>,
        /// The place of the job in its workflow, which moves on in the same commit.
        step: Option<Box<StepLink>>,
    },
    /// The job runs again after `delay`.
    Retry {
        /// The record to store, in state `Retry`.
        record: Record,
        /// The wait, counted by the store's clock.
        delay: Duration,
    },
    /// The job is dead; the record stays for `retention`, its end can be read for `keep`, and its unique key is free.
    DeadLetter {
        /// The record to store, in state `Dead`.
        record: Record,
        /// The end; in a box, so that the other ways, which are moved a lot, stay small.
        outcome: Box<Outcome>,
        /// How long it can be read.
        keep: Duration,
        /// How long the record stays.
        retention: Duration,
    },
    /// The job goes back to the head of its queue, or to the end of its queue's suspects: one that nobody can finish must
    /// not keep the others waiting.
    Requeue {
        /// The record to store, in state `Queued`.
        record: Record,
    },
    /// The job is kept aside until a worker that knows its task releases it.
    Park {
        /// The record to store, in state `Parked`.
        record: Record,
    },
}

impl Transition {
    /// What a store refused because the job was revoked meanwhile, as the end that it takes. An end stays as it is.
    #[must_use]
    pub fn revoked(self, rules: &Rules) -> Self {
        match self {
            Self::Retry { record, .. } | Self::Requeue { record } | Self::Park { record } => {
                finish(record, State::Revoked, WHILE_IT_RAN, rules)
            }
            end => end,
        }
    }

    /// The state the job comes into.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Finish { outcome, .. } => outcome.state,
            Self::Retry { .. } => State::Retry,
            Self::DeadLetter { .. } => State::Dead,
            Self::Requeue { .. } => State::Queued,
            Self::Park { .. } => State::Parked,
        }
    }
}

/// What is said of a job that was revoked while a worker held it.
const WHILE_IT_RAN: &str = "revoked while it ran";

/// Decides what becomes of a job whose delivery ended.
#[must_use]
pub fn decide(record: Record, ending: Ending, rules: &Rules) -> Transition {
    match ending {
        Ending::Succeeded(result) => succeed(record, result, rules),
        Ending::Failed { cause, error } => fail(record, cause, &error, rules),
        Ending::Lost => lose(record, rules),
        Ending::HandedBack => Transition::Requeue { record: moved(record, State::Queued) },
        Ending::PassedOn => {
            Transition::Retry { record: moved(record, State::Retry), delay: PASS_ON_DELAY.mul_f64(rules.jitter) }
        }
        Ending::Expired => {
            let error = match record.deadline() {
                Some(deadline) if deadline <= rules.now => "its deadline passed before it could begin",
                _ => "expired before it could begin",
            };
            finish(record, State::Expired, error, rules)
        }
        Ending::Revoked => finish(attempted(record, State::Revoked), State::Revoked, WHILE_IT_RAN, rules),
        Ending::NotRunnable { cause, error } => {
            let mut record = moved(record, State::Parked);
            // Parking costs no attempt; the incident names the one that did not take place.
            record.note(Incident::new(record.attempt + 1, rules.now, &rules.worker, cause, &error));
            Transition::Park { record }
        }
    }
}

fn moved(mut record: Record, state: State) -> Record {
    record.state = state;
    record
}

/// The record after one more hand-out that ended.
fn attempted(record: Record, state: State) -> Record {
    let mut record = moved(record, state);
    record.attempt = record.attempt.saturating_add(1);
    record
}

fn keep(record: &Record, rules: &Rules) -> Duration {
    let wanted = record.options.result_ttl_ms.map_or(rules.result_ttl, Duration::from_millis);
    // A store counts the end of this time in the 48 bits of an instant; "for ever" means up to there.
    wanted.min(Timestamp::MAX.since(rules.now))
}

fn succeed(record: Record, result: Box<RawValue>, rules: &Rules) -> Transition {
    let keep = keep(&record, rules);
    let (mut outcome, unique, step) = outcome(attempted(record, State::Succeeded), rules);
    outcome.result = Some(result);
    Transition::Finish { outcome, keep, unique, step }
}

/// An end that is neither a success nor a failure.
fn finish(record: Record, state: State, error: &str, rules: &Rules) -> Transition {
    let keep = keep(&record, rules);
    let (mut outcome, unique, step) = outcome(moved(record, state), rules);
    outcome.error = Some(error.to_owned());
    Transition::Finish { outcome, keep, unique, step }
}

fn fail(record: Record, cause: Cause, error: &TaskError, rules: &Rules) -> Transition {
    let mut next = attempted(record, State::Retry);
    if let Verdict::Snooze(delay) = error.verdict() {
        return again(next, delay, rules);
    }
    next.failures = next.failures.saturating_add(1);
    next.note(Incident::new(next.attempt, rules.now, &rules.worker, cause, error.message()));
    let retries = next.options.retries.unwrap_or(rules.retry.retries);
    if error.verdict() == Verdict::Permanent || cause == Cause::DeadlineExceeded || next.failures > retries {
        return bury(next, error.message(), rules);
    }
    let delay = match error.verdict() {
        Verdict::RetryIn(delay) => delay,
        _ => rules.retry.delay(next.failures, rules.jitter),
    };
    again(next, delay, rules)
}

/// Another attempt after `delay`, unless the job must have ended by then.
fn again(next: Record, delay: Duration, rules: &Rules) -> Transition {
    if next.deadline().is_some_and(|deadline| rules.now.after(delay) >= deadline) {
        let last = next.history.last().map(|incident| format!(": {}", incident.error)).unwrap_or_default();
        return bury(next, &format!("the next attempt would begin after the deadline{last}"), rules);
    }
    Transition::Retry { record: next, delay }
}

fn lose(record: Record, rules: &Rules) -> Transition {
    let mut next = attempted(record, State::Queued);
    next.losses = next.losses.saturating_add(1);
    next.suspect = true;
    let error = format!("worker lost {}", rules.worker);
    next.note(Incident::new(next.attempt, rules.now, &rules.worker, Cause::WorkerLost, &error));
    let late = next.deadline().is_some_and(|deadline| rules.now >= deadline);
    if next.losses < MAX_LOSSES && !late {
        return Transition::Requeue { record: next };
    }
    let error = if late {
        "worker lost, and the deadline has passed".to_owned()
    } else {
        format!("worker lost {} times", next.losses)
    };
    bury(next, &error, rules)
}

fn bury(mut record: Record, error: &str, rules: &Rules) -> Transition {
    record.state = State::Dead;
    let mut outcome = Box::new(outcome(record.clone(), rules).0);
    outcome.error = Some(error.to_owned());
    let keep = keep(&record, rules);
    Transition::DeadLetter { record, outcome, keep, retention: rules.dead_ttl.min(Timestamp::MAX.since(rules.now)) }
}

/// The end of a record, its unique key, and its place in a workflow.
fn outcome(record: Record, rules: &Rules) -> (Outcome, Option<UniqueKey>, Option<Box<StepLink>>) {
    let outcome = Outcome {
        id: record.id,
        task: record.task,
        queue: record.queue,
        state: record.state,
        attempt: record.attempt,
        failures: record.failures,
        losses: record.losses,
        enqueued_at: record.enqueued_at,
        finished_at: rules.now,
        worker: Arc::clone(&rules.worker),
        result: None,
        error: None,
    };
    (outcome, record.options.unique.clone(), record.options.step.clone())
}

#[cfg(test)]
mod tests;
