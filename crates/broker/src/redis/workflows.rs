//! Workflows in Redis: a hash for each, with the ends of its nodes and the jobs that wait; who is to be looked at in a sorted set of events.

use std::time::Duration;

use async_trait::async_trait;
use celeriac_core::canvas::{Counts, MAX_INLINE_BYTES, Policy, StepEnd, StepLink, WaitingStep};
use celeriac_core::{JobId, Outcome, QueueName, Record, State, Timestamp, WorkflowId};

use super::places::Places;
use super::replies::{Reply, Status, odd, read};
use super::script::{self, Call};
use super::session::millis;
use super::settle::coarse;
use super::store::RedisBroker;
use crate::batch::MAX_BATCH_BYTES;
use crate::error::BrokerError;
use crate::workflows::{
    Advance, Advanced, Begun, KeptEnd, MAX_STEPS, NewWorkflow, ROOT, Submitted, UNSTARTED_TTL, WorkflowEvent,
    WorkflowMark, WorkflowRevoked, WorkflowView, Workflows, check_jobs, check_steps,
};

/// The fields of a view, in the order in which [`view`] takes them.
const FIELDS: [&str; 8] = ["version", "nodes", "made", "begun", "bad", "halted", "by", "ended"];

/// Adds the end of a step as `lua/lib/workflow.lua` reads it. `settled` says that followers may be dealt with in the same call.
pub(super) fn add_step(
    call: &mut Call,
    link: &StepLink,
    end: &StepEnd,
    settled: bool,
    place: impl Fn(&QueueName) -> usize,
) {
    let inline = settled && !link.many && end.value.len() <= MAX_INLINE_BYTES;
    let flags = [
        ('f', link.is_failure(end.kind)),
        ('h', link.halts(end.kind)),
        ('i', inline),
        ('l', link.last),
        ('k', link.policy == Policy::Callback),
    ];
    let flags: String = flags.into_iter().filter(|(_, holds)| *holds).map(|(flag, _)| flag).collect();
    call.arg(link.at).arg(end.kind.letter().to_string()).arg(end.value.as_str()).arg(flags);
    let (next, counts) = if inline { (&*link.next, &*link.counts) } else { (&[][..], &[][..]) };
    call.arg(next.len());
    for next in next {
        call.arg(next.0).arg(place(&next.1));
    }
    call.arg(counts.len());
    for Counts(node, need) in counts {
        call.arg(*node).arg(*need);
    }
}

/// The place of a job in its workflow; a store begins none but steps.
fn link(record: &Record) -> Result<&StepLink, BrokerError> {
    let missing = || BrokerError::Invalid(format!("{} is no step of a workflow", record.id));
    record.options.step.as_deref().ok_or_else(missing)
}

/// Jobs that the script is told of together: of one queue, and their nodes at one distance from each other, as the members of a group are.
struct Run {
    queue: usize,
    callback: bool,
    first: u32,
    stride: u32,
    jobs: usize,
}

fn runs(jobs: &[Record], queues: &Places<QueueName>) -> Result<Vec<Run>, BrokerError> {
    let mut runs: Vec<Run> = Vec::new();
    for job in jobs {
        let link = link(job)?;
        let (queue, callback) = (queues.place(&job.queue), link.policy == Policy::Callback);
        if let Some(run) = runs.last_mut().filter(|run| (run.queue, run.callback) == (queue, callback)) {
            let last = u64::from(run.first) + u64::from(run.stride) * (run.jobs as u64 - 1);
            match u64::from(link.at).checked_sub(last) {
                Some(distance) if run.jobs == 1 || distance == u64::from(run.stride) => {
                    (run.stride, run.jobs) = (distance as u32, run.jobs + 1);
                    continue;
                }
                _ => {}
            }
        }
        runs.push(Run { queue, callback, first: link.at, stride: 0, jobs: 1 });
    }
    Ok(runs)
}

