//! What only the Redis store has: its keys and scripts, its server's refusals, its connections.

mod access;
mod layout;
mod limits;
mod recovery;
mod results;
mod scripts;
mod support;
mod volume;
mod waiting;
