//! One workflow that is carried on: the store, the plan, and how ends are read.

use std::collections::HashSet;

use celeriac_broker::{Broker, BrokerError, KeptEnd, MAX_STEPS};
use celeriac_core::canvas::{Node, NodeKind, Plan};
use celeriac_core::{JobId, WorkflowId};

use crate::decide::{Mark, Marks};

/// A workflow that is carried on.
#[derive(Clone, Copy)]
pub(crate) struct Flow<'f> {
    pub(crate) broker: &'f dyn Broker,
    pub(crate) plan: &'f Plan,
}

impl<'f> Flow<'f> {
    pub(crate) fn new(broker: &'f dyn Broker, plan: &'f Plan) -> Self {
        Self { broker, plan }
    }

    pub(crate) fn id(self) -> &'f WorkflowId {
        self.plan.workflow()
    }

    /// The id under which the end of the whole workflow can be read.
    pub(crate) fn job_id(self) -> JobId {
        self.id().into()
    }

    /// The end of one node, with its value.
    pub(crate) async fn end(self, node: u32) -> Result<Option<KeptEnd>, BrokerError> {
        let ends = self.broker.step_ends(self.id(), &[node], true).await?;
        Ok(ends.into_iter().next().flatten())
    }

    /// The ends of these nodes without their values; at most [`MAX_STEPS`].
    async fn page(self, nodes: &[u32]) -> Result<Vec<Option<Mark>>, BrokerError> {
        let ends = self.broker.step_ends(self.id(), nodes, false).await?;
        if ends.len() != nodes.len() {
            let detail = format!("{} ends of {} nodes were told", ends.len(), nodes.len());
            return Err(BrokerError::Corrupt { what: "a workflow", detail });
        }
        Ok(ends.iter().map(|end| end.as_ref().map(Mark::from)).collect())
    }

    /// The ends of all nodes.
    pub(crate) async fn marks(self) -> Result<Marks, BrokerError> {
        let mut marks = Vec::with_capacity(self.plan.len());
        let nodes: Vec<u32> = (0..self.plan.len() as u32).collect();
        for page in nodes.chunks(MAX_STEPS) {
            marks.extend(self.page(page).await?);
        }
        Ok(Marks(marks).with_joins(self.plan))
    }

    /// Whether all that a node waits for has ended and lets it go on. A join before it need not have been noted as ended.
    pub(crate) async fn may_begin(self, node: Node<'_>) -> Result<bool, BrokerError> {
        // The count is that of the set of ends: what adds an end to it counts, in the same commit, and a good end is never taken back. As long as it
        // is not full the set itself is asked, since a join before the node counts behind its last follower only.
        if node.deps().len() > 1 && self.broker.counted(self.id(), node.index()).await? as usize >= node.deps().len() {
            return Ok(true);
        }
        let mut open = node.deps().to_vec();
        let mut joins = HashSet::new();
        while !open.is_empty() {
            let page = open.split_off(open.len().saturating_sub(MAX_STEPS));
            for (index, mark) in page.iter().zip(self.page(&page).await?) {
                match (mark, self.plan.node(*index)) {
                    (Some(mark), _) if mark.kind.lets_go_on() => {}
                    (None, Some(join)) if join.kind() == NodeKind::Join => {
                        if joins.insert(*index) {
                            open.extend(join.deps());
                        }
                    }
                    _ => return Ok(false),
                }
            }
        }
        Ok(true)
    }
}