/// Nodes as the script takes them: each row of neighbours as its first and its last.
pub(super) fn rows(nodes: impl IntoIterator<Item = u32>) -> Vec<String> {
    let mut rows: Vec<(u32, u32)> = Vec::new();
    for node in nodes {
        match rows.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(node) => *last = node,
            _ => rows.push((node, node)),
        }
    }
    rows.into_iter().map(|(first, last)| format!("{first}-{last}")).collect()
}

fn unstamped(record: &Record) -> Vec<u8> {
    let mut record = record.clone();
    record.state = State::Queued;
    record.encode_unstamped()
}

/// A waiting job as its workflow keeps it.
fn waiting(step: &WaitingStep) -> Vec<u8> {
    let bytes = unstamped(&step.record);
    let front = bytes.len() - step.record.payload.len();
    let gap = step.gap.map_or_else(String::new, |gap| (front + gap).to_string());
    let mut value = format!("{} {gap} ", step.record.id).into_bytes();
    value.extend(bytes);
    value
}

impl RedisBroker {
    /// The keys of what a step touches when it begins, the workflow's first.
    fn step_keys(&self, workflow: &WorkflowId, queues: &Places<QueueName>) -> Vec<String> {
        let keys = &self.keys;
        let mut list = vec![keys.workflow(workflow), keys.workflow_untils(), keys.workflow_events()];
        list.extend([keys.jobs(), keys.queues(), keys.ends(), keys.dead(), keys.burials(), keys.counts()]);
        list.extend(queues.names().iter().flat_map(|queue| keys.lists(queue)));
        list
    }

    /// Begins steps, and notes which followers of a node were dealt with if one is given.
    async fn begin(
        &self,
        workflow: &WorkflowId,
        node: Option<&Advance>,
        jobs: &[Record],
        again: bool,
    ) -> Result<Reply, BrokerError> {
        let counts = node.map_or(&[][..], |advance| &*advance.counts);
        check_steps(jobs.len() + counts.len())?;
        check_jobs(workflow, jobs)?;
        let mut queues = Places::new();
        jobs.iter().for_each(|job| {
            queues.of(&job.queue);
        });
        let mut call = Call::new(&script::ADVANCE, &self.step_keys(workflow, &queues));
        call.arg(self.now_override()).arg(workflow.as_str());
        match node {
            Some(Advance { node, from, to, last, .. }) => call.arg(*node).arg(*from).arg(*to).arg(u8::from(*last)),
            None => call.arg("").arg("").arg("").arg(""),
        };
        let runs = runs(jobs, &queues)?;
        call.arg(u8::from(again)).arg(queues.len()).arg(runs.len()).arg(jobs.len());
        queues.names().iter().for_each(|queue| {
            call.arg(queue.as_str());
        });
        for Run { queue, callback, first, stride, jobs } in runs {
            call.arg(format!("{queue}.{}.{first}.{stride}", u8::from(callback))).arg(jobs);
        }
        for job in jobs {
            call.arg(job.id.as_str()).arg(unstamped(job));
        }
        for Counts(node, need) in counts {
            call.arg(*node).arg(*need);
        }
        self.commands.call(&call).await
    }

    async fn workflow_views(&self, ids: &[WorkflowId]) -> Result<Vec<WorkflowView>, BrokerError> {
        let mut pipe = redis::Pipeline::with_capacity(ids.len());
        for id in ids {
            pipe.cmd("HMGET").arg(self.keys.workflow(id)).arg(&FIELDS[..]);
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.commands.pipeline(&pipe).await?;
        let views = ids.iter().zip(answers).map(|(id, answer)| Ok(view(id, &read::<Vec<Option<String>>>(answer)?)));
        views.filter_map(Result::transpose).collect()
    }

    /// Removes workflows, each if it is past its time; answers how many were.
    pub(super) async fn forget_workflows(&self, ids: &[WorkflowId]) -> Result<usize, BrokerError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let keys = &self.keys;
        let mut list = vec![keys.workflows(), keys.workflow_untils()];
        list.extend(ids.iter().map(|id| keys.workflow(id)));
        let mut call = Call::new(&script::FORGET_WORKFLOWS, &list);
        call.arg(self.now_override());
        ids.iter().for_each(|id| {
            call.arg(id.as_str());
        });
        self.commands.call(&call).await?.take()
    }

