//! What a worker costs that has nothing to do and serves ten queues.

use std::time::Duration;

use super::stage::{Stage, difference};
use crate::cli::bench::crew::{Crew, CrewOptions};
use crate::cli::bench::measured::{Measured, float};
use crate::cli::bench::monitor::Monitor;
use crate::cli::exit::Failure;

/// How long the server is watched without a worker, at most.
const ALONE: Duration = Duration::from_secs(10);

/// How long a worker that has just started is left alone before it is watched.
const SETTLING: Duration = Duration::from_secs(25);

/// How many queues the idle worker serves.
const QUEUES: usize = 10;

pub(super) async fn measure(stage: &Stage<'_>, measured: &mut Measured) -> Result<(), Failure> {
    let idle = stage.settings.idle;
    if idle.is_zero() {
        return Ok(());
    }
    alone(stage, measured).await?;
    let bar = stage.bar("an idle worker", idle.as_secs());
    let queues = (0..QUEUES).map(|index| format!("bench-{index}")).collect();
    let mut crew = Crew::start(stage.place, 1, 0, &CrewOptions { queues, ..stage.crew() }).await?;
    crew.go().await?;
    crew.wait_idle().await?;
    // A worker that has just started opens the connection of its heartbeat, and looks at the leases more often than later.
    tokio::time::sleep(SETTLING.min(idle)).await;
    let mut monitor = match stage.place.own_port() {
        Some(port) => Some(Monitor::open(port).await?),
        None => None,
    };
    let minutes = idle.as_secs_f64() / 60.0;
    // Its start was not idle: now it begins to count.
    crew.go().await?;
    let before = stage.place.server_cpu_ns().await?;
    let sent_before = count(stage, monitor.as_mut()).await?;
    let began = tokio::time::Instant::now();
    while began.elapsed() < idle {
        tokio::time::sleep((idle - began.elapsed()).min(Duration::from_millis(200))).await;
        bar.0.set_position(began.elapsed().as_secs());
    }
    let sent = difference(sent_before, count(stage, monitor.as_mut()).await?);
    let server = difference(before, stage.place.server_cpu_ns().await?);
    let done = crew.stop().await?;
    measured.put_known("idle_commands_per_minute", sent.map(|sent| float(sent) / minutes));
    measured.put_known("idle_server_cpu_ms_per_minute", server.map(|cpu| float(cpu) / 1e6 / minutes));
    measured.put("idle_worker_cpu_ms_per_minute", float(done.cpu()) / 1e6 / minutes);
    let resident = done.reports.iter().find_map(|report| report.resident);
    measured.put_known("worker_idle_resident_bytes", resident.map(float));
    Ok(())
}

/// A server takes some time also when nobody asks it for anything.
async fn alone(stage: &Stage<'_>, measured: &mut Measured) -> Result<(), Failure> {
    let Some(before) = stage.place.server_cpu_ns().await? else { return Ok(()) };
    let _bar = stage.bar("floor: an idle server", 0);
    let time = stage.settings.idle.min(ALONE);
    tokio::time::sleep(time).await;
    let cpu = difference(Some(before), stage.place.server_cpu_ns().await?);
    let minutes = time.as_secs_f64() / 60.0;
    measured.put_known("floor_idle_server_cpu_ms_per_minute", cpu.map(|cpu| float(cpu) / 1e6 / minutes));
    Ok(())
}

async fn count(stage: &Stage<'_>, monitor: Option<&mut Monitor>) -> Result<Option<u64>, Failure> {
    match monitor {
        Some(monitor) => monitor.count(stage.place).await.map(Some),
        None => Ok(None),
    }
}
