//! The values that a node's arguments are made of, read page by page, and the arguments.

use std::collections::{HashMap, HashSet};

use celeriac_broker::{BrokerError, KeptEnd, MAX_STEPS};
use celeriac_core::MAX_PAYLOAD_BYTES;
use celeriac_core::canvas::{Node, NodeKind};

use crate::decide::needs;
use crate::flow::Flow;

/// Values that are too large are read on, so that somebody can be told how large; but not for ever.
const MAX_READ: usize = 16 * MAX_PAYLOAD_BYTES;

/// Why there is no value.
#[derive(Debug, Clone)]
pub(crate) enum NoValue {
    /// A node that it is made of has none. When the workflow was pruned meanwhile, or a step retried.
    Missing(u32),
    /// It is too large; the text says what to do.
    TooLarge(String),
}

/// The values of some nodes, and of those that they are made of.
#[derive(Debug, Default)]
pub(crate) struct Values(HashMap<u32, String>);

impl Values {
    pub(crate) fn get(&self, node: u32) -> Option<&str> {
        self.0.get(&node).map(String::as_str)
    }

    /// The arguments of a node, if these are the values that it needs.
    pub(crate) fn payload(&self, node: Node<'_>) -> Result<Vec<u8>, NoValue> {
        let payload = node.payload(|dep| self.get(dep)).map_err(|missing| NoValue::Missing(missing.0))?;
        if payload.len() > MAX_PAYLOAD_BYTES {
            Err(too_large(needs(node).len(), payload.len(), ""))
        } else {
            Ok(payload)
        }
    }
}

fn too_large(steps: usize, bytes: usize, at_least: &str) -> NoValue {
    let what =
        if steps == 1 { "the result of one step has".to_owned() } else { format!("the results of {steps} steps have") };
    let megabytes = bytes as f64 / MAX_PAYLOAD_BYTES as f64;
    NoValue::TooLarge(format!(
        "{what} {at_least}{megabytes:.1} MiB, arguments may have 1 MiB: let the step take nothing and read them with Context::inputs"
    ))
}

impl Flow<'_> {
    /// The values of these nodes. Those of joins are not stored: they are made of what they join.
    pub(crate) async fn values(self, nodes: &[u32]) -> Result<Result<Values, NoValue>, BrokerError> {
        let (steps, joins) = self.sources(nodes);
        let mut values = Values::default();
        let (mut read, mut bytes) = (0, 0);
        while let Some(rest) = steps.get(read..).filter(|rest| !rest.is_empty()) {
            let page = self.values_page(rest).await?;
            for (node, kept) in rest.iter().zip(page) {
                let Some(kept) = kept.filter(|kept| kept.kind().lets_go_on()) else {
                    return Ok(Err(NoValue::Missing(*node)));
                };
                (read, bytes) = (read + 1, bytes + kept.end.value.len());
                if bytes <= MAX_PAYLOAD_BYTES {
                    values.0.insert(*node, kept.end.value);
                } else if bytes > MAX_READ {
                    return Ok(Err(too_large(steps.len(), bytes, "more than ")));
                }
            }
        }
        if bytes > MAX_PAYLOAD_BYTES {
            return Ok(Err(too_large(steps.len(), bytes, "")));
        }
        // What a join waits for has smaller indices than it.
        for join in joins.iter().filter_map(|join| self.plan.node(*join)) {
            let value = match join.gather_value(|dep| values.get(dep)) {
                Ok(value) => value,
                Err(missing) => return Ok(Err(NoValue::Missing(missing.0))),
            };
            values.0.insert(join.index(), value);
        }
        Ok(Ok(values))
    }

    /// The next values: at least one.
    pub(crate) async fn values_page(self, nodes: &[u32]) -> Result<Vec<Option<KeptEnd>>, BrokerError> {
        let page = nodes.get(..MAX_STEPS).unwrap_or(nodes);
        let ends = self.broker.step_ends(self.id(), page, true).await?;
        if ends.is_empty() && !page.is_empty() {
            let detail = format!("no end of {} nodes was told", page.len());
            return Err(BrokerError::Corrupt { what: "a workflow", detail });
        }
        Ok(ends)
    }

    /// The steps that the values of these nodes are made of, and the joins between, both in the order of their indices.
    fn sources(self, nodes: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let (mut steps, mut joins) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        let mut open = nodes.to_vec();
        while let Some(index) = open.pop() {
            let Some(node) = self.plan.node(index).filter(|_| seen.insert(index)) else { continue };
            if node.kind() == NodeKind::Join {
                joins.push(index);
                open.extend(needs(node));
            } else {
                steps.push(index);
            }
        }
        steps.sort_unstable();
        joins.sort_unstable();
        (steps, joins)
    }
}