    /// The keys of a workflow that begins nothing.
    fn quiet_keys(&self, workflow: &WorkflowId) -> Vec<String> {
        vec![self.keys.workflow(workflow), self.keys.workflow_untils(), self.keys.workflow_events()]
    }
}

fn view(id: &WorkflowId, fields: &[Option<String>]) -> Option<WorkflowView> {
    let text = |at: usize| fields.get(at)?.as_deref();
    let number = |at: usize| text(at).and_then(|text| text.parse::<u64>().ok());
    let small = |at: usize| number(at).and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
    let mut view = WorkflowView::new(id.clone(), small(0), small(1), Timestamp::from_millis(number(2)?));
    view.begun = text(3) == Some("1");
    view.failures = small(4);
    view.halted = text(5).is_some();
    view.revoked_by = text(6).map(str::to_owned);
    view.ended_at = number(7).map(Timestamp::from_millis);
    Some(view)
}

fn event(text: &str, until: Timestamp) -> Result<WorkflowEvent, BrokerError> {
    let parts = text.split_once(' ').and_then(|(workflow, node)| {
        Some(WorkflowEvent { workflow: WorkflowId::new(workflow).ok()?, node: node.parse().ok()?, until })
    });
    parts.ok_or_else(|| odd(&format!("{text} is no event")))
}

/// An end as it is kept: a letter, small while followers are still to be dealt with, and the value.
fn kept_end(text: &str) -> Option<KeptEnd> {
    let letter = text.chars().next()?;
    let kind = celeriac_core::canvas::EndKind::from_letter(letter)?;
    let end = StepEnd::new(kind, &text[letter.len_utf8()..]);
    Some(KeptEnd { end, pending: letter.is_ascii_lowercase().then_some(0) })
}

#[async_trait]
impl Workflows for RedisBroker {
    async fn put_workflow(&self, workflow: &NewWorkflow) -> Result<Submitted, BrokerError> {
        workflow.check()?;
        let mut queues = Places::new();
        workflow.roots.iter().for_each(|job| {
            queues.of(&job.queue);
        });
        let keys = &self.keys;
        let mut list = vec![keys.workflow(&workflow.id), keys.workflows(), keys.workflow_untils()];
        list.extend([keys.workflow_events(), keys.jobs(), keys.queues(), keys.ends(), keys.dead()]);
        list.extend([keys.burials(), keys.counts()]);
        list.extend(queues.names().iter().flat_map(|queue| keys.lists(queue)));
        let mut call = Call::new(&script::PUT_WORKFLOW, &list);
        call.arg(self.now_override()).arg(workflow.id.as_str()).arg(&workflow.token).arg(&workflow.spec);
        call.arg(workflow.version).arg(workflow.nodes).arg(u8::from(workflow.begins)).arg(millis(UNSTARTED_TTL));
        call.arg(u8::from(workflow.fresh)).arg(queues.len()).arg(workflow.waiting.len());
        queues.names().iter().for_each(|queue| {
            call.arg(queue.as_str());
        });
        for step in &workflow.waiting {
            call.arg(link(&step.record)?.at).arg(waiting(step));
        }
        for job in &workflow.roots {
            call.arg(link(job)?.at).arg(job.id.as_str()).arg(unstamped(job)).arg(queues.place(&job.queue));
        }
        let status = self.commands.call(&call).await?.status();
        Ok(if status == Status::Done { Submitted::Done } else { Submitted::InUse })
    }

    async fn put_waiting(&self, workflow: &WorkflowId, steps: &[WaitingStep]) -> Result<(), BrokerError> {
        check_steps(steps.len())?;
        check_jobs(workflow, steps.iter().map(|step| &step.record))?;
        let mut call = Call::new(&script::PUT_WAITING, &[self.keys.workflow(workflow)]);
        for step in steps {
            call.arg(link(&step.record)?.at).arg(waiting(step));
        }
        self.commands.call(&call).await.map(|_| ())
    }

