//! From a description to a workflow in the store.

use std::time::Duration;

use celeriac_broker::{Broker, BrokerError, MAX_STEPS, NewWorkflow, Submitted};
use celeriac_core::canvas::{Limits, MAX_INLINE, Node, NodeKind, Plan, SpecError, WaitingStep, Workflow, compile};
use celeriac_core::{QueueName, Record, TaskName, WorkflowId};

use crate::PLAN_VERSION;
use crate::flow::Flow;

/// About how many bytes of jobs go into one call.
const MAX_CALL_BYTES: usize = 1024 * 1024;
/// What a job takes in a call beside its arguments.
const OVERHEAD: usize = 300;

/// How often a call is repeated that was not answered, or refused for now, and how long the first pause is; each further is four times as long.
const REPEATS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The id that a workflow gets.
#[derive(Debug, Clone)]
pub struct NewId {
    id: WorkflowId,
    fresh: bool,
}

impl NewId {
    /// One that nothing ever had.
    #[must_use]
    pub fn generate() -> Self {
        Self::fresh(WorkflowId::generate())
    }

    /// One of which the caller knows that nothing ever had it: it begins with less looking around than one that somebody has chosen.
    #[must_use]
    pub fn fresh(id: WorkflowId) -> Self {
        Self { id, fresh: true }
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &WorkflowId {
        &self.id
    }
}

impl From<WorkflowId> for NewId {
    /// One that somebody has chosen, and perhaps before.
    fn from(id: WorkflowId) -> Self {
        Self { id, fresh: false }
    }
}

impl From<&WorkflowId> for NewId {
    /// One that somebody has chosen, and perhaps before.
    fn from(id: &WorkflowId) -> Self {
        id.clone().into()
    }
}

/// Why a workflow was not submitted. The client has words of its own for each of these, and shall miss none.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// It cannot be carried out. Nothing was stored.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// There is another workflow of this id. Nothing was changed.
    #[error("there is a workflow {0} already")]
    InUse(WorkflowId),
    /// The store refused, or did not answer. After [`BrokerError::InDoubt`] the workflow may have begun.
    #[error("failed to store the workflow")]
    Store(#[from] BrokerError),
}

/// Checks a workflow, stores it, and lets it begin.
///
/// `queue_of` says which queue is a task's own; steps that name no queue go there, or to `default`. The queues are stored with the
/// workflow, so those who carry it out need not know its tasks.
///
/// A call that was not answered is repeated a few times, and begins no second workflow. A crash of the caller leaves nothing that runs,
/// or the whole workflow.
///
/// # Errors
/// [`SubmitError`]; if it is [`SubmitError::Spec`], the store was not asked.
pub async fn submit(
    broker: &dyn Broker,
    workflow: &Workflow,
    id: impl Into<NewId>,
    queue_of: impl Fn(&TaskName) -> Option<QueueName>,
) -> Result<Plan, SubmitError> {
    let NewId { id, fresh } = id.into();
    let mut named = workflow.clone();
    named.name_queues(queue_of);
    let plan = compile(&named, &id, &Limits::default())?;
    let new = NewWorkflow {
        id,
        fresh,
        token: uuid::Uuid::new_v4().to_string(),
        spec: named.to_json(),
        version: PLAN_VERSION,
        nodes: plan.len() as u32,
        waiting: Vec::new(),
        roots: Vec::new(),
        begins: false,
    };
    match of_one_call(&plan) {
        Some((waiting, roots)) => put(broker, &NewWorkflow { waiting, roots, begins: true, ..new }).await?,
        None => put_in_pieces(broker, &plan, &new).await?,
    }
    Ok(plan)
}

async fn put_in_pieces(broker: &dyn Broker, plan: &Plan, new: &NewWorkflow) -> Result<(), SubmitError> {
    put(broker, new).await?;
    let mut waiting = waiting(plan).peekable();
    while waiting.peek().is_some() {
        let chunk = chunk(&mut waiting, |step: &WaitingStep| step.record.payload.len());
        persist(|| broker.put_waiting(&new.id, &chunk)).await?;
    }
    if !persist(|| broker.start_workflow(&new.id)).await? {
        let detail = format!("{} is gone before it began", new.id);
        return Err(BrokerError::Corrupt { what: "a workflow", detail }.into());
    }
    // It has begun, and workers would see to the rest. But one that has nothing to do looks for it only now and then.
    if let Err(error) = Flow::new(broker, plan).begin_first().await {
        tracing::debug!(workflow = %new.id, %error, "workers begin the steps of this workflow");
    }
    Ok(())
}

async fn put(broker: &dyn Broker, new: &NewWorkflow) -> Result<(), SubmitError> {
    match persist(|| broker.put_workflow(new)).await? {
        Submitted::InUse => Err(SubmitError::InUse(new.id.clone())),
        _ => Ok(()),
    }
}

/// Jobs that the store begins by itself with the commit that ends the only step they wait for.
fn waiting(plan: &Plan) -> impl Iterator<Item = WaitingStep> {
    let is_inline = |node: &Node<'_>| {
        let before = node.deps().first().and_then(|dep| plan.node(*dep)).filter(|_| node.deps().len() == 1);
        before.is_some_and(|before| before.kind() == NodeKind::Step && before.followers().len() <= MAX_INLINE)
    };
    plan.nodes().filter(is_inline).filter_map(Node::waiting)
}

