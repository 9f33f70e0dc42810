//! How long a single job takes on an idle worker, from the call that enqueues it to its start and to its result.

use super::stage::Stage;
use crate::cli::bench::crew::{Crew, CrewOptions};
use crate::cli::bench::measured::{Measured, float};
use crate::cli::bench::protocol::{Report, Role};
use crate::cli::bench::record::Ran;
use crate::cli::bench::statistics::quantile;
use crate::cli::exit::Failure;

/// What is told of a distribution: name and share in thousandths.
pub(crate) const QUANTILES: [(&str, usize); 3] = [("p50", 500), ("p99", 990), ("p999", 999)];

pub(super) async fn measure(stage: &Stage<'_>, measured: &mut Measured) -> Result<(), Failure> {
    let (ran, report) = singles(stage, "latency until the start", false).await?;
    let until_start = ran.starts.iter().zip(&report.enqueued).map(|(start, enqueued)| start.saturating_sub(*enqueued));
    note("start", &until_start.collect::<Vec<_>>(), measured);
    note("floor_start", &report.answers, measured);
    let (_, report) = singles(stage, "latency until the result", true).await?;
    note("result", &report.results, measured);
    note("floor_result", &report.answers, measured);
    Ok(())
}

/// Single jobs with pauses between them.
async fn singles(stage: &Stage<'_>, phase: &str, results: bool) -> Result<(Ran, Report), Failure> {
    let jobs = stage.settings.latency_jobs();
    let bar = stage.bar(phase, jobs);
    let options = CrewOptions { results, starts: true, ..stage.crew() };
    let mut crew = Crew::start(stage.place, 1, jobs, &options).await?;
    let file = (!stage.place.is_redis()).then(|| stage.place.file("floor"));
    let mut producer = stage.spawn(Role::Probe { results, file }, jobs).await?;
    crew.go().await?;
    crew.wait_idle().await?;
    producer.go().await?;
    let report = bar.follow(&mut producer).await?;
    crew.until_all_ran(&bar.0).await?;
    let done = crew.stop().await?;
    done.check(phase)?;
    Ok((done.ran, report))
}

fn note(name: &str, nanoseconds: &[u64], measured: &mut Measured) {
    for (quantile_name, per_mille) in QUANTILES {
        let value = quantile(nanoseconds, per_mille).map(|nanoseconds| float(nanoseconds) / 1e3);
        measured.put_known(format!("{name}_{quantile_name}_us"), value);
    }
}
