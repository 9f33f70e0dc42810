//! One run: all phases in their order.

use super::stage::Stage;
use super::{commands, floor, growth, idle, latency, rates};
use crate::cli::bench::measured::Measured;
use crate::cli::bench::place::Place;
use crate::cli::bench::settings::Settings;
use crate::cli::exit::Failure;

/// Runs all phases; `measured` holds what was measured also when one fails. `run` is counted from 1.
pub(crate) async fn measure(
    place: &Place,
    settings: &Settings,
    run: usize,
    measured: &mut Measured,
) -> Result<(), Failure> {
    let stage = Stage { place, settings, run };
    floor::measure(&stage, measured).await?;
    rates::measure(&stage, measured).await?;
    latency::measure(&stage, measured).await?;
    commands::measure(&stage, measured).await?;
    // It is a count over a long time and hardly scatters; and it takes longer than all the rest.
    if run == 1 {
        idle::measure(&stage, measured).await?;
    }
    // The last, because a server is busy for a while with freeing what it leaves.
    growth::measure(&stage, measured).await
}
