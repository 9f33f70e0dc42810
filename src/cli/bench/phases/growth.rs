//! Whether a job costs the server more when many others wait.

use super::stage::Stage;
use crate::cli::bench::crew::Crew;
use crate::cli::bench::measured::{Measured, micros_each, per_second};
use crate::cli::bench::protocol::Role;
use crate::cli::exit::Failure;

/// The backlog that the large one is compared with.
pub(crate) const SMALL: u64 = 10;

pub(super) async fn measure(stage: &Stage<'_>, measured: &mut Measured) -> Result<(), Failure> {
    let Some(backlog) = stage.settings.backlog else { return Ok(()) };
    for (name, backlog) in [("floor_backlog", SMALL), ("backlog", backlog)] {
        stage.fill(backlog).await?;
        let act = stage.act(&format!("with {backlog} jobs waiting"), Role::Seam, stage.settings.jobs).await?;
        let (jobs, span) = (stage.settings.jobs, act.report.span);
        measured.put_known(format!("{name}_server_cpu_us"), act.server_cpu.map(|cpu| micros_each(cpu, jobs)));
        measured.put(format!("{name}_rate"), per_second(jobs, span.ended - span.began));
        empty(stage, backlog).await?;
    }
    Ok(())
}

/// Takes away what is left, so that the next phase finds an empty queue.
async fn empty(stage: &Stage<'_>, left: u64) -> Result<(), Failure> {
    if stage.place.is_redis() {
        return stage.place.clean().await;
    }
    let bar = stage.bar("emptying the queue", left);
    let mut crew = Crew::start(stage.place, 1, left, &stage.crew()).await?;
    crew.go().await?;
    crew.until_all_ran(&bar.0).await?;
    // Not checked: what is left are jobs of several makers, whose numbers overlap. The seam has checked its own.
    crew.stop().await.map(drop)
}
