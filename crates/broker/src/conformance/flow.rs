//! A workflow as the cases see it: steps with a queue each, and short words for how they end.

use celeriac_core::canvas::{Counts, Next, Policy, StepLink, WaitingStep};
use celeriac_core::{JobId, Outcome as JobOutcome, Record, State, Transition, WorkflowId};

use super::context::{Context, Outcome, queue_name, seconds, task_name};
use super::worker::{TestWorker, death, success};
use crate::{BrokerError, Delivery, KeptEnd, MAX_STEPS, NewWorkflow, Submitted, WorkflowView};

/// The id of the workflow that most cases are about.
pub const FLOW: &str = "flow";

/// A workflow's id.
#[must_use]
pub fn workflow_id(id: &str) -> WorkflowId {
    WorkflowId::new(id).expect("the suite uses valid ids")
}

/// The place of a node in the workflow [`FLOW`].
#[must_use]
pub fn link(at: u32) -> StepLink {
    StepLink::new(workflow_id(FLOW), at)
}

/// The place of a node that other nodes wait for: each for it alone.
#[must_use]
pub fn link_before(at: u32, next: &[u32]) -> StepLink {
    let mut link = link(at);
    link.next = next.iter().map(|node| Next(*node, queue_of(*node))).collect();
    link
}

/// The place of a node that a node waits for beside others.
#[must_use]
pub fn link_counting(at: u32, node: u32, needed: u32) -> StepLink {
    let mut link = link(at);
    link.counts = vec![Counts(node, needed)];
    link
}

/// The place with another policy.
#[must_use]
pub fn under(policy: Policy, mut link: StepLink) -> StepLink {
    link.policy = policy;
    link
}

pub(super) fn queue_of(node: u32) -> celeriac_core::QueueName {
    queue_name(&format!("q{node}"))
}

/// The id of a step's job.
#[must_use]
pub fn step_id(link: &StepLink) -> JobId {
    JobId::new(format!("{}:{}", link.workflow, link.at)).expect("the suite uses valid ids")
}

/// The job of a step; each node has a queue of its own.
#[must_use]
pub fn step(link: StepLink) -> Record {
    let mut record = Record::new(step_id(&link), task_name("task"), queue_of(link.at), b"{}".to_vec());
    record.options.step = Some(Box::new(link));
    record
}

/// A job whose only argument is the result of the step before it.
#[must_use]
pub fn waiting(link: StepLink) -> WaitingStep {
    let mut record = step(link);
    record.payload = br#"{"took":}"#.to_vec();
    WaitingStep::new(record, Some(8))
}

/// A workflow that begins, without any step.
#[must_use]
pub fn new_flow(id: &str) -> NewWorkflow {
    NewWorkflow {
        id: workflow_id(id),
        fresh: false,
        token: "token".to_owned(),
        spec: r#"{"task":"task"}"#.to_owned(),
        version: 3,
        nodes: 9,
        waiting: Vec::new(),
        roots: Vec::new(),
        begins: true,
    }
}

/// The end of a workflow.
#[must_use]
pub fn flow_end(id: &str, state: State, context: &Context) -> JobOutcome {
    let id = JobId::new(id).expect("the suite uses valid ids");
    let record = Record::new(id, task_name("flow"), queue_name("q"), Vec::new());
    JobOutcome::of_waiting(&record, state, "worker", "over", context.now())
}

/// A workflow with a worker that runs its steps.
#[derive(Debug)]
pub struct Flow<'c> {
    /// The store and its clock.
    pub context: &'c Context,
    /// Its id.
    pub id: WorkflowId,
    /// Runs its steps.
    pub worker: TestWorker,
}

impl<'c> Flow<'c> {
    /// Begins [`FLOW`] with these steps, and with jobs that wait.
    pub async fn begin(
        context: &'c Context,
        roots: impl IntoIterator<Item = StepLink>,
        waiting: Vec<WaitingStep>,
    ) -> Result<Self, BrokerError> {
        let roots = roots.into_iter().map(step).collect();
        Self::put(context, NewWorkflow { roots, waiting, ..new_flow(FLOW) }).await
    }

    /// Begins this workflow.
    pub async fn put(context: &'c Context, new: NewWorkflow) -> Result<Self, BrokerError> {
        assert_eq!(context.broker.put_workflow(&new).await?, Submitted::Done);
        Ok(Self { context, id: new.id, worker: context.worker().await? })
    }

    /// What the store shows of it, which must be there.
    pub async fn view(&self) -> Result<WorkflowView, BrokerError> {
        Ok(self.context.broker.workflow(&self.id).await?.unwrap_or_else(|| panic!("no workflow {}", self.id)))
    }

    /// How many of its steps have failed, and whether it is halted.
    pub async fn failed(&self) -> Result<(u32, bool), BrokerError> {
        let view = self.view().await?;
        Ok((view.failures, view.halted))
    }

    /// The end of a node.
    pub async fn end(&self, node: u32) -> Result<Option<KeptEnd>, BrokerError> {
        let mut ends = self.context.broker.step_ends(&self.id, &[node], true).await?;
        assert_eq!(ends.len(), 1, "one answer for one node");
        Ok(ends.remove(0))
    }

    /// The letter of a node's end, its value, and whether it is pending.
    pub async fn ended(&self, node: u32) -> Result<Option<(char, String, bool)>, BrokerError> {
        Ok(self.end(node).await?.map(|kept| (kept.kind().letter(), kept.end.value, kept.pending.is_some())))
    }

    /// Takes all events and finishes them: the nodes they name.
    pub async fn events(&self) -> Result<Vec<u32>, BrokerError> {
        let broker = &self.context.broker;
        let events = broker.take_events(MAX_STEPS, seconds(30)).await?;
        for event in &events {
            assert_eq!(event.workflow, self.id);
            broker.finish_event(event).await?;
        }
        Ok(events.into_iter().map(|event| event.node).collect())
    }

    /// Takes the job of a step, which must be ready.
    pub async fn take(&self, node: u32) -> Result<Delivery, BrokerError> {
        self.worker.fetch_one(queue_of(node).as_str()).await
    }

    /// Whether the job of a step is ready.
    pub async fn is_ready(&self, node: u32) -> Result<bool, BrokerError> {
        Ok(self.context.queue(queue_of(node).as_str()).await?.ready == 1)
    }

    /// Takes the job of a step and ends it.
    pub async fn settle(&self, node: u32, way: impl Fn(&Delivery, celeriac_core::Timestamp) -> Transition) -> Outcome {
        let delivery = self.take(node).await?;
        self.worker.settle_one(&delivery, way(&delivery, self.context.now())).await
    }

    /// Takes the job of a step and ends it with the result `[1]`.
    pub async fn succeed(&self, node: u32) -> Outcome {
        self.settle(node, success).await
    }

    /// Takes the job of a step and lets it die.
    pub async fn die(&self, node: u32) -> Outcome {
        self.settle(node, death).await
    }
}

/// The end of a step that died, as its workflow keeps it.
#[must_use]
pub fn died(node: u32) -> String {
    format!(r#"{{"step":"{node}","task":"task","error":"bad card","attempts":1}}"#)
}

/// A good end with this value, as [`Flow::ended`] tells it.
pub(super) fn succeeded(value: &str) -> Option<(char, String, bool)> {
    Some(('S', value.to_owned(), false))
}
