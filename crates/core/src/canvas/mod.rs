//! Workflows as data.

mod fields;
mod part;
mod place;
mod read;
mod refusal;
mod workflow;
mod write;

pub use part::{Canvas, Graph, Step, Takes};
pub use place::Place;
pub use refusal::{Refusal, SpecError};
pub use workflow::{Limits, MAX_DEPTH, WhenDead, Workflow};
