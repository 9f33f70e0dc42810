//! Ends deliveries through `settle.lua`, and puts settlements into the arguments of `exchange.lua`.

use std::collections::HashMap;
use std::time::Duration;

use celeriac_core::canvas::{Counts, MAX_INLINE_BYTES, Next, Policy, StepLink};
use celeriac_core::{Fence, JobId, Outcome, QueueName, Record, State, TaskName, Transition, WorkflowId};

use super::keys::Keys;
use super::places::Places;
use super::script::{self, Call};
use super::session::millis;
use super::store::RedisBroker;
use super::workflows::{add_step, rows};
use crate::batch::MAX_BATCH_JOBS;
use crate::delivery::{Settled, Settlement};
use crate::error::BrokerError;
use crate::worker_session::Holder;

impl RedisBroker {
    pub(super) async fn settle_jobs(
        &self,
        holder: &Holder,
        settlements: &[Settlement],
    ) -> Result<Vec<Settled>, BrokerError> {
        let ways = Ways::of(settlements)?;
        let mut list = self.session_keys(holder.incarnation());
        ways.add_keys(&mut list, &self.keys);
        let mut call = Call::new(&script::SETTLE, &list);
        self.add_session(&mut call, holder);
        ways.add_arguments(&mut call, settlements, &self.keys);
        let mut reply = self.commands.call(&call).await?.in_session()?;
        Ok(ways.answers(&reply.take::<String>()?))
    }
}

/// How a job leaves; the order is that in which the script applies them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// Its record goes and nothing stays.
    Remove,
    /// Its record goes, and its end is kept for the time of this place.
    Keep(usize),
    /// The same for a step that has succeeded and counts for one node: what a large chord consists of.
    Member(Member),
    /// Its record is written: all other ways, in the order of the settlements.
    Write,
}

/// What the members of a chord have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    /// The place of the time to keep its end, if it is kept.
    keep: Option<usize>,
    /// The place of the workflow.
    workflow: usize,
    counts: Counts,
    /// Whether the result says that it is one.
    wrapped: bool,
    /// How many bytes stand before the result in the end that is kept.
    front: usize,
}

/// Jobs that leave one hand-out by one way.
struct Run {
    fence: Fence,
    way: Way,
    jobs: usize,
}

/// The settlements of a call in the order in which the script takes them, and the names and keys they need.
///
/// Most jobs of a busy worker leave by the same way, so the script is told once for many; it does nothing for each
/// job but what must be done.
pub(super) struct Ways {
    queues: Places<QueueName>,
    tasks: Places<TaskName>,
    keeps: Vec<u64>,
    workflows: Places<WorkflowId>,
    runs: Vec<Run>,
    /// The places of the settlements that are sent.
    order: Vec<usize>,
    settlements: usize,
}

impl Ways {
    /// Sorts settlements. Only one of several for the same job can be right, and only that is sent.
    pub(super) fn of(settlements: &[Settlement]) -> Result<Self, BrokerError> {
        let count = settlements.len();
        if count > MAX_BATCH_JOBS {
            let text = format!("{count} settlements in a call; at most {MAX_BATCH_JOBS} are allowed");
            return Err(BrokerError::Invalid(text));
        }
        let (queues, tasks, keeps) = (Places::new(), Places::new(), Vec::new());
        let mut ways = Self {
            queues,
            tasks,
            keeps,
            workflows: Places::new(),
            runs: Vec::new(),
            order: Vec::new(),
            settlements: count,
        };
        // Of two for one job the newer hand-out is meant; with the same token, the first.
        let mut newest: HashMap<&JobId, Fence> = HashMap::with_capacity(count);
        for settlement in settlements {
            let fence = newest.entry(&settlement.id).or_insert(settlement.fence);
            *fence = settlement.fence.max(*fence);
        }
        let mut sorted = Vec::with_capacity(count);
        for (at, settlement) in settlements.iter().enumerate() {
            if newest.get(&settlement.id) == Some(&settlement.fence) {
                newest.remove(&settlement.id);
                sorted.push((ways.way(&settlement.transition)?, at));
            }
        }
        // Members in the order of their nodes, so that rows of neighbours can be named together.
        sorted.sort_by_key(|(way, at)| {
            let node = step_of(&settlements[*at]).filter(|_| matches!(way, Way::Member(_))).map(|step| step.at);
            (*way, (*way != Way::Write).then(|| settlements[*at].fence), node, *at)
        });
        for (way, at) in sorted {
            ways.add(way, settlements[at].fence);
            ways.order.push(at);
        }
        Ok(ways)
    }

    fn add(&mut self, way: Way, fence: Fence) {
        match self.runs.last_mut() {
            Some(run) if run.way == way && run.fence == fence => run.jobs += 1,
            _ => self.runs.push(Run { fence, way, jobs: 1 }),
        }
    }

