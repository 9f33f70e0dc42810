//! Workflows by chance: two of one plan, whose jobs run and end like all others. What workers would do for them, chance does.

use std::time::Duration;

use celeriac_broker::conformance::{queue_name, step_id, task_name};
use celeriac_broker::{
    Advance, Broker, BrokerError, MAX_STEPS, NewWorkflow, ROOT, WorkflowEvent, WorkflowMark, WorkflowView,
};
use celeriac_core::canvas::{Counts, EndKind, Next, Policy, StepEnd, StepLink, WaitingStep};
use celeriac_core::{JobId, Outcome, QueueName, Record, State, Timestamp, WorkflowId};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::world::{QUEUES, TASKS, name};

const FLOWS: [&str; 2] = ["v", "w"];
/// Nodes of the plan that have a job; [`JOIN`] has none.
const STEPS: [u32; 7] = [0, 1, 2, 3, 5, 6, 7];
const JOIN: u32 = 4;
/// Off the whole seconds, so that whether a workflow is as old or older is not asked.
const MOMENT: Duration = Duration::from_millis(500);

/// What a follower of a node is, and whether it is begun or counted for.
#[derive(Debug, Clone)]
pub(crate) struct PartWish {
    node: Index,
    /// Whether another number of followers was dealt with before than whoever does it believes.
    stale: bool,
    last: bool,
    begin: Vec<Index>,
    counts: bool,
}

/// Something about workflows by chance.
#[derive(Debug, Clone)]
pub(crate) enum WorkflowWish {
    Put { flow: Index, another: bool, begins: bool, waiting: Vec<Index>, roots: Vec<Index> },
    PutWaiting { flow: Index, waiting: Vec<Index> },
    Start { flow: Index },
    Begin { flow: Index, nodes: Vec<Index>, again: bool },
    Advance { flow: Index, part: PartWish },
    Fail { flow: Index, node: Index, kind: Index, policy: Policy },
    Take { max: usize, finish: usize },
    FinishEvent { pick: Index },
    Finish { flow: Index, succeeded: bool, retention: u64 },
    Revoke { flow: Index },
    Withdraw { flow: Index },
}

pub(crate) fn carrying_out() -> impl Strategy<Value = WorkflowWish> {
    use proptest::bool::weighted;
    use proptest::collection::vec;
    let index = any::<Index>;
    let policies = proptest::sample::select(vec![Policy::Fail, Policy::Wait, Policy::Callback]);
    let parts = (index(), weighted(0.2), any::<bool>(), vec(index(), 0..3), any::<bool>());
    let parts = parts.prop_map(|(node, stale, last, begin, counts)| PartWish { node, stale, last, begin, counts });
    prop_oneof![
        3 => (index(), weighted(0.2), weighted(0.7), vec(index(), 0..6), vec(index(), 0..3)).prop_map(
            |(flow, another, begins, waiting, roots)| WorkflowWish::Put { flow, another, begins, waiting, roots }
        ),
        1 => (index(), vec(index(), 0..4)).prop_map(|(flow, waiting)| WorkflowWish::PutWaiting { flow, waiting }),
        1 => index().prop_map(|flow| WorkflowWish::Start { flow }),
        6 => (index(), vec(index(), 1..4), weighted(0.5)).prop_map(
            |(flow, nodes, again)| WorkflowWish::Begin { flow, nodes, again }
        ),
        4 => (index(), parts).prop_map(|(flow, part)| WorkflowWish::Advance { flow, part }),
        3 => (index(), index(), index(), policies).prop_map(
            |(flow, node, kind, policy)| WorkflowWish::Fail { flow, node, kind, policy }
        ),
        6 => (0usize..6, 0usize..4).prop_map(|(max, finish)| WorkflowWish::Take { max, finish }),
        2 => index().prop_map(|pick| WorkflowWish::FinishEvent { pick }),
        2 => (index(), any::<bool>(), 10u64..200).prop_map(
            |(flow, succeeded, retention)| WorkflowWish::Finish { flow, succeeded, retention }
        ),
        1 => index().prop_map(|flow| WorkflowWish::Revoke { flow }),
        2 => index().prop_map(|flow| WorkflowWish::Withdraw { flow }),
    ]
}

/// A call, the same for every side.
#[derive(Debug, Clone)]
pub(crate) enum WorkflowCall {
    Put(NewWorkflow),
    PutWaiting(WorkflowId, Vec<WaitingStep>),
    Start(WorkflowId),
    Begin(WorkflowId, Vec<Record>, bool),
    Advance(WorkflowId, Advance),
    Fail(WorkflowId, u32, StepEnd, Policy),
    /// Takes events and finishes the first of them.
    Take {
        max: usize,
        finish: usize,
    },
    /// Finishes an event that was taken at some time, counted from the newest.
    FinishEvent(Index),
    Finish(WorkflowId, Outcome, Duration),
    Revoke(WorkflowId),
    Withdraw(WorkflowId, Vec<JobId>),
}

