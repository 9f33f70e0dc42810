//! Takes events of workflows and does what is to be done.

use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::{Advanced, Broker, BrokerError, MAX_STEPS, REVIEW, ROOT, WorkflowEvent, WorkflowView};

use celeriac_core::canvas::StepLink;

use crate::decide::{Mark, Todo, is_output, todo};
use crate::flow::Flow;
use crate::inputs::{Inputs, InputsError};
use crate::plans::Plans;
use crate::submit::persist;

/// How long an event is taken for. When its conductor vanishes, or cannot handle it, another has it after that.
const LEASE: Duration = Duration::from_secs(10);

/// Carries workflows on: what a worker has, to do what a store cannot do without the plan.
#[derive(Debug)]
pub struct Conductor {
    broker: Arc<dyn Broker>,
    plans: Arc<Plans>,
}

impl Conductor {
    /// One for this store.
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, plans: Arc::default() }
    }

    /// The plans it has loaded, for whoever else needs them.
    #[must_use]
    pub fn plans(&self) -> &Arc<Plans> {
        &self.plans
    }

    /// The results that the step waits for whose job has this link.
    ///
    /// # Errors
    /// [`InputsError`].
    pub async fn inputs(&self, link: &StepLink) -> Result<Inputs, InputsError> {
        Inputs::open(Arc::clone(&self.broker), &self.plans, link).await
    }

    /// Takes at most `max` events and handles them. Answers how many it took; 0 says that there is nothing to do now.
    ///
    /// An event that could not be handled is taken again, by anybody, when its lease has ended. A crash leaves the same.
    ///
    /// # Errors
    /// What the store says when it is asked for events, and while it does not answer.
    pub async fn conduct(&self, max: usize) -> Result<usize, BrokerError> {
        let events = self.broker.take_events(max.min(MAX_STEPS), LEASE).await?;
        let taken = events.len();
        for event in events {
            match persist(|| self.handle(&event)).await {
                Ok(()) => {}
                // The next event would not fare better.
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    let (workflow, node) = (&event.workflow, event.node);
                    tracing::warn!(%workflow, node, %error, "a workflow cannot be carried on; it is tried again");
                }
            }
        }
        Ok(taken)
    }

    async fn handle(&self, event: &WorkflowEvent) -> Result<(), BrokerError> {
        if let Some(view) = self.broker.workflow(&event.workflow).await? {
            self.carry_on(event.node, &view).await?;
        }
        self.broker.finish_event(event).await
    }

    async fn carry_on(&self, node: u32, view: &WorkflowView) -> Result<(), BrokerError> {
        let broker = self.broker.as_ref();
        let Some(plan) = self.plans.of(broker, view).await? else { return Ok(()) };
        let flow = Flow::new(broker, &plan);
        match node {
            // An event may be older than the workflow, if there was another of the same id.
            _ if !view.begun && view.revoked_by.is_none() => Ok(()),
            ROOT => flow.start().await.map(|_| ()),
            REVIEW => flow.review(view).await,
            node => flow.look_at(node, view).await,
        }
    }
}

impl Flow<'_> {
    /// Does what is to be done for one node.
    async fn look_at(self, index: u32, view: &WorkflowView) -> Result<(), BrokerError> {
        let Some(node) = self.plan.node(index) else {
            let detail = format!("{} has no node {index}", self.id());
            return Err(BrokerError::Corrupt { what: "an event of a workflow", detail });
        };
        let ends = self.broker.step_ends(self.id(), &[index], false).await?;
        let end = ends.first().and_then(|end| end.as_ref().map(Mark::from));
        let may_begin = end.is_none() && self.may_begin(node).await?;
        match todo(node, end, may_begin) {
            Todo::Nothing => Ok(()),
            Todo::Begin => self.begin(node).await,
            Todo::Fail(policy) => self.fail_by(node, policy, view).await,
            Todo::Finish => self.finish_succeeded(view).await,
            Todo::Advance(from) => {
                if self.advance(node, from).await? == Advanced::Done && is_output(node) {
                    self.finish_succeeded(view).await?;
                }
                Ok(())
            }
        }
    }
}