    async fn start_workflow(&self, workflow: &WorkflowId) -> Result<bool, BrokerError> {
        let mut call = Call::new(&script::START_WORKFLOW, &self.quiet_keys(workflow));
        call.arg(self.now_override()).arg(workflow.as_str());
        Ok(self.commands.call(&call).await?.status() == Status::Done)
    }

    async fn begin_steps(
        &self,
        workflow: &WorkflowId,
        jobs: &[Record],
        again: bool,
    ) -> Result<Vec<Begun>, BrokerError> {
        let letters: String = self.begin(workflow, None, jobs, again).await?.take()?;
        let begun = letters.bytes().map(|letter| match letter {
            b'D' => Begun::Done,
            b'H' => Begun::Halted,
            b'U' => Begun::Unknown,
            _ => Begun::Before,
        });
        Ok(begun.collect())
    }

    async fn advance(&self, workflow: &WorkflowId, advance: &Advance) -> Result<Advanced, BrokerError> {
        let mut reply = self.begin(workflow, Some(advance), &advance.begin, false).await?;
        Ok(match reply.status() {
            Status::Done => Advanced::Done,
            Status::Moved => Advanced::Moved(reply.take()?),
            Status::Halted => Advanced::Halted,
            _ => Advanced::Unknown,
        })
    }

    async fn fail_step(
        &self,
        workflow: &WorkflowId,
        node: u32,
        end: &StepEnd,
        policy: Policy,
    ) -> Result<(), BrokerError> {
        let mut call = Call::new(&script::FAIL_STEP, &self.quiet_keys(workflow));
        call.arg(self.now_override()).arg(workflow.as_str());
        let mut link = StepLink::new(workflow.clone(), node);
        link.policy = policy;
        add_step(&mut call, &link, end, false, |_| 0);
        self.commands.call(&call).await.map(|_| ())
    }

    async fn take_events(&self, max: usize, lease: Duration) -> Result<Vec<WorkflowEvent>, BrokerError> {
        let mut call = Call::new(&script::TAKE_EVENTS, &[self.keys.workflow_events(), self.keys.workflows()]);
        call.arg(self.now_override()).arg(max.min(MAX_STEPS)).arg(millis(lease));
        let mut reply = self.commands.call(&call).await?;
        let until = reply.instant()?;
        let events: Vec<String> = reply.take()?;
        events.iter().map(|text| event(text, until)).collect()
    }

    async fn finish_event(&self, event: &WorkflowEvent) -> Result<(), BrokerError> {
        let mut call = Call::new(&script::FINISH_EVENT, &[self.keys.workflow_events()]);
        call.arg(format!("{} {:010}", event.workflow, event.node)).arg(event.until.as_millis());
        self.commands.call(&call).await.map(|_| ())
    }

    async fn step_ends(
        &self,
        workflow: &WorkflowId,
        nodes: &[u32],
        values: bool,
    ) -> Result<Vec<Option<KeptEnd>>, BrokerError> {
        check_steps(nodes.len())?;
        let mut call = Call::new(&script::STEP_ENDS, &[self.keys.workflow(workflow)]);
        call.arg(MAX_BATCH_BYTES).arg(u8::from(values)).arg(rows(nodes.iter().copied()));
        let mut reply = self.commands.call(&call).await?;
        let mut ends: Vec<_> = if values {
            reply.take::<Vec<String>>()?.iter().map(|text| kept_end(text)).collect()
        } else {
            reply.take::<String>()?.chars().map(|letter| kept_end(letter.encode_utf8(&mut [0; 4]))).collect()
        };
        for (place, advanced) in reply.pairs::<usize, u32>()? {
            if let Some(end) = place.checked_sub(1).and_then(|place| ends.get_mut(place)?.as_mut()) {
                end.pending = Some(advanced);
            }
        }
        Ok(ends)
    }

