//! The calendar against what its rules say in words, against another implementation, and against itself.
//!
//! The random tests are the same in every run. `CELERIAC_CALENDAR_CASES=10` makes them ten times as many, and `CELERIAC_CALENDAR_SEED=2` other ones.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod croner;
mod examples;
mod expressions;
mod properties;
mod refusals;
mod scan;
mod support;