/// All that is put with a workflow, if one call can take it; not if a join waits for nothing, which no job is.
fn of_one_call(plan: &Plan) -> Option<(Vec<WaitingStep>, Vec<Record>)> {
    let mut room = Room::default();
    let mut roots = Vec::new();
    for node in plan.nodes().filter(|node| is_root(*node)) {
        let record = node.payload(|_| None).ok().and_then(|payload| node.record(payload))?;
        roots.push(room.take(record.payload.len()).then_some(record)?);
    }
    let waiting = waiting(plan).map(|step| room.take(step.record.payload.len()).then_some(step));
    Some((waiting.collect::<Option<_>>()?, roots))
}

/// What still goes into a call.
#[derive(Default)]
pub(crate) struct Room {
    jobs: usize,
    bytes: usize,
}

impl Room {
    /// Whether another job goes into it, with arguments of this size; if so it is counted. One always does.
    pub(crate) fn take(&mut self, payload: usize) -> bool {
        let bytes = self.bytes + payload + OVERHEAD;
        let fits = self.jobs == 0 || (self.jobs < MAX_STEPS && bytes <= MAX_CALL_BYTES);
        if fits {
            (self.jobs, self.bytes) = (self.jobs + 1, bytes);
        }
        fits
    }
}

/// Whether a node begins with the workflow.
pub(crate) fn is_root(node: Node<'_>) -> bool {
    node.deps().is_empty() && matches!(node.kind(), NodeKind::Step | NodeKind::Join)
}

/// What goes into one call: one at least, at most [`MAX_STEPS`] and about [`MAX_CALL_BYTES`].
pub(crate) fn chunk<T>(items: &mut std::iter::Peekable<impl Iterator<Item = T>>, size: impl Fn(&T) -> usize) -> Vec<T> {
    let (mut taken, mut room) = (Vec::new(), Room::default());
    while let Some(item) = items.next_if(|item| room.take(size(item))) {
        taken.push(item);
    }
    taken
}

/// Makes a call that may be made twice, and repeats it while the store does not answer or refuses for now.
///
/// If one of the calls may have been carried out, that is what the error says, whatever became of those after it.
pub(crate) async fn persist<T, F: Future<Output = Result<T, BrokerError>>>(
    call: impl Fn() -> F,
) -> Result<T, BrokerError> {
    let mut doubt = None;
    let mut pauses = (0..REPEATS).map(|repeat| FIRST_PAUSE * 4_u32.pow(repeat));
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let pause = pauses.next().filter(|_| error.is_transient());
        tracing::debug!(%error, ?pause, "a call for a workflow failed");
        let error = match doubt.take() {
            Some(doubt) => doubt,
            None => error,
        };
        let Some(pause) = pause else { return Err(error) };
        doubt = Some(error).filter(BrokerError::is_in_doubt);
        tokio::time::sleep(pause).await;
    }
}
