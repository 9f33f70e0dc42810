//! What the machine, the server or the disk takes for the same bytes without a queue.

use super::stage::{Stage, difference};
use crate::cli::bench::measured::{Measured, float, micros_each, per_second};
use crate::cli::bench::protocol::{Role, Span};
use crate::cli::exit::Failure;

pub(super) async fn measure(stage: &Stage<'_>, measured: &mut Measured) -> Result<(), Failure> {
    let jobs = stage.settings.jobs;
    let spawned = stage.act("floor: empty tasks", Role::Spawn, jobs).await?.report;
    measured.put("floor_task_rate", rate(jobs, spawned.span));
    measured.put("floor_task_cpu_us", micros_each(spawned.span.cpu, jobs));
    measured.put_known("floor_resident_bytes", spawned.resident.map(float));
    if stage.place.is_redis() { lists(stage, measured).await } else { file(stage, measured).await }
}

async fn lists(stage: &Stage<'_>, measured: &mut Measured) -> Result<(), Failure> {
    let jobs = stage.settings.jobs;
    let empty = stage.place.server_memory().await?;
    let push = stage.act("floor: RPUSH", Role::Push, jobs).await?;
    let full = stage.place.server_memory().await?;
    let pop = stage.act("floor: LPOP", Role::Pop, jobs).await?;
    let (in_, out) = (push.report.span, pop.report.span);
    measured.put("floor_in_rate", rate(jobs, in_));
    measured.put("floor_out_rate", rate(jobs, out));
    measured.put("floor_through_rate", per_second(jobs, length(in_) + length(out)));
    measured.put_known("floor_in_server_cpu_us", push.server_cpu.map(|cpu| micros_each(cpu, jobs)));
    measured.put_known("floor_out_server_cpu_us", pop.server_cpu.map(|cpu| micros_each(cpu, jobs)));
    measured.put_known("floor_job_bytes", difference(empty, full).map(|bytes| float(bytes) / float(jobs)));
    Ok(())
}

async fn file(stage: &Stage<'_>, measured: &mut Measured) -> Result<(), Failure> {
    let jobs = stage.settings.jobs;
    let path = stage.place.file("floor");
    let span = stage.act("floor: write and sync", Role::Sync(path), jobs).await?.report.span;
    // A job must be written when it comes and when it goes.
    measured.put("floor_in_rate", rate(jobs, span));
    measured.put("floor_out_rate", rate(jobs, span));
    measured.put("floor_through_rate", per_second(jobs, 2 * length(span)));
    Ok(())
}

fn length(span: Span) -> u64 {
    span.ended.saturating_sub(span.began)
}

fn rate(jobs: u64, span: Span) -> f64 {
    per_second(jobs, length(span))
}
