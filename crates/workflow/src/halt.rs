//! What a failure, or somebody who revokes, does to a workflow: what has not begun is taken back, and the end is noted.

use celeriac_broker::{BrokerError, MAX_STEPS, WorkflowView};
use celeriac_core::canvas::{Failure, Node, Policy};
use celeriac_core::{JobId, State};

use crate::decide::Marks;
use crate::flow::Flow;

impl<'f> Flow<'f> {
    /// Applies the policy of a step that has ended without success.
    pub(crate) async fn fail_by(self, node: Node<'_>, policy: Policy, view: &WorkflowView) -> Result<(), BrokerError> {
        if policy == Policy::Callback || view.revoked_by.is_some() {
            return Ok(());
        }
        // Somebody may have retried it meanwhile.
        let Some(kept) = self.end(node.index()).await?.filter(|kept| !kept.kind().lets_go_on()) else { return Ok(()) };
        let Some(failure) = failure(node, &kept.end.value) else { return Ok(()) };
        self.call_failure_handler(&failure).await?;
        // Where the end is noted, all has been taken back for another failure, and nothing has begun since.
        let is_noted = view.halted && view.ended_at.is_some();
        if policy == Policy::Fail && !is_noted && self.withdraw().await? {
            self.finish_failed(&failure).await?;
        }
        Ok(())
    }

    async fn call_failure_handler(self, failure: &Failure) -> Result<(), BrokerError> {
        let Some(handler) = self.plan.on_failure().and_then(|node| self.plan.node(node)) else { return Ok(()) };
        let Some(job) = handler.record(handler.failure_payload(failure)) else { return Ok(()) };
        self.broker.begin_steps(self.id(), &[job], false).await.map(|_| ())
    }

    /// Takes what has not begun out of its queues, so that a retry can begin it anew. Whether the workflow is still halted.
    async fn withdraw(self) -> Result<bool, BrokerError> {
        let marks = self.marks().await?;
        let mut pages = 0;
        for page in self.open_ids(&marks) {
            pages += 1;
            if self.broker.withdraw(self.id(), &page).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(pages > 0 || self.broker.withdraw(self.id(), &[]).await?.is_some())
    }

    /// Ends what was not ended as revoked, and notes that the workflow was.
    pub(crate) async fn revoke_all(self, by: &str, view: &WorkflowView) -> Result<(), BrokerError> {
        let marks = self.marks().await?;
        for page in self.open_ids(&marks) {
            self.broker.revoke(&page, by).await?;
        }
        self.finish(view, State::Revoked, None, Some(&format!("revoked by {by}"))).await
    }

    /// The ids of jobs that may be in the store, in pages.
    fn open_ids<'m>(self, marks: &'m Marks) -> impl Iterator<Item = Vec<JobId>> + use<'f, 'm> {
        let mut ids = self.plan.nodes().filter(|node| marks.is_open(*node)).filter_map(Node::id);
        std::iter::from_fn(move || {
            let page: Vec<JobId> = ids.by_ref().take(MAX_STEPS).collect();
            (!page.is_empty()).then_some(page)
        })
    }
}

/// The failure that is kept as the end of a step; a join has none.
pub(crate) fn failure(node: Node<'_>, value: &str) -> Option<Failure> {
    serde_json::from_str(value).ok().or_else(|| Failure::of(node, value, 0))
}
