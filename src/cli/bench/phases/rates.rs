//! How many jobs a second go in, come out, and go through; and what each costs server and worker.

use super::stage::{Act, Stage, difference};
use crate::cli::bench::crew::{Crew, CrewOptions, Done};
use crate::cli::bench::measured::{Measured, float, micros_each, per_second};
use crate::cli::bench::protocol::{Manner, Role};
use crate::cli::exit::Failure;

pub(super) async fn measure(stage: &Stage<'_>, measured: &mut Measured) -> Result<(), Failure> {
    // The queue that one phase fills is what the next one drains.
    let mut full = true;
    let act = stage.act("enqueue one by one", Role::Produce(Manner::OneByOne), stage.settings.jobs).await?;
    let mut entering = vec![("one_by_one", act)];
    for (index, processes) in stage.settings.processes.iter().enumerate() {
        if !full {
            let (act, bytes) = bulk(stage).await?;
            if index == 1 {
                measured.put_known("job_bytes", bytes);
                entering.push(("bulk", act));
            }
        }
        drain(stage, *processes, measured).await?;
        full = false;
    }
    if entering.len() == 1 {
        let (act, bytes) = bulk(stage).await?;
        measured.put_known("job_bytes", bytes);
        entering.push(("bulk", act));
        drain_unnoted(stage).await?;
    }
    // Noted only now, when it is known that every one of these jobs ran once.
    for (manner, act) in entering {
        note_enqueue(stage, manner, &act, measured);
    }
    if stage.settings.with_results {
        keep_results(stage, measured).await?;
    }
    through(stage, measured).await
}

fn note_enqueue(stage: &Stage<'_>, manner: &str, act: &Act, measured: &mut Measured) {
    let (jobs, span) = (stage.settings.jobs, act.report.span);
    measured.put(format!("enqueue_{manner}_rate"), per_second(jobs, span.ended - span.began));
    measured.put(format!("enqueue_{manner}_producer_cpu_us"), micros_each(span.cpu, jobs));
    let server = act.server_cpu.map(|cpu| micros_each(cpu, jobs));
    measured.put_known(format!("enqueue_{manner}_server_cpu_us"), server);
}

/// Fills the queue in one call; answers also the server's memory for each job.
async fn bulk(stage: &Stage<'_>) -> Result<(Act, Option<f64>), Failure> {
    let jobs = stage.settings.jobs;
    let before = stage.place.server_memory().await?;
    let act = stage.act("enqueue in bulk", Role::Produce(Manner::Bulk), jobs).await?;
    let after = stage.place.server_memory().await?;
    Ok((act, difference(before, after).map(|bytes| float(bytes) / float(jobs))))
}

/// What emptying the queue took.
struct Drained {
    done: Done,
    server_cpu: Option<u64>,
}

async fn empty(stage: &Stage<'_>, phase: &str, processes: usize, options: CrewOptions) -> Result<Drained, Failure> {
    let jobs = stage.settings.jobs;
    let bar = stage.bar(phase, jobs);
    let mut crew = Crew::start(stage.place, processes, jobs, &options).await?;
    let before = stage.place.server_cpu_ns().await?;
    crew.go().await?;
    crew.until_all_ran(&bar.0).await?;
    let after = stage.place.server_cpu_ns().await?;
    let done = crew.stop().await?;
    done.check(phase)?;
    Ok(Drained { done, server_cpu: difference(before, after) })
}

async fn drain(stage: &Stage<'_>, processes: usize, measured: &mut Measured) -> Result<(), Failure> {
    let phase = format!("drain with {processes} worker process{}", if processes == 1 { "" } else { "es" });
    let drained = empty(stage, &phase, processes, stage.crew()).await?;
    note_drain(stage, &processes.to_string(), &drained, measured);
    if processes == stage.settings.processes[0] {
        let peak = drained.done.reports.iter().filter_map(|report| report.peak_resident).max();
        measured.put_known("worker_busy_resident_bytes", peak.map(float));
    }
    Ok(())
}

fn note_drain(stage: &Stage<'_>, which: &str, Drained { done, server_cpu }: &Drained, measured: &mut Measured) {
    let jobs = stage.settings.jobs;
    measured.put(format!("drain_{which}_rate"), per_second(jobs, done.ended().saturating_sub(done.began())));
    measured.put(format!("drain_{which}_worker_cpu_us"), micros_each(done.cpu(), jobs));
    measured.put_known(format!("drain_{which}_server_cpu_us"), server_cpu.map(|cpu| micros_each(cpu, jobs)));
}

async fn drain_unnoted(stage: &Stage<'_>) -> Result<(), Failure> {
    empty(stage, "draining", 1, stage.crew()).await.map(drop)
}

async fn keep_results(stage: &Stage<'_>, measured: &mut Measured) -> Result<(), Failure> {
    stage.fill(stage.settings.jobs).await?;
    let options = CrewOptions { results: true, ..stage.crew() };
    let drained = empty(stage, "drain, results kept", 1, options).await?;
    note_drain(stage, "kept", &drained, measured);
    // As many results as jobs would stand in the way of what comes next.
    stage.place.clean().await
}

/// One producer and one worker at once.
async fn through(stage: &Stage<'_>, measured: &mut Measured) -> Result<(), Failure> {
    let (phase, jobs) = ("producer and worker at once", stage.settings.jobs);
    let bar = stage.bar(phase, jobs);
    let mut crew = Crew::start(stage.place, 1, jobs, &stage.crew()).await?;
    let mut producer = stage.spawn(Role::Produce(Manner::OneByOne), jobs).await?;
    crew.go().await?;
    crew.wait_idle().await?;
    producer.go().await?;
    let produced = async {
        let report = producer.report().await?;
        Ok::<_, Failure>(report)
    };
    let (report, ()) = tokio::try_join!(produced, crew.until_all_ran(&bar.0))?;
    let done = crew.stop().await?;
    done.check(phase)?;
    measured.put("through_rate", per_second(jobs, done.ended().saturating_sub(report.span.began)));
    Ok(())
}
