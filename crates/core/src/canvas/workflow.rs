//! A whole workflow, as it is described.

use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::part::{Canvas, Step, Takes};
use super::read;
use super::refusal::SpecError;
use crate::name::{QueueName, TaskName};

/// How deep parts may lie in each other.
pub const MAX_DEPTH: usize = 64;

/// What happens when a step ends without success: when it is dead, revoked or expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum WhenDead {
    /// The workflow has failed, and steps that have not begun are taken back. In JSON `fail`.
    #[default]
    Fail,
    /// The workflow goes on: all results become values that say `{"ok": …}` or `{"error": …}`. In JSON `continue`.
    Continue,
    /// The steps behind it wait until an operator has retried it; the others go on. In JSON `wait`.
    Wait,
}

impl WhenDead {
    pub(super) const ALL: [Self; 3] = [Self::Fail, Self::Continue, Self::Wait];

    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Continue => "continue",
            Self::Wait => "wait",
        }
    }
}

/// How large a workflow may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many steps it may have: 200,000.
    pub steps: usize,
    /// How many bytes it may have as JSON: 8 MiB.
    pub spec_bytes: usize,
    /// How many bytes the own arguments of one step may have: 1 MiB.
    pub payload_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 200_000, spec_bytes: 8 * 1024 * 1024, payload_bytes: crate::options::MAX_PAYLOAD_BYTES }
    }
}

/// A workflow, as it is described: its parts, what is done at its end, and what happens when a step dies.
///
/// It reads and writes the JSON form that [the module](super) describes.
///
/// ```
/// use celeriac_core::canvas::{Canvas, WhenDead, Workflow};
///
/// let canvas = Canvas::step("fetch").then(Canvas::step("count"));
/// let workflow = Workflow::new(canvas).on_failure(Canvas::step("alarm")).when_dead(WhenDead::Wait);
/// let json = r#"{"chain":[{"task":"fetch"},{"task":"count"}],"on_failure":{"task":"alarm"},"when_dead":"wait"}"#;
/// assert_eq!(workflow, json.parse()?);
/// # Ok::<(), celeriac_core::canvas::SpecError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a workflow does nothing until it is enqueued"]
pub struct Workflow {
    pub(super) root: Canvas,
    pub(super) when_dead: WhenDead,
    pub(super) on_success: Option<Callback>,
    pub(super) on_failure: Option<Callback>,
}

/// A step that runs at the end, and what it takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Callback {
    pub(super) step: Step,
    pub(super) takes: Option<Takes>,
}

impl Workflow {
    /// A workflow of this part.
    pub fn new(root: impl Into<Canvas>) -> Self {
        Self { root: root.into(), when_dead: WhenDead::default(), on_success: None, on_failure: None }
    }

    /// Sets what happens when a step dies.
    pub fn when_dead(mut self, when_dead: WhenDead) -> Self {
        self.when_dead = when_dead;
        self
    }

    /// Runs this step when all others have succeeded. It takes the result of the workflow.
    pub fn on_success(self, step: Step) -> Self {
        Self { on_success: Some(Callback { step, takes: None }), ..self }
    }

    /// Runs this step when the first of the others has died. It takes the [`Failure`](super::Failure) as JSON.
    pub fn on_failure(self, step: Step) -> Self {
        Self { on_failure: Some(Callback { step, takes: None }), ..self }
    }

    /// Runs this step when all others have succeeded, and says what it takes of the result of the workflow.
    pub fn on_success_taking(self, takes: Takes, step: Step) -> Self {
        Self { on_success: Some(Callback { step, takes: Some(takes) }), ..self }
    }

    /// Runs this step when the first of the others has died, and says what it takes of the failure.
    pub fn on_failure_taking(self, takes: Takes, step: Step) -> Self {
        Self { on_failure: Some(Callback { step, takes: Some(takes) }), ..self }
    }

    /// Names the queues of the steps that name none: `of` says which is the task's own. So the description means the same to those who do
    /// not know the tasks. What goes to `default` stays as it is.
    pub fn name_queues(&mut self, of: impl Fn(&TaskName) -> Option<QueueName>) {
        let callbacks = [&mut self.on_success, &mut self.on_failure];
        callbacks.into_iter().flatten().for_each(|callback| callback.step.name_queue(&of));
        self.root.for_each_step(&mut |step| step.name_queue(&of));
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`SpecError`] for what is no JSON, or has not the form of a workflow. Names, dependencies and sizes are checked by
    /// [`compile`](super::compile).
    pub fn from_json(json: &[u8], limits: &Limits) -> Result<Self, SpecError> {
        read::workflow(json, limits)
    }

    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a workflow has only strings as keys")
    }
}

impl FromStr for Workflow {
    type Err = SpecError;
    fn from_str(json: &str) -> Result<Self, SpecError> {
        Self::from_json(json.as_bytes(), &Limits::default())
    }
}

impl<'de> Deserialize<'de> for Workflow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        json.get().parse().map_err(serde::de::Error::custom)
    }
}
