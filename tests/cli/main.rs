//! The command line as scripts and people use it: real processes, real stores, exit codes and JSON.

mod beat;
mod bench;
mod control;
mod dead;
mod doctor;
mod enqueue;
mod enqueue_file;
mod health;
mod job;
mod place;
mod queue;
mod result;
mod schedule;
mod torture;
mod worker;
mod workflow;
