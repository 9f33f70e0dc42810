//! A small store in memory: the contract of a store as plainly as it can be said.
//!
//! Every job has one record and one `place`, so it cannot be in two. Each call locks one mutex, looks
//! through everything and changes what it must. It is slow, always on a manual clock, and made to be read: the stores
//! are compared with it.

mod broker;
mod control;
mod inspect;
mod places;
mod produce;
mod schedules;
mod steps;
mod store;
mod work;
mod workflows;

pub use broker::ModelBroker;
