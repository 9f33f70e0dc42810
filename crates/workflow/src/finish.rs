//! Notes that a workflow has ended.

use std::time::Duration;

use celeriac_broker::{BrokerError, WorkflowView};
use celeriac_core::canvas::Failure;
use celeriac_core::{
    DEFAULT_DEAD_TTL, DEFAULT_RESULT_TTL, MAX_PAYLOAD_BYTES, Outcome, QueueName, Record, State, TaskName,
};
use serde_json::value::RawValue;

use crate::flow::Flow;

/// What stands for the worker in the end of a workflow.
const WORKFLOW: &str = "workflow";

impl Flow<'_> {
    /// Notes that the workflow has succeeded. Its result is the value of its output; one that is larger than a result may be is left out.
    pub(crate) async fn finish_succeeded(self, view: &WorkflowView) -> Result<(), BrokerError> {
        if view.revoked_by.is_some() {
            return Ok(());
        }
        let output = self.plan.output();
        let values = self.values(&[output]).await?;
        let value = values.ok().and_then(|values| values.get(output).map(str::to_owned));
        let value = value.filter(|value| value.len() <= MAX_PAYLOAD_BYTES);
        let result = value.and_then(|value| RawValue::from_string(value).ok());
        self.finish(view, State::Succeeded, result, None).await
    }

    /// Notes that the workflow has failed, unless somebody has just retried what had.
    pub(crate) async fn finish_failed(self, failure: &Failure) -> Result<(), BrokerError> {
        let Some(view) = self.broker.workflow(self.id()).await?.filter(|view| view.halted) else { return Ok(()) };
        self.finish(&view, State::Dead, None, Some(&format!("step {}: {}", failure.step, failure.error))).await
    }

    pub(crate) async fn finish(
        self,
        view: &WorkflowView,
        state: State,
        result: Option<Box<RawValue>>,
        error: Option<&str>,
    ) -> Result<(), BrokerError> {
        let mut record = Record::new(self.job_id(), TaskName::of_workflows(), QueueName::default(), Vec::new());
        record.enqueued_at = view.made_at;
        let now = self.broker.now().await?;
        let mut outcome = Outcome::of_waiting(&record, state, WORKFLOW, error.unwrap_or_default(), now);
        (outcome.result, outcome.error) = (result, error.map(str::to_owned));
        let retention = if state == State::Dead { DEFAULT_DEAD_TTL } else { RETENTION };
        let is_news = self.broker.finish_workflow(self.id(), &outcome, DEFAULT_RESULT_TTL, retention).await?;
        if is_news {
            tracing::debug!(workflow = %self.id(), %state, error, "a workflow has ended");
        }
        Ok(())
    }
}

/// How long a workflow that needs nobody is kept after its end.
const RETENTION: Duration = Duration::from_secs(24 * 3600);
