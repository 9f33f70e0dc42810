//! How many commands clients send to the server for each job. In a phase of its own, because MONITOR slows the server down,
//! and only on a server of our own, because it would slow down others too.

use super::stage::Stage;
use crate::cli::bench::crew::{Crew, CrewOptions};
use crate::cli::bench::measured::{Measured, float};
use crate::cli::bench::monitor::Monitor;
use crate::cli::bench::protocol::{Manner, Role};
use crate::cli::exit::Failure;

pub(super) async fn measure(stage: &Stage<'_>, measured: &mut Measured) -> Result<(), Failure> {
    let Some(port) = stage.place.own_port() else { return Ok(()) };
    let jobs = stage.settings.monitored_jobs();
    let mut monitor = Monitor::open(port).await?;
    for (name, manner) in [("one_by_one", Manner::OneByOne), ("bulk", Manner::Bulk)] {
        let entering = entering(stage, &mut monitor, manner).await?;
        let leaving = leaving(stage, &mut monitor).await?;
        measured.put(format!("commands_{name}"), float(entering) / float(jobs));
        measured.put("commands_run", float(leaving) / float(jobs));
    }
    Ok(())
}

async fn entering(stage: &Stage<'_>, monitor: &mut Monitor, manner: Manner) -> Result<u64, Failure> {
    let jobs = stage.settings.monitored_jobs();
    let bar = stage.bar("commands to enqueue", jobs);
    let mut producer = stage.spawn(Role::Produce(manner), jobs).await?;
    let before = monitor.count(stage.place).await?;
    producer.go().await?;
    bar.follow(&mut producer).await?;
    Ok(monitor.count(stage.place).await? - before)
}

async fn leaving(stage: &Stage<'_>, monitor: &mut Monitor) -> Result<u64, Failure> {
    let (phase, jobs) = ("commands to run", stage.settings.monitored_jobs());
    let bar = stage.bar(phase, jobs);
    let options = CrewOptions { unobserved: true, ..stage.crew() };
    let mut crew = Crew::start(stage.place, 1, jobs, &options).await?;
    let before = monitor.count(stage.place).await?;
    crew.go().await?;
    crew.until_all_ran(&bar.0).await?;
    let done = crew.stop().await?;
    let after = monitor.count(stage.place).await?;
    done.check(phase)?;
    Ok(after - before)
}
