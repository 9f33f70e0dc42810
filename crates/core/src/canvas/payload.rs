//! From the values of nodes to the arguments of a job: texts are put together, and nothing is parsed.

use serde::{Deserialize, Serialize};

use super::plan::{Fill, Gather, Node, NodeKind, Plan};
use super::workflow::WhenDead;
use crate::name::TaskName;

/// Why a step did not succeed: what a failure handler is given, and what takes the place of a result under `"when_dead": "continue"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// The name of the step.
    pub step: String,
    /// Its task.
    pub task: TaskName,
    /// The last error.
    pub error: String,
    /// How many attempts there were; 0 if it never ran.
    pub attempts: u32,
}

/// A value that the arguments of a step are made of is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value of node {0} is not there")]
pub struct MissingValue(pub u32);

impl Plan {
    /// The value of a step that has ended, as its followers see it: JSON. It is the result itself; under `"when_dead": "continue"` it is
    /// an object that says `ok` or `error`. A step that has failed has none otherwise.
    #[must_use]
    pub fn value(&self, end: Result<&str, &Failure>) -> Option<String> {
        match (end, self.when_dead()) {
            (Ok(result), WhenDead::Continue) => Some(format!("{{\"ok\":{result}}}")),
            (Err(failure), WhenDead::Continue) => Some(format!("{{\"error\":{}}}", failure.to_json())),
            (Ok(result), _) => Some(result.to_owned()),
            (Err(_), _) => None,
        }
    }
}

impl Node<'_> {
    /// The value that is made of those of its dependencies: what a join is worth, and what a step takes.
    ///
    /// # Errors
    /// [`MissingValue`] for the first that `values` does not say. Of a failure, [`Gather::Failure`], it knows nothing.
    pub fn gather_value<'v>(self, values: impl Fn(u32) -> Option<&'v str>) -> Result<String, MissingValue> {
        let value = |dep: &u32| values(*dep).ok_or(MissingValue(*dep));
        match self.gather() {
            Gather::Nothing | Gather::Failure => Ok("null".to_owned()),
            Gather::Empty => Ok("[]".to_owned()),
            Gather::One => self.deps().first().map_or(Ok("null"), value).map(str::to_owned),
            Gather::List => {
                let mut list = List::new('[');
                for dep in self.deps() {
                    list.add(value(dep)?);
                }
                Ok(list.end(']'))
            }
            Gather::Named => {
                let mut object = List::new('{');
                for (key, dep) in self.keys().iter().zip(self.deps()) {
                    object.add_named(key, value(dep)?);
                }
                Ok(object.end('}'))
            }
        }
    }

    /// The arguments of its job, JSON, once all it waits for has ended. A failure handler is given its own by
    /// [`Node::failure_payload`].
    ///
    /// # Errors
    /// [`MissingValue`] for the first that `values` does not say.
    pub fn payload<'v>(self, values: impl Fn(u32) -> Option<&'v str>) -> Result<Vec<u8>, MissingValue> {
        let taken = if self.fill() == Fill::Own { String::new() } else { self.gather_value(values)? };
        Ok(self.filled(&taken).into_bytes())
    }

    /// The arguments of a failure handler.
    #[must_use]
    pub fn failure_payload(self, failure: &Failure) -> Vec<u8> {
        let taken = if self.kind() == NodeKind::OnFailure { failure.to_json() } else { "null".to_owned() };
        self.filled(&taken).into_bytes()
    }

    fn filled(self, taken: &str) -> String {
        let own = self.args();
        match self.fill() {
            Fill::Own => own.unwrap_or("{}").to_owned(),
            Fill::All => taken.to_owned(),
            Fill::First => {
                let mut list = List::new('[');
                list.add(taken);
                list.add(inside(own.unwrap_or_default()));
                list.end(']')
            }
            Fill::Beside => {
                let mut object = List::new('{');
                object.add(inside(own.unwrap_or_default()));
                object.add(inside(taken));
                object.end('}')
            }
        }
    }
}

impl Failure {
    /// The failure of a node; a join has no job that could fail.
    #[must_use]
    pub fn of(node: Node<'_>, error: impl Into<String>, attempts: u32) -> Option<Self> {
        let task = node.template()?.task.clone();
        Some(Self { step: node.name(), task, error: error.into(), attempts })
    }

    /// Its JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let text = |text: &str| serde_json::Value::from(text);
        let (step, task, error) = (text(&self.step), text(self.task.as_str()), text(&self.error));
        format!(r#"{{"step":{step},"task":{task},"error":{error},"attempts":{}}}"#, self.attempts)
    }
}

/// What stands between the brackets of a list or an object.
fn inside(json: &str) -> &str {
    let mut inside = json.trim().chars();
    inside.next();
    inside.next_back();
    inside.as_str().trim()
}

/// A list or an object, written piece by piece.
struct List(String);

impl List {
    fn new(opening: char) -> Self {
        Self(opening.to_string())
    }

    /// Adds what is not empty.
    fn add(&mut self, piece: &str) {
        if !piece.is_empty() {
            self.separate();
            self.0.push_str(piece);
        }
    }

    /// Adds a member. Names of parts need no escapes.
    fn add_named(&mut self, key: &str, value: &str) {
        self.separate();
        self.0.extend(["\"", key, "\":", value]);
    }

    fn separate(&mut self) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
    }

    fn end(mut self, closing: char) -> String {
        self.0.push(closing);
        self.0
    }
}