    /// The way of a transition, with its names noted.
    fn way(&mut self, transition: &Transition) -> Result<Way, BrokerError> {
        let record = match transition {
            Transition::Finish { keep, unique: None, step: None, .. } => {
                return Ok(self.keep(*keep).map_or(Way::Remove, Way::Keep));
            }
            Transition::Finish { outcome, keep, unique, step } => {
                let place = self.keep(*keep);
                self.note_step(step.as_deref());
                let member =
                    step.as_deref().filter(|_| unique.is_none()).and_then(|step| self.member(step, outcome, place));
                return Ok(member.map_or(Way::Write, Way::Member));
            }
            Transition::DeadLetter { record, keep, .. } => {
                self.keep(*keep);
                self.note_step(record.options.step.as_deref());
                record
            }
            Transition::Park { record } => {
                self.tasks.of(&record.task);
                record
            }
            Transition::Retry { record, .. } | Transition::Requeue { record } => record,
            other => return Err(BrokerError::Invalid(format!("this store knows no way to {}", other.state()))),
        };
        self.queues.of(&record.queue);
        Ok(Way::Write)
    }

    /// Notes the workflow of a step, and the queues of those that may begin behind it.
    fn note_step(&mut self, step: Option<&StepLink>) {
        let Some(step) = step else { return };
        self.workflows.of(&step.workflow);
        for Next(_, queue) in &step.next {
            self.queues.of(queue);
        }
    }

    /// What a step is that has succeeded and counts for one node, if it is that and nothing else.
    fn member(&self, step: &StepLink, outcome: &Outcome, keep: Option<usize>) -> Option<Member> {
        let [counts] = *step.counts else { return None };
        let short = outcome.result.as_ref().is_some_and(|result| result.get().len() + 16 <= MAX_INLINE_BYTES);
        let plain = step.next.is_empty() && !step.many && !step.last && step.policy != Policy::Callback;
        let workflow = self.workflows.place(&step.workflow);
        let wrapped = step.policy == Policy::Continue;
        let front = outcome.encoded_front();
        (short && plain && outcome.state == State::Succeeded).then_some(Member {
            keep,
            workflow,
            counts,
            wrapped,
            front,
        })
    }

    /// The place of a time to keep ends; `None` if it is no time.
    fn keep(&mut self, keep: Duration) -> Option<usize> {
        let keep = coarse(keep);
        if keep == 0 {
            return None;
        }
        let known = self.keeps.iter().position(|known| *known == keep);
        Some(known.unwrap_or_else(|| {
            self.keeps.push(keep);
            self.keeps.len() - 1
        }))
    }

    /// Adds the keys from the seventh on.
    pub(super) fn add_keys(&self, list: &mut Vec<String>, keys: &Keys) {
        list.extend([keys.lost(), keys.dead(), keys.parked(), keys.ends(), keys.keeps(), keys.burials()]);
        list.extend([keys.unique(), keys.revoked(), keys.queues(), keys.workflow_events(), keys.workflow_untils()]);
        list.extend(self.queues.names().iter().flat_map(|queue| keys.lists(queue)));
        list.extend(self.tasks.names().iter().map(|task| keys.parked_of(task)));
        list.extend(self.keeps.iter().map(|keep| keys.ended(*keep)));
        list.extend(self.workflows.names().iter().map(|workflow| keys.workflow(workflow)));
    }

    /// Adds the arguments of the settlements.
    pub(super) fn add_arguments(&self, call: &mut Call, settlements: &[Settlement], keys: &Keys) {
        call.arg(keys.finished()).arg(self.queues.len()).arg(self.tasks.len()).arg(self.keeps.len());
        call.arg(self.workflows.len()).arg(self.runs.len()).arg(self.order.len());
        self.queues.names().iter().for_each(|queue| {
            call.arg(queue.as_str());
        });
        self.tasks.names().iter().for_each(|task| {
            call.arg(task.as_str());
        });
        call.arg(&self.keeps);
        self.workflows.names().iter().for_each(|workflow| {
            call.arg(workflow.as_str());
        });
        let mut first = 0;
        for run in &self.runs {
            call.arg(run.fence.get());
            let places = &self.order[first..first + run.jobs];
            first += run.jobs;
            match run.way {
                Way::Remove => call.arg("-"),
                Way::Keep(place) => call.arg(format!("={}", place + 1)),
                Way::Member(Member { keep, workflow, counts: Counts(node, need), wrapped, front }) => {
                    let (keep, wrapped) = (keep.map_or(0, |place| place + 1), u8::from(wrapped));
                    let nodes = places.iter().filter_map(|at| step_of(&settlements[*at])).map(|step| step.at);
                    let rows = rows(nodes).join(" ");
                    call.arg(format!("m{keep}.{workflow}.{node}.{need}.{wrapped}.{front} {rows}"))
                }
                Way::Write => call.arg("w"),
            };
            call.arg(run.jobs);
        }
        for at in &self.order {
            call.arg(settlements[*at].id.as_str());
        }
        let ways = self.runs.iter().flat_map(|run| std::iter::repeat_n(run.way, run.jobs));
        for (at, way) in self.order.iter().zip(ways) {
            match (way, &settlements[*at].transition) {
                (Way::Member(_), Transition::Finish { outcome, .. }) => {
                    call.arg(outcome.encode());
                }
                (_, transition) => self.add_values(call, transition),
            }
        }
    }