    async fn counted(&self, workflow: &WorkflowId, node: u32) -> Result<u32, BrokerError> {
        let mut command = redis::cmd("HGET");
        command.arg(self.keys.workflow(workflow)).arg(format!("c{node}"));
        Ok(read::<Option<u32>>(self.commands.command(&command).await?)?.unwrap_or_default())
    }

    async fn workflow(&self, id: &WorkflowId) -> Result<Option<WorkflowView>, BrokerError> {
        Ok(self.workflow_views(std::slice::from_ref(id)).await?.pop())
    }

    async fn workflow_spec(&self, id: &WorkflowId) -> Result<Option<String>, BrokerError> {
        read(self.commands.command(redis::cmd("HGET").arg(self.keys.workflow(id)).arg("spec")).await?)
    }

    async fn workflows(&self, before: Option<&WorkflowMark>, max: usize) -> Result<Vec<WorkflowView>, BrokerError> {
        let max = max.min(MAX_STEPS);
        let latest = before.map_or_else(|| "+inf".to_owned(), |before| before.made_at.as_millis().to_string());
        let (mut ids, mut seen) = (Vec::new(), 0);
        // Those of one instant come in the order of their ids, of which some may have been shown.
        while ids.len() < max {
            let mut command = redis::cmd("ZREVRANGEBYSCORE");
            command.arg(self.keys.workflows()).arg(&latest).arg("-inf").arg("WITHSCORES");
            command.arg("LIMIT").arg(seen).arg(MAX_STEPS);
            let found: Vec<(String, u64)> = read(self.commands.command(&command).await?)?;
            let count = found.len();
            seen += count;
            let older = found.into_iter().filter_map(|(id, made_at)| {
                let place = (Timestamp::from_millis(made_at), WorkflowId::new(id).ok()?);
                let shown = before.is_some_and(|before| place >= (before.made_at, before.id.clone()));
                (!shown).then_some(place.1)
            });
            ids.extend(older);
            if count < MAX_STEPS {
                break;
            }
        }
        ids.truncate(max);
        self.workflow_views(&ids).await
    }

    async fn finish_workflow(
        &self,
        workflow: &WorkflowId,
        outcome: &Outcome,
        keep: Duration,
        retention: Duration,
    ) -> Result<bool, BrokerError> {
        let keep = coarse(keep);
        let mut list = self.quiet_keys(workflow);
        list.extend([self.keys.ends(), self.keys.keeps()]);
        if keep > 0 {
            list.push(self.keys.ended(keep));
        }
        let mut call = Call::new(&script::FINISH_WORKFLOW, &list);
        call.arg(self.now_override()).arg(self.keys.finished()).arg(workflow.as_str());
        call.arg(millis(retention)).arg(outcome.encode()).arg(u8::from(outcome.state != State::Succeeded));
        if keep > 0 {
            call.arg(keep);
        }
        Ok(self.commands.call(&call).await?.status() == Status::Done)
    }

    async fn revoke_workflow(&self, workflow: &WorkflowId, by: &str) -> Result<WorkflowRevoked, BrokerError> {
        let mut list = self.quiet_keys(workflow);
        list.push(self.keys.ends());
        let mut call = Call::new(&script::REVOKE_WORKFLOW, &list);
        call.arg(self.now_override()).arg(workflow.as_str()).arg(by);
        Ok(match self.commands.call(&call).await?.status() {
            Status::Done => WorkflowRevoked::Done,
            Status::Refused => WorkflowRevoked::TooLate,
            _ => WorkflowRevoked::Unknown,
        })
    }

    async fn withdraw(&self, workflow: &WorkflowId, ids: &[JobId]) -> Result<Option<usize>, BrokerError> {
        check_steps(ids.len())?;
        self.withdraw_jobs(workflow, ids).await
    }
}

const _: () = assert!(ROOT == 4_294_967_295, "lua/start_workflow.lua says so too");
