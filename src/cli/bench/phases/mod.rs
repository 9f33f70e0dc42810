//! The phases of a measurement, each a file: what is started, what is read before and after, and under which key it is noted.
//!
//! [`run`] is the list of them. A phase whose jobs did not run exactly once each ends the measurement and leaves no number.

mod commands;
mod floor;
mod growth;
mod idle;
mod latency;
mod rates;
mod run;
mod stage;

pub(super) use latency::QUANTILES;
pub(super) use run::measure;
