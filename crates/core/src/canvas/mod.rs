//! Workflows as data.

mod compile;
mod evaluate;
mod fields;
mod part;
mod payload;
mod place;
mod plan;
mod progress;
mod read;
mod refusal;
mod workflow;
mod write;

pub use compile::compile;
pub use evaluate::{Evaluation, evaluate};
pub use part::{Canvas, Graph, Step, Takes};
pub use payload::{Failure, MissingValue};
pub use place::Place;
pub use plan::{Fill, Gather, Node, NodeKind, Plan, Template};
pub use progress::{Changes, End, NodeState, NotRetried, Progress, Status};
pub use refusal::{Refusal, SpecError};
pub use workflow::{Limits, MAX_DEPTH, WhenDead, Workflow};
