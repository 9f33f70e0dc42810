//! Everything a torture leaves behind, in the form the checker reads.

use std::collections::BTreeMap;

use celeriac_core::State;

use super::events::{Event, Line, Revoked};
use super::jobs::Act;

/// What happened and what is left.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// What producers wrote.
    pub(super) history: Vec<Line>,
    /// What handlers wrote.
    pub(super) ledger: Vec<Line>,
    /// What was done to the processes, the links and the store.
    pub(super) faults: Vec<Fault>,
    /// The end of each job, by its id, as the store told it when all was quiet.
    pub(super) ends: BTreeMap<String, End>,
    /// What stands in the store beyond what may stay.
    pub(super) leftovers: Vec<String>,
    /// Queues that did not run a job after everything was healed, and beats that did nothing.
    pub(super) silent: Vec<String>,
    /// Processes that did not end in time after they were told to, or not as they should.
    pub(super) stragglers: Vec<String>,
}

/// A fault, from its beginning until it was healed, in nanoseconds of the monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: &'static str,
    pub(super) from: u64,
    /// When it was over.
    pub(super) healed: u64,
    /// Until when it may still have effects: a lease that nobody renewed ends, a worker that was cut off learns of it.
    pub(super) until: u64,
    /// The life of the process it was done to; `None` if it may have met all of them.
    pub(super) target: Option<String>,
    /// Whether a running job may be handed back because of it, without a loss.
    pub(super) hands_back: bool,
}

/// Where a job is when all is quiet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The store knows nothing of it.
    Absent,
    /// It has not ended.
    Open(State),
    /// It has ended.
    Over {
        state: State,
        attempt: u32,
        failures: u32,
        losses: u32,
        /// The result: the token of the attempt that succeeded.
        fence: Option<u64>,
    },
}

/// A run of a handler, put together from the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) fence: u64,
    pub(super) attempt: u32,
    /// The life of the worker it ran in.
    pub(super) worker: String,
    pub(super) began: u64,
    /// When it was about to answer, and whether that was success; `None` if it never came so far.
    pub(super) answered: Option<(u64, bool)>,
}

/// All that is known of one job.
#[derive(Debug, Default)]
pub(super) struct Story<'e> {
    pub(super) asked: Option<Asked<'e>>,
    /// When the store had accepted it.
    pub(super) accepted: Option<u64>,
    pub(super) refused: bool,
    /// Whether somebody set about to revoke it; the answer may be missing.
    pub(super) revoking: bool,
    /// What was answered to revocations, and when.
    pub(super) revoked: Vec<(u64, Revoked)>,
    /// What waiting callers were told.
    pub(super) told: Vec<(State, u32)>,
    /// In the order of their tokens.
    pub(super) runs: Vec<Run>,
    pub(super) end: Option<&'e End>,
    /// Lines of the ledger that fit nothing.
    pub(super) strange: Vec<String>,
}

/// What a producer asked for.
#[derive(Debug)]
pub(super) struct Asked<'e> {
    pub(super) at: u64,
    pub(super) delay: u64,
    pub(super) expires: bool,
    pub(super) unique: Option<&'e str>,
    pub(super) act: Act,
}

impl Evidence {
    /// Sorts everything by job.
    pub(super) fn stories(&self) -> BTreeMap<&str, Story<'_>> {
        let mut stories: BTreeMap<&str, Story<'_>> = BTreeMap::new();
        for line in self.history.iter().chain(&self.ledger) {
            stories.entry(&line.job).or_default().add(line);
        }
        for (job, end) in &self.ends {
            stories.entry(job).or_default().end = Some(end);
        }
        for story in stories.values_mut() {
            story.runs.sort_by_key(|run| run.fence);
        }
        stories
    }

    /// Whether a fault that fits touched a process between two instants.
    pub(super) fn met(&self, process: &str, from: u64, until: u64, fits: impl Fn(&Fault) -> bool) -> bool {
        self.faults.iter().any(|fault| {
            let meets = fault.target.as_ref().is_none_or(|target| target == process);
            meets && fault.from <= until && fault.until >= from && fits(fault)
        })
    }
}

impl<'e> Story<'e> {
    fn add(&mut self, line: &'e Line) {
        match &line.event {
            Event::Asked { delay, expires, unique, act, .. } => {
                let unique = unique.as_deref();
                self.asked = Some(Asked { at: line.at, delay: *delay, expires: *expires, unique, act: *act });
            }
            Event::Accepted => self.accepted = Some(line.at),
            Event::Refused => self.refused = true,
            Event::InDoubt => {}
            Event::Revoking => self.revoking = true,
            Event::Revoked { answer } => self.revoked.push((line.at, *answer)),
            Event::Told { state, attempt } => self.told.push((*state, *attempt)),
            Event::Began { attempt, fence } => self.begin(line, *attempt, *fence),
            Event::Ended { attempt, fence } => self.answer(line, (*attempt, *fence), true),
            Event::Failed { attempt, fence } => self.answer(line, (*attempt, *fence), false),
        }
    }

    fn begin(&mut self, line: &Line, attempt: u32, fence: u64) {
        if self.runs.iter().any(|run| run.fence == fence) {
            self.strange.push(format!("two runs began under token {fence}"));
        }
        let worker = line.by.clone();
        self.runs.push(Run { fence, attempt, worker, began: line.at, answered: None });
    }

    fn answer(&mut self, line: &Line, (attempt, fence): (u32, u64), success: bool) {
        match self.runs.iter_mut().find(|run| run.fence == fence && run.attempt == attempt) {
            Some(run) if run.answered.is_none() => run.answered = Some((line.at, success)),
            _ => self.strange.push(format!("an answer of attempt {attempt} under token {fence}, which did not run")),
        }
    }
}
