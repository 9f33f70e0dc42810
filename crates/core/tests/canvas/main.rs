//! Workflows as data: what compiles to what, what is refused and where, and what jobs are given.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod documents;
mod hostile;
mod plans;
mod properties;
mod refusals;
mod scale;
mod support;
mod values;
