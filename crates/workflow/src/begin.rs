//! Begins steps: composes the arguments of their jobs and enqueues them.

use celeriac_broker::{Begun, BrokerError};
use celeriac_core::Record;
use celeriac_core::canvas::{EndKind, Failure, Node, StepEnd};

use crate::decide::needs;
use crate::flow::Flow;
use crate::submit::Room;
use crate::values::{NoValue, Values};

/// Where so many are gathered, somebody looks first whether the job is there.
const DEAR: usize = 16;

/// What became of a step whose job was to be made.
pub(crate) enum Made {
    /// The job.
    Job(Box<Record>),
    /// None can be made, and the step has ended with that.
    Failed,
    /// Nothing: the workflow has moved on, or is gone.
    Nothing,
}

impl Flow<'_> {
    /// Makes the job of a node with these values, or notes that it cannot be made.
    pub(crate) async fn make(self, node: Node<'_>, values: &Result<Values, NoValue>) -> Result<Made, BrokerError> {
        match values.as_ref().map_err(NoValue::clone).and_then(|values| values.payload(node)) {
            Ok(payload) => Ok(node.record(payload).map_or(Made::Nothing, |record| Made::Job(Box::new(record)))),
            Err(NoValue::TooLarge(text)) => self.fail(node, text).await.map(|()| Made::Failed),
            Err(NoValue::Missing(dep)) => {
                tracing::debug!(workflow = %self.id(), node = node.index(), dep, "a value is not there (any more)");
                Ok(Made::Nothing)
            }
        }
    }

    /// Ends a step whose job cannot be made.
    async fn fail(self, node: Node<'_>, error: String) -> Result<(), BrokerError> {
        let (Some(policy), Some(failure)) = (node.policy(), Failure::of(node, error, 0)) else { return Ok(()) };
        tracing::warn!(workflow = %self.id(), step = failure.step, error = failure.error, "a step cannot begin");
        let end = StepEnd::failed(policy, EndKind::Dead, &failure);
        self.broker.fail_step(self.id(), node.index(), &end, policy).await
    }

    /// Begins one step.
    pub(crate) async fn begin(self, node: Node<'_>) -> Result<(), BrokerError> {
        if let Made::Job(job) = self.make(node, &self.values(needs(node)).await?).await? {
            self.broker.begin_steps(self.id(), &[*job], false).await?;
        }
        Ok(())
    }

    /// Begins steps, those of one group together. Whether the workflow goes on.
    pub(crate) async fn begin_all(self, nodes: &[u32]) -> Result<bool, BrokerError> {
        let (mut jobs, mut room) = (Vec::new(), Room::default());
        // Members of a group need the same values, and stand one behind the other.
        let mut last: Option<(&[u32], Result<Values, NoValue>)> = None;
        for node in nodes.iter().filter_map(|node| self.plan.node(*node)) {
            if node.deps().len() > DEAR && self.is_there(node).await? {
                continue;
            }
            let values = match last.take() {
                Some((needed, values)) if needed == needs(node) => values,
                _ => self.values(needs(node)).await?,
            };
            let made = self.make(node, &values).await?;
            last = Some((needs(node), values));
            let Made::Job(job) = made else { continue };
            if !room.take(job.payload.len()) {
                if !self.enqueue(&std::mem::take(&mut jobs)).await? {
                    return Ok(false);
                }
                room = Room::default();
                room.take(job.payload.len());
            }
            jobs.push(*job);
        }
        self.enqueue(&jobs).await
    }

    async fn enqueue(self, jobs: &[Record]) -> Result<bool, BrokerError> {
        if jobs.is_empty() {
            return Ok(true);
        }
        let begun = self.broker.begin_steps(self.id(), jobs, false).await?;
        Ok(!begun.iter().any(|begun| matches!(begun, Begun::Halted | Begun::Unknown)))
    }

    async fn is_there(self, node: Node<'_>) -> Result<bool, BrokerError> {
        let Some(id) = node.id() else { return Ok(false) };
        let job = self.broker.job(&id).await?;
        Ok(job.is_some_and(|job| !job.state.is_terminal()))
    }
}
