//! Random sequences of calls on the stores and on the model: after each step answers and state are equal.
//!
//! All sides share one manual clock. What a store decides by the machine's clock is kept out by long times. A sequence that
//! fails shrinks, and its seed is kept in `proptest-regressions`. `CELERIAC_DIFFERENTIAL_CASES` asks for more than 64.
#![cfg(any(feature = "sqlite", feature = "redis"))]

mod call;
mod schedules;
mod side;
mod stores;
mod workflows;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestCaseError, TestRunner};

use crate::call::{Wish, wishes, workflow_wishes};
use crate::world::World;

const STEPS: usize = 40;

fn cases() -> u32 {
    std::env::var("CELERIAC_DIFFERENTIAL_CASES").ok().and_then(|number| number.parse().ok()).unwrap_or(64)
}

/// Lets every side do the same and compares.
async fn play(wishes: Vec<Wish>) -> Result<(), TestCaseError> {
    let mut world = World::open().await;
    for (step, wish) in wishes.into_iter().enumerate() {
        for call in world.decide(&wish).await {
            let carried_out = world.carry_out(&call).await;
            carried_out.map_err(|difference| TestCaseError::fail(format!("step {step}, {call:?}\n{difference}")))?;
        }
    }
    world.compare_everything().await.map_err(|difference| TestCaseError::fail(format!("in the end\n{difference}")))
}

/// Plays sequences of what chance chooses; `seeds` keeps those that failed.
fn compare(wishes: impl Strategy<Value = Wish>, seeds: &'static str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("threads can be started");
    let config = ProptestConfig {
        cases: cases(),
        max_shrink_iters: 2000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(seeds))),
        ..ProptestConfig::default()
    };
    let sequences = proptest::collection::vec(wishes, 1..=STEPS);
    let outcome = TestRunner::new(config).run(&sequences, |wishes| runtime.block_on(play(wishes)));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn the_stores_do_what_the_model_does() {
    compare(wishes(), "proptest-regressions/differential.txt");
}

#[test]
fn the_stores_carry_workflows_out_as_the_model_does() {
    compare(workflow_wishes(), "proptest-regressions/differential-workflows.txt");
}