    /// Adds what the script must know of one job beside its id.
    fn add_values(&self, call: &mut Call, transition: &Transition) {
        match transition {
            Transition::Finish { outcome, keep, unique: None, step: None } if self.place_of(*keep) > 0 => {
                call.arg(outcome.encode());
            }
            Transition::Finish { outcome, keep, unique, step } if unique.is_some() || step.is_some() => {
                call.arg("finish").arg(unique.as_ref().map_or("", |unique| unique.as_str()));
                self.add_end(call, outcome, *keep);
                self.add_step(call, step.as_deref(), outcome);
            }
            Transition::Retry { record, delay } => {
                call.arg("retry").arg(self.queues.place(&record.queue)).arg(millis(*delay)).arg(to_store(record));
            }
            Transition::DeadLetter { record, outcome, keep, retention } => {
                call.arg("dead").arg(self.queues.place(&record.queue)).arg(to_store(record)).arg(millis(*retention));
                call.arg(unique_of(record));
                self.add_end(call, outcome, *keep);
                self.add_step(call, record.options.step.as_deref(), outcome);
            }
            Transition::Requeue { record } => {
                call.arg("requeue").arg(self.queues.place(&record.queue)).arg(to_store(record));
            }
            Transition::Park { record } => {
                let (queue, task) = (self.queues.place(&record.queue), self.tasks.place(&record.task));
                call.arg("park").arg(queue).arg(task).arg(to_store(record));
            }
            // An end that is not kept needs no words; `way` has refused all others.
            _ => {}
        }
    }

    /// Adds the place of the time to keep an end, and the end if it is kept at all.
    fn add_end(&self, call: &mut Call, outcome: &Outcome, keep: Duration) {
        let place = self.place_of(keep);
        call.arg(place);
        if place > 0 {
            call.arg(outcome.encode());
        }
    }

    /// Adds the place of the workflow, and the end of the step if there is one.
    fn add_step(&self, call: &mut Call, step: Option<&StepLink>, outcome: &Outcome) {
        let Some(step) = step else {
            call.arg(0);
            return;
        };
        call.arg(self.workflows.place(&step.workflow));
        add_step(call, step, &step.end(outcome), true, |queue| self.queues.place(queue));
    }

    /// The place of a time that was noted, counted from 1; 0 if it is no time.
    fn place_of(&self, keep: Duration) -> usize {
        let keep = coarse(keep);
        self.keeps.iter().position(|known| *known == keep).map_or(0, |place| place + 1)
    }

    /// One answer for each settlement, in their order, from the letters of the script.
    pub(super) fn answers(&self, letters: &str) -> Vec<Settled> {
        let mut answers = vec![Settled::NotHeld; self.settlements];
        let letters = letters.as_bytes();
        for (nth, at) in self.order.iter().enumerate() {
            answers[*at] = match letters.get(nth) {
                None if letters.is_empty() => Settled::Done,
                Some(b'D') => Settled::Done,
                Some(b'R') => Settled::Revoked,
                _ => Settled::NotHeld,
            };
        }
        answers
    }
}

/// The place in its workflow of a job that is done with.
fn step_of(settlement: &Settlement) -> Option<&StepLink> {
    match &settlement.transition {
        Transition::Finish { step, .. } => step.as_deref(),
        _ => None,
    }
}

/// A time to keep ends, in milliseconds, rounded up. Each has a list of its own, and a job may ask for any time: so there are a few
/// thousand times at most. Whole tenths, seconds, minutes and hours stay as they are up to a minute, an hour, a day and
/// a month.
pub(super) fn coarse(keep: Duration) -> u64 {
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const MONTH: u64 = 31 * DAY;
    let keep = millis(keep);
    let grains = [(MINUTE, SECOND / 10), (HOUR, SECOND), (DAY, MINUTE), (MONTH, HOUR)];
    let grain = grains.into_iter().find(|(up_to, _)| keep <= *up_to).map_or(DAY, |(_, grain)| grain);
    keep.div_ceil(grain).saturating_mul(grain)
}

/// The unique key of a job as scripts take it: empty for none.
pub(super) fn unique_of(record: &Record) -> &str {
    record.options.unique.as_ref().map_or("", |unique| unique.as_str())
}

/// The record but for its second stamp, which the script writes.
fn to_store(record: &Record) -> Vec<u8> {
    let [_, _, enqueued_at @ ..] = record.enqueued_at.as_millis().to_be_bytes();
    let mut bytes = enqueued_at.to_vec();
    record.encode_unstamped_to(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_times_are_kept_as_they_are_and_odd_ones_a_little_longer() {
        for (asked, kept) in [(0, 0), (1, 100), (1000, 1000), (86_400_000, 86_400_000), (3_600_001, 3_660_000)] {
            assert_eq!(coarse(Duration::from_millis(asked)), kept, "{asked}");
        }
    }
}
