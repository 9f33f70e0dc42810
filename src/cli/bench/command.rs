//! From the arguments to the report: opens the place, runs the phases, cleans up whatever happened.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::machine::Machine;
use super::measured::Measured;
use super::phases::measure;
use super::place::Place;
use super::report::Report;
use super::settings::Settings;
use crate::cli::args::BenchArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{note, print, print_json};
use crate::cli::run::Setting;

/// How long a server is given to read what killed processes have sent.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Measures, and prints what was measured also when a phase has failed.
pub(crate) async fn run(args: &BenchArgs, setting: &Setting) -> Result<(), Failure> {
    let settings = Settings::check(args)?;
    let place = Place::open(setting.is_named.then_some(&setting.url)).await?;
    note(&format!("measuring with {}", place.describe()));
    // Before there is a load of our own.
    let machine = Machine::look(place.redis_version());
    let mut runs = Vec::new();
    // A signal ends the measurement and not the cleaning up. Child processes go with the future that is dropped.
    let measured = tokio::select! {
        measured = measure_all(&place, &settings, &mut runs) => measured,
        interrupted = interruption() => Err(interrupted),
    };
    if measured.is_err() {
        // A process that was just killed may have sent something that the server has not read yet.
        tokio::time::sleep(LAST_WORDS).await;
    }
    let cleaned = place.clean().await;
    let report = Report {
        machine,
        store: place.describe(),
        settings: &settings,
        runs: &runs,
        failure: measured.as_ref().err().map(|failure| failure.message.as_str()),
        redis: place.is_redis(),
        own_server: place.own_port().is_some(),
    };
    if setting.json {
        print_json(&report.to_json())?;
    } else {
        print(&report.to_text())?;
    }
    measured.and(cleaned)
}

async fn measure_all(place: &Place, settings: &Settings, runs: &mut Vec<Measured>) -> Result<(), Failure> {
    for run in 1..=settings.runs {
        // Filled in place, so that what was measured is there also when a signal drops this future.
        runs.push(Measured::default());
        let Some(measured) = runs.last_mut() else { continue };
        measure(place, settings, run, measured).await?;
    }
    Ok(())
}

/// Waits for a signal that asks the process to end.
async fn interruption() -> Failure {
    let install = |kind| signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("no signals: {error}")));
    let signals = (install(SignalKind::interrupt()), install(SignalKind::terminate()));
    let (mut interrupt, mut terminate) = match signals {
        (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
        (Err(failure), _) | (_, Err(failure)) => return failure,
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Failure::new(Exit::Failed, "interrupted")
}
