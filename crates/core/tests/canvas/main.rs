//! Workflows as data: what compiles to what, what is refused and where, and what happens as jobs end.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod documents;
mod hostile;
mod plans;
mod progress;
mod properties;
mod random;
mod refusals;
mod scale;
mod support;
mod values;
