//! The results that a step waits for, page by page: for those that are too many to be its arguments.

use std::sync::Arc;

use celeriac_broker::{Broker, BrokerError, KeptEnd, MAX_STEPS};
use celeriac_core::WorkflowId;
use celeriac_core::canvas::{Node, NodeKind, Plan, StepLink};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use crate::flow::Flow;
use crate::plans::Plans;
use crate::values::NoValue;

/// The value of a step, and the name of the step.
pub type Input = (String, Box<RawValue>);

/// Why the inputs of a step cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputsError {
    /// The job is no step of a workflow.
    #[error("the job is no step of a workflow, and has no inputs but its arguments")]
    NoStep,
    /// A result is not of the type that was asked for.
    #[error("the result of {step} is something else than was asked for")]
    Type {
        /// The step.
        step: String,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// The store does not know the workflow any more.
    #[error("there is no workflow {0} any more")]
    Gone(WorkflowId),
    /// A result that the step waits for is not there.
    #[error("the result of {0} is not there")]
    Missing(String),
    /// One of several groups that the step waits for has more than 1 MiB of results.
    #[error("the results of {0} are more than 1 MiB: let the step wait for that alone, and it reads them one by one")]
    TooLarge(String),
    /// What the store says.
    #[error("failed to read the inputs of the step")]
    Store(#[from] BrokerError),
}

/// The values of what a step waits for, in their order.
///
/// If that is one group, or one join of several, they are the values of its members. Under `"when_dead": "continue"` a value is
/// `{"ok": …}` or `{"error": …}`, as everywhere.
#[derive(Debug)]
pub struct Inputs {
    broker: Arc<dyn Broker>,
    plan: Arc<Plan>,
    nodes: Vec<u32>,
    next: usize,
    ahead: Option<Ahead>,
}

/// The ends of some steps, as the store answers them.
type Ends = Result<Vec<Option<KeptEnd>>, BrokerError>;

/// A page that is read while the handler works on the one before it.
#[derive(Debug)]
struct Ahead {
    steps: Vec<u32>,
    /// One task, which ends when this is dropped.
    reading: JoinSet<Ends>,
}

impl Inputs {
    /// The inputs of the step whose job has this link.
    ///
    /// # Errors
    /// [`InputsError`].
    pub async fn open(broker: Arc<dyn Broker>, plans: &Plans, link: &StepLink) -> Result<Self, InputsError> {
        let gone = || InputsError::Gone(link.workflow.clone());
        let view = broker.workflow(&link.workflow).await?.ok_or_else(gone)?;
        let plan = plans.of(broker.as_ref(), &view).await?.ok_or_else(gone)?;
        let node = plan.node(link.at).ok_or_else(|| {
            let detail = format!("{} has no node {}", link.workflow, link.at);
            BrokerError::Corrupt { what: "the place of a job in its workflow", detail }
        })?;
        let nodes = spread(node);
        Ok(Self { broker, plan, nodes, next: 0, ahead: None })
    }

    /// How many there are in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The next ones, at most `max` and about 1 MiB, each with the name of its step; `None` after the last. What comes behind them is read
    /// meanwhile.
    ///
    /// # Errors
    /// [`InputsError`]; the call may be repeated.
    pub async fn next(&mut self, max: usize) -> Result<Option<Vec<Input>>, InputsError> {
        let plan = Arc::clone(&self.plan);
        let input = |(node, value): (Node<'_>, String)| Ok((node.name(), raw(node, value)?));
        let page = self.page(&plan, max).await?;
        let page = page.map(|page| page.into_iter().map(input).collect::<Result<Vec<_>, InputsError>>()).transpose()?;
        self.next += page.as_ref().map_or(0, Vec::len);
        Ok(page)
    }

    /// The next ones as values of this type, at most `max` and about 1 MiB; `None` after the last.
    ///
    /// # Errors
    /// [`InputsError`]. After [`InputsError::Type`] the next call answers what comes behind.
    pub async fn next_page<T: DeserializeOwned>(&mut self, max: usize) -> Result<Option<Vec<T>>, InputsError> {
        let plan = Arc::clone(&self.plan);
        let Some(page) = self.page(&plan, max).await? else { return Ok(None) };
        self.next += page.len();
        let read = |(node, value): (Node<'_>, String)| {
            serde_json::from_str(&value).map_err(|source| InputsError::Type { step: node.name(), source })
        };
        page.into_iter().map(read).collect::<Result<Vec<T>, _>>().map(Some)
    }

    /// The next nodes and their values.
    async fn page<'p>(&mut self, plan: &'p Plan, max: usize) -> Result<Option<Vec<(Node<'p>, String)>>, InputsError> {
        let first = self.nodes.get(self.next).and_then(|node| plan.node(*node));
        let Some(first) = first else { return Ok(None) };
        if first.kind() == NodeKind::Join {
            return Ok(Some(vec![(first, self.joined(first).await?)]));
        }
        let steps = self.steps_from(self.next, max);
        let ends = self.read(&steps).await?;
        self.read_ahead(self.next + ends.len(), max);
        let nodes = steps.iter().filter_map(|step| plan.node(*step));
        let value = |(node, kept): (Node<'p>, Option<KeptEnd>)| {
            let kept = kept.filter(|kept| kept.kind().lets_go_on());
            Ok((node, kept.ok_or_else(|| InputsError::Missing(node.name()))?.end.value))
        };
        nodes.zip(ends).map(value).collect::<Result<_, InputsError>>().map(Some)
    }

    /// The steps from here to the next join, at most `max`.
    fn steps_from(&self, from: usize, max: usize) -> Vec<u32> {
        let is_step = |node: &&u32| self.plan.node(**node).is_some_and(|node| node.kind() != NodeKind::Join);
        let rest = self.nodes.get(from..).unwrap_or_default();
        rest.iter().take(max.clamp(1, MAX_STEPS)).take_while(is_step).copied().collect()
    }

    /// The ends of these steps, or of as many as the store answers at once: perhaps they have been read already.
    async fn read(&mut self, steps: &[u32]) -> Ends {
        if let Some(mut ahead) = self.ahead.take().filter(|ahead| ahead.steps == steps)
            && let Some(Ok(ends)) = ahead.reading.join_next().await
        {
            return ends;
        }
        Flow::new(self.broker.as_ref(), &self.plan).values_page(steps).await
    }

    fn read_ahead(&mut self, from: usize, max: usize) {
        let steps = self.steps_from(from, max);
        self.ahead = (!steps.is_empty()).then(|| {
            let (broker, plan, wanted) = (Arc::clone(&self.broker), Arc::clone(&self.plan), steps.clone());
            let mut reading = JoinSet::new();
            reading.spawn(async move { Flow::new(broker.as_ref(), &plan).values_page(&wanted).await });
            Ahead { steps, reading }
        });
    }

    /// The value of a join, which is not stored.
    async fn joined(&self, join: Node<'_>) -> Result<String, InputsError> {
        let missing = || InputsError::Missing(join.name());
        let flow = Flow::new(self.broker.as_ref(), &self.plan);
        match flow.values(&[join.index()]).await? {
            Ok(values) => values.get(join.index()).map(str::to_owned).ok_or_else(missing),
            Err(NoValue::Missing(_)) => Err(missing()),
            Err(NoValue::TooLarge(_)) => Err(InputsError::TooLarge(join.name())),
        }
    }
}

/// What a node waits for: the members, if that is one join.
fn spread(node: Node<'_>) -> Vec<u32> {
    let plan = node.plan();
    let mut deps = node.deps();
    while let [only] = deps {
        match plan.node(*only).filter(|only| only.kind() == NodeKind::Join) {
            Some(join) => deps = join.deps(),
            None => break,
        }
    }
    deps.to_vec()
}

fn raw(node: Node<'_>, value: String) -> Result<Box<RawValue>, InputsError> {
    RawValue::from_string(value).map_err(|error| {
        let detail = format!("{}: {error}", node.name());
        BrokerError::Corrupt { what: "the result of a step", detail }.into()
    })
}
