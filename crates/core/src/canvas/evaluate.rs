//! A workflow carried out in one thread, one step after the other: what tests compare stores and workers with.
//!
//! It goes through the nodes in the order of their indices, which is an order of their dependencies, and shares nothing but the plan with
//! what carries workflows out on a store.

use serde_json::value::RawValue;

use super::payload::{Failure, MissingValue};
use super::plan::{Node, NodeKind, Plan};
use super::status::Status;
use super::workflow::WhenDead;
use crate::name::TaskName;

/// How a workflow ended that was carried out in one thread.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Evaluation {
    /// How it ended: [`Status::Waiting`] if a step has died that an operator would have to retry.
    pub status: Status,
    /// For each node how it ended: with a result, or a failure. A join has a value for a result. `None` did not run.
    pub ends: Vec<Option<Result<String, Failure>>>,
    /// The value of each node, as its followers see it.
    pub values: Vec<Option<String>>,
}

impl Evaluation {
    /// The result of the workflow, if it has succeeded.
    #[must_use]
    pub fn result(&self, plan: &Plan) -> Option<&str> {
        self.values.get(plan.output() as usize)?.as_deref()
    }
}

/// Carries out a plan: `run` is given the task of each step and its arguments, JSON, and answers its result or the error it dies of.
///
/// # Errors
/// [`MissingValue`] for a plan whose nodes take what nobody makes; no plan that was compiled is like that.
///
/// ```
/// use celeriac_core::WorkflowId;
/// use celeriac_core::canvas::{Canvas, Limits, Workflow, compile, evaluate};
/// use serde_json::value::to_raw_value;
///
/// let group = Canvas::group([Canvas::step("one"), Canvas::step("one")]);
/// let workflow = Workflow::new(group.join(Canvas::step("sum")));
/// let plan = compile(&workflow, &WorkflowId::new("w")?, &Limits::default())?;
/// let end = evaluate(&plan, |task, args| match task.as_str() {
///     "one" => Ok(to_raw_value(&1).unwrap()),
///     _ => {
///         let (numbers,): (Vec<i32>,) = serde_json::from_str(args).unwrap();
///         Ok(to_raw_value(&numbers.iter().sum::<i32>()).unwrap())
///     }
/// })?;
/// assert_eq!(end.result(&plan), Some("2"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn evaluate(
    plan: &Plan,
    mut run: impl FnMut(&TaskName, &str) -> Result<Box<RawValue>, String>,
) -> Result<Evaluation, MissingValue> {
    let mut ends: Vec<Option<Result<String, Failure>>> = vec![None; plan.len()];
    let mut values: Vec<Option<String>> = vec![None; plan.len()];
    let mut first_failure = None;
    let steps = |node: &Node<'_>| matches!(node.kind(), NodeKind::Step | NodeKind::Join);
    for node in plan.nodes().filter(steps) {
        let goes_on = first_failure.is_none() || plan.when_dead() != WhenDead::Fail;
        if !goes_on || node.deps().iter().any(|dep| values[*dep as usize].is_none()) {
            continue;
        }
        let value = |dep: u32| values[dep as usize].as_deref();
        let end = if node.kind() == NodeKind::Join {
            Ok(node.gather_value(value)?)
        } else {
            attempt(node, &node.payload(value)?, &mut run)
        };
        values[node.index() as usize] = match (&end, node.kind()) {
            (Ok(value), NodeKind::Join) => Some(value.clone()),
            (end, _) => plan.value(end.as_deref()),
        };
        first_failure = first_failure.or_else(|| end.as_ref().err().cloned());
        ends[node.index() as usize] = Some(end);
    }
    let succeeded = values[plan.output() as usize].is_some();
    let callback = if succeeded { plan.on_success().and_then(|node| plan.node(node)) } else { None };
    if let Some(node) = callback {
        let payload = node.payload(|dep| values[dep as usize].as_deref())?;
        ends[node.index() as usize] = Some(attempt(node, &payload, &mut run));
    }
    if let (Some(node), Some(failure)) = (plan.on_failure().and_then(|node| plan.node(node)), &first_failure) {
        ends[node.index() as usize] = Some(attempt(node, &node.failure_payload(failure), &mut run));
    }
    let status = match plan.when_dead() {
        _ if succeeded => Status::Succeeded,
        WhenDead::Wait => Status::Waiting,
        _ => Status::Failed,
    };
    Ok(Evaluation { status, ends, values })
}

/// One attempt, which is the last.
fn attempt(
    node: Node<'_>,
    payload: &[u8],
    run: &mut impl FnMut(&TaskName, &str) -> Result<Box<RawValue>, String>,
) -> Result<String, Failure> {
    let task = node.template().map(|template| template.task.clone()).expect("only a join has no template");
    let payload = std::str::from_utf8(payload).expect("arguments are put together of texts");
    let result = run(&task, payload).map(|result| result.get().to_owned());
    result.map_err(|error| Failure { step: node.name(), task, error, attempts: 1 })
}
