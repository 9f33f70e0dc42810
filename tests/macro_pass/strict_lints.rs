//! A crate that forbids what generated code might do is not troubled by it.
//!
//! `deny` stands where serde's own derive would not get past `forbid`.
#![forbid(missing_docs, missing_debug_implementations, unreachable_pub, unsafe_code, let_underscore_drop)]
#![forbid(single_use_lifetimes, private_interfaces, missing_copy_implementations, trivial_casts, unused_results)]
#![deny(non_camel_case_types, unused, unused_qualifications, deprecated)]

use celeriac::{Context, State, Tasks, task};

/// Jobs.
pub mod jobs {
    use celeriac::task;

    /// Adds.
    #[task("add", queue = "sums")]
    pub async fn add(a: u32, #[serde(default)] b: u32) -> Result<u32, std::num::ParseIntError> {
        Ok(a + b)
    }
}

#[task("hidden")]
pub(crate) async fn hidden(_unused: u32, context: Context, State(prefix): State<String>) -> Result<String, String> {
    Ok(format!("{prefix}{}", context.attempt()))
}

#[task("ping")]
async fn ping() -> Result<(), String> {
    Ok(())
}

fn main() {
    let tasks = Tasks::new().task::<jobs::add>().task::<hidden>().task::<ping>().state(String::new());
    assert_eq!(tasks.names().collect::<Vec<_>>(), ["add", "hidden", "ping"]);
    assert_eq!(tasks.queue_of("add"), Some("sums"));
    assert_eq!(tasks.check(), Ok(()));
}