impl WorkflowCall {
    /// The answer as text. `taken` are the events that this side has handed out so far.
    pub(crate) async fn answer(
        &self,
        broker: &dyn Broker,
        taken: &mut Vec<WorkflowEvent>,
    ) -> Result<String, BrokerError> {
        Ok(match self {
            Self::Put(workflow) => format!("{:?}", broker.put_workflow(workflow).await?),
            Self::PutWaiting(id, steps) => format!("{:?}", broker.put_waiting(id, steps).await?),
            Self::Start(id) => format!("{:?}", broker.start_workflow(id).await?),
            Self::Begin(id, jobs, again) => format!("{:?}", broker.begin_steps(id, jobs, *again).await?),
            Self::Advance(id, part) => format!("{:?}", broker.advance(id, part).await?),
            Self::Fail(id, node, end, policy) => format!("{:?}", broker.fail_step(id, *node, end, *policy).await?),
            Self::Take { max, finish } => {
                let events = broker.take_events(*max, Duration::from_secs(10)).await?;
                for event in events.iter().take(*finish) {
                    broker.finish_event(event).await?;
                }
                taken.extend(events.iter().cloned());
                format!("{events:?}")
            }
            Self::FinishEvent(_) if taken.is_empty() => String::new(),
            Self::FinishEvent(pick) => format!("{:?}", broker.finish_event(pick.get(taken)).await?),
            Self::Finish(id, outcome, retention) => {
                let day = Duration::from_secs(24 * 3600);
                format!("{:?}", broker.finish_workflow(id, outcome, day, *retention).await?)
            }
            Self::Revoke(id) => format!("{:?}", broker.revoke_workflow(id, "test").await?),
            Self::Withdraw(id, ids) => format!("{:?}", broker.withdraw(id, ids).await?),
        })
    }
}

/// All workflows as they can be seen, with the ends of their nodes.
pub(crate) async fn listing(broker: &dyn Broker) -> Result<Vec<String>, BrokerError> {
    let mut lines = Vec::new();
    let mut mark = None;
    while let Some(view) = broker.workflows(mark.as_ref(), 1).await?.pop() {
        assert_eq!(broker.workflow(&view.id).await?.as_ref(), Some(&view));
        lines.extend(show(broker, &view).await?);
        mark = Some(WorkflowMark { made_at: view.made_at, id: view.id });
    }
    assert_eq!(broker.workflows(None, MAX_STEPS).await?.len(), lines.len() / 2, "alone and all at once");
    Ok(lines)
}

async fn show(broker: &dyn Broker, view: &WorkflowView) -> Result<[String; 2], BrokerError> {
    let nodes: Vec<_> = STEPS.into_iter().chain([JOIN, ROOT]).collect();
    let ends = broker.step_ends(&view.id, &nodes, true).await?;
    let mut counted = Vec::new();
    for node in &nodes {
        counted.push(broker.counted(&view.id, *node).await?);
    }
    let spec = broker.workflow_spec(&view.id).await?;
    Ok([format!("{view:?} {spec:?}"), format!("nodes of {} made at {:?}: {ends:?} {counted:?}", view.id, view.made_at)])
}

/// The ids of all jobs that workflows may have, and of their ends.
pub(crate) fn ids() -> impl Iterator<Item = JobId> {
    let steps = |flow: &'static str| STEPS.into_iter().map(move |node| step_id(&link(&workflow(flow), node)));
    FLOWS.into_iter().flat_map(move |flow| steps(flow).chain([job_id(flow)]))
}

/// A workflow for the beginning, so that there is something to carry out.
pub(crate) fn first() -> WorkflowCall {
    let flow = workflow(FLOWS[0]);
    WorkflowCall::Put(new(&flow, false, true, [1, 2, 3].map(|node| waiting(&flow, node)).into(), vec![0, 7]))
}

