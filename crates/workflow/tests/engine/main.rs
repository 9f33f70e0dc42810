//! Workflows carried out on every store, by a worker that is turned by hand.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

mod faults;
mod inputs;
mod policies;
mod random;
mod retrying;
mod revoking;
mod shapes;
mod sights;
mod stage;
