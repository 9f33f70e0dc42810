//! Short ways to say what most tests say.

use celeriac_core::WorkflowId;
use celeriac_core::canvas::{Limits, Plan, SpecError, Workflow, compile};
use serde_json::value::RawValue;

pub(crate) fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

pub(crate) fn try_plan(json: &str) -> Result<Plan, SpecError> {
    compile_it(&json.parse()?)
}

pub(crate) fn compile_it(workflow: &Workflow) -> Result<Plan, SpecError> {
    compile(workflow, &WorkflowId::new("w").unwrap(), &Limits::default())
}

pub(crate) fn plan(json: &str) -> Plan {
    try_plan(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// Each node as `name <- what it waits for`, in the order of the plan.
pub(crate) fn edges(plan: &Plan) -> Vec<String> {
    let name = |index: &u32| plan.node(*index).unwrap().name();
    let line = |deps: Vec<String>| if deps.is_empty() { String::new() } else { format!(" <- {}", deps.join(" ")) };
    plan.nodes().map(|node| node.name() + &line(node.deps().iter().map(name).collect())).collect()
}