/// Makes a call of a wish, by what the model says of the workflow.
pub(crate) async fn decide(wish: &WorkflowWish, model: &dyn Broker, now: Timestamp) -> WorkflowCall {
    match wish {
        WorkflowWish::Put { flow, another, begins, waiting: steps, roots } => {
            let (flow, roots) = (chosen(flow), if *begins { nodes(roots) } else { Vec::new() });
            let steps = nodes(steps).into_iter().map(|node| waiting(&flow, node)).collect();
            WorkflowCall::Put(new(&flow, *another, *begins, steps, roots))
        }
        WorkflowWish::PutWaiting { flow, waiting: steps } => {
            let flow = chosen(flow);
            let steps = nodes(steps).into_iter().map(|node| waiting(&flow, node)).collect();
            WorkflowCall::PutWaiting(flow, steps)
        }
        WorkflowWish::Start { flow } => WorkflowCall::Start(chosen(flow)),
        WorkflowWish::Begin { flow, nodes: picks, again } => {
            let flow = chosen(flow);
            let jobs = nodes(picks).into_iter().map(|node| job(&flow, node)).collect();
            WorkflowCall::Begin(flow, jobs, *again)
        }
        WorkflowWish::Advance { flow, part } => advance(chosen(flow), part, model).await,
        WorkflowWish::Fail { flow, node, kind, policy } => {
            let kinds = [EndKind::Dead, EndKind::Revoked, EndKind::Expired, EndKind::Error];
            let end = StepEnd::new(*kind.get(&kinds), "{\"error\":1}");
            WorkflowCall::Fail(chosen(flow), *node.get(&STEPS), end, *policy)
        }
        WorkflowWish::Take { max, finish } => WorkflowCall::Take { max: *max, finish: *finish },
        WorkflowWish::FinishEvent { pick } => WorkflowCall::FinishEvent(*pick),
        WorkflowWish::Finish { flow, succeeded, retention } => {
            let flow = chosen(flow);
            let record = Record::new(job_id(flow.as_str()), task_name(TASKS[0]), queue_name(QUEUES[0]), Vec::new());
            let state = if *succeeded { State::Succeeded } else { State::Dead };
            let outcome = Outcome::of_waiting(&record, state, "test", "over", now);
            WorkflowCall::Finish(flow, outcome, Duration::from_secs(*retention) + MOMENT)
        }
        WorkflowWish::Revoke { flow } => WorkflowCall::Revoke(chosen(flow)),
        WorkflowWish::Withdraw { flow } => WorkflowCall::Withdraw(chosen(flow), ids().collect()),
    }
}

async fn advance(flow: WorkflowId, part: &PartWish, model: &dyn Broker) -> WorkflowCall {
    let node = *part.node.get(&[0, 1, 2, 3, JOIN, 5, 7, ROOT]);
    let end = model.step_ends(&flow, &[node], false).await.ok().and_then(|ends| ends.into_iter().next().flatten());
    // Where nothing is pending any number may be right, and a small one is now and then.
    let from = end.map_or(0, |kept| kept.pending.unwrap_or(part.begin.len() as u32 / 2)) + u32::from(part.stale);
    let begin: Vec<_> = nodes(&part.begin).into_iter().map(|node| job(&flow, node)).collect();
    let counts: Vec<_> = part.counts.then_some(Counts(JOIN, 2)).into_iter().collect();
    let to = from + (begin.len() + counts.len()) as u32;
    WorkflowCall::Advance(flow, Advance { node, from, to, last: part.last, begin, counts })
}

fn workflow(id: &str) -> WorkflowId {
    WorkflowId::new(id).expect("a valid id")
}

fn job_id(id: &str) -> JobId {
    JobId::new(id).expect("a valid id")
}

fn chosen(flow: &Index) -> WorkflowId {
    workflow(name(flow, &FLOWS))
}

/// Steps, each once.
fn nodes(picks: &[Index]) -> Vec<u32> {
    let mut nodes: Vec<_> = picks.iter().map(|pick| *pick.get(&STEPS)).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

fn new(flow: &WorkflowId, another: bool, begins: bool, waiting: Vec<WaitingStep>, roots: Vec<u32>) -> NewWorkflow {
    NewWorkflow {
        id: flow.clone(),
        fresh: false,
        token: if another { "another" } else { "token" }.to_owned(),
        spec: format!("{{\"another\":{another}}}"),
        version: 1,
        nodes: 8,
        waiting,
        roots: roots.into_iter().map(|node| job(flow, node)).collect(),
        begins,
    }
}

/// The plan. Jobs of one queue are under one policy: a purge may end them in any order, and one of them may halt the workflow.
fn link(flow: &WorkflowId, at: u32) -> StepLink {
    let next = |node| Next(node, queue(node));
    let mut link = StepLink::new(flow.clone(), at);
    link.policy = match at {
        1 => Policy::Wait,
        2 | 7 => Policy::Continue,
        6 => Policy::Callback,
        _ => Policy::Fail,
    };
    match at {
        0 => link.next = vec![next(1), next(2)],
        1 => link.counts = vec![Counts(JOIN, 2)],
        2 => (link.next, link.counts) = (vec![next(3)], vec![Counts(JOIN, 2)]),
        3 => link.many = true,
        5 => link.last = true,
        7 => link.next = vec![next(5), next(6)],
        _ => {}
    }
    link
}

fn queue(node: u32) -> QueueName {
    queue_name(match node {
        1 => QUEUES[1],
        2 | 7 => QUEUES[2],
        _ => QUEUES[0],
    })
}

fn job(flow: &WorkflowId, at: u32) -> Record {
    let link = link(flow, at);
    let task = TASKS[at as usize % TASKS.len()];
    let mut record = Record::new(step_id(&link), task_name(task), queue(at), b"{}".to_vec());
    record.options.step = Some(Box::new(link));
    record
}

fn waiting(flow: &WorkflowId, at: u32) -> WaitingStep {
    let mut record = job(flow, at);
    if at == 6 {
        return WaitingStep::new(record, None);
    }
    record.payload = br#"{"taken":}"#.to_vec();
    WaitingStep::new(record, Some(9))
}
