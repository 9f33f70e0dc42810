//! Goes through all nodes of a workflow: after a retry has resumed it, or somebody has revoked it.

use std::collections::HashSet;

use celeriac_broker::{Advanced, BrokerError, WorkflowView};
use celeriac_core::canvas::NodeKind;

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
        let (mut begin, mut touched) = (Vec::new(), HashSet::new());
        for node in self.plan.nodes() {
            // A join that has been taken for ended is not noted as that, or not all that follows it was told.
            let end = marks.get(node.index()).filter(|mark| !mark.assumed);
            match todo(node, end, marks.may_begin(node)) {
                Todo::Nothing | Todo::Fail(_) => {}
                Todo::Begin if touched.contains(&node.index()) => {}
                Todo::Begin => begin.push(node.index()),
                Todo::Advance(from) => {
                    if self.advance(node, from).await? != Advanced::Done {
                        return Ok(());
                    }
                    let followers = node.followers().iter().filter_map(|index| self.plan.node(*index));
                    let alone = followers.filter(|follower| follower.deps().len() == 1);
                    touched.extend(alone.filter(|node| node.kind() != NodeKind::Join).map(|node| node.index()));
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
