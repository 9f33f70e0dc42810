//! Goes through all nodes of a workflow: after a retry has resumed it, or somebody has revoked it.

use celeriac_broker::{Advanced, BrokerError, WorkflowView};

use crate::decide::{Todo, is_output, todo};
use crate::flow::Flow;

impl Flow<'_> {
    /// Goes through all nodes and does for each what is to be done. Several may do so at once.
    pub(crate) async fn review(self, view: &WorkflowView) -> Result<(), BrokerError> {
        if let Some(by) = &view.revoked_by {
            return self.revoke_all(by, view).await;
        }
        if view.halted {
            return Ok(());
        }
        let marks = self.marks().await?;
        let mut begin = Vec::new();
        for node in self.plan.nodes() {
            // A join that has been taken for ended is not noted as that, or not all that follows it was told.
            let end = marks.get(node.index()).filter(|mark| !mark.assumed);
            match todo(node, end, marks.may_begin(node)) {
                Todo::Nothing | Todo::Fail(_) => {}
                // Also what waits for a node that is advanced here: what that began before may have been taken back since.
                Todo::Begin => begin.push(node.index()),
                Todo::Advance(from) => {
                    if self.advance(node, from).await? != Advanced::Done {
                        return Ok(());
                    }
                    if is_output(node) {
                        self.finish_succeeded(view).await?;
                    }
                }
                Todo::Finish => self.finish_succeeded(view).await?,
            }
        }
        self.begin_all(&begin).await.map(|_| ())
    }
}
