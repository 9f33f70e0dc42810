//! The producer as its users see it, on a store that does what a test tells it and on both real ones.

mod coalescing;
mod enqueue;
mod faults;
mod stage;
mod support;
mod waiting;
