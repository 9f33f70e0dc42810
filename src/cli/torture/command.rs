//! From the arguments to the verdict.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::aftermath::Aftermath;
use super::arena::Arena;
use super::beats::Beats;
use super::cast::Slot;
use super::checker::{Violation, check};
use super::driver::Driver;
use super::events::{Pen, read};
use super::evidence::Evidence;
use super::links::Links;
use super::order::{Order, Role};
use super::report::Report;
use super::settings::{GRACE, Settings};
use super::timings::measure;
use crate::cli::args::{FaultKind, TortureArgs};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{note, print, print_json};
use crate::cli::run::Setting;
use crate::cli::store::Store;

/// How many producers there are.
const PRODUCERS: u32 = 2;

/// Breaks what can break, heals it, and judges.
pub(crate) async fn run(args: &TortureArgs, setting: &Setting) -> Result<(), Failure> {
    let settings = Settings::check(args)?;
    if setting.is_named {
        note(&format!("note: {} is not touched; a torture starts a store of its own", setting.url));
    }
    let arena = Arena::open(settings.store).await?;
    note(&format!("torturing {}, with seed {}", arena.describe(), settings.seed));
    let store = arena.describe();
    let evidence = perform(&settings, &arena).await.map_err(|failure| failure.after("the torture broke off"));
    let evidence = match evidence {
        Ok(evidence) => evidence,
        Err(failure) => {
            let kept = arena.keep();
            note(&format!("note: the files are in {}", kept.display()));
            return Err(failure);
        }
    };
    if evidence.ledger.is_empty() {
        let text = "nothing ran, so nothing was shown; let it go on for longer, or ask for more jobs";
        note(&format!("note: the files are in {}", arena.keep().display()));
        return Err(Failure::new(Exit::Failed, text));
    }
    let violations = check(&evidence);
    let kept = (settings.keep || !violations.is_empty()).then(|| arena.keep().display().to_string());
    show(&settings, store, &evidence, &violations, kept, setting.json)?;
    if violations.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        format!("{} promises were broken; try again with --seed {}", violations.len(), settings.seed),
    ))
}

fn show(
    settings: &Settings,
    store: &'static str,
    evidence: &Evidence,
    violations: &[Violation],
    kept: Option<String>,
    json: bool,
) -> Result<(), Failure> {
    let timings = measure(evidence);
    let report = Report { settings, store, evidence, violations, timings: &timings, kept };
    if json { print_json(&report.to_json()) } else { print(&report.to_text()) }
}

/// The whole play, up to the evidence.
async fn perform(settings: &Settings, arena: &Arena) -> Result<Evidence, Failure> {
    let (slots, links) = cast(settings, arena).await?;
    let beats = Beats::begin(&Store::open_or_make(&arena.url()?).await?).await?;
    let mut driver = Driver::new(settings, arena, slots, links);
    let bar = progress(settings.time);
    driver
        .storm(|faults| {
            bar.set_position(bar.elapsed().as_secs());
            bar.set_message(format!("{faults} faults"));
        })
        .await?;
    bar.set_message("healed; waiting for the last jobs");
    driver.dismiss(|role| matches!(role, Role::Produce { .. })).await;
    let aftermath = Aftermath::open(arena).await?;
    let beats_are_silent = beats.sign_of_life(&aftermath.store).await?;
    let healed = aftermath.store.ask(aftermath.store.broker.now()).await?;
    driver.dismiss(|role| role == Role::Beat).await;
    let quiet = aftermath.quiet(async |left| {
        bar.set_message(format!("healed; {left} jobs left"));
        driver.calm().await
    });
    quiet.await?;
    let probes = arena.file("probes");
    let pen = Pen::open(&probes, "probe").map_err(|error| unreadable(&error))?;
    let mut silent = aftermath.silent_queues(&pen).await?;
    silent.extend(beats_are_silent);
    silent.extend(beats.behind(&aftermath.store, healed).await?);
    beats.write_expected(&aftermath.store, &pen).await?;
    beats.end(&aftermath.store).await?;
    let history = [arena.file("history"), probes];
    let history =
        history.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(&error))?;
    let history = history.concat();
    bar.set_message("reading how every job ended");
    let ends = aftermath.ends(&history).await?;
    let leftovers = aftermath.leftovers().await?;
    driver.dismiss(|_| true).await;
    bar.finish_and_clear();
    let ledger = read(&arena.file("ledger")).map_err(|error| unreadable(&error))?;
    Ok(Evidence { history, ledger, faults: driver.faults, ends, leftovers, silent, stragglers: driver.stragglers })
}

/// The slots, still empty, and the links of their processes.
async fn cast(settings: &Settings, arena: &Arena) -> Result<(Vec<Slot>, Links), Failure> {
    let producer = Role::Produce { rate: (settings.rate / PRODUCERS).max(1) };
    let workers = (1..=settings.workers).map(|number| (format!("worker-{number}"), Role::Work, "ledger"));
    let producers = (1..=PRODUCERS).map(|number| (format!("producer-{number}"), producer, "history"));
    let beats = (1..=settings.beats).map(|number| (format!("beat-{number}"), Role::Beat, "history"));
    let cast: Vec<_> = workers.chain(producers).chain(beats).collect();
    let links = Links::open(arena, settings, cast.len()).await?;
    let mut slots = Vec::new();
    for (place, (label, role, writes)) in cast.into_iter().enumerate() {
        let order = Order {
            name: String::new(),
            role,
            store: links.url(arena, place)?.expose(),
            writes: arena.file(writes),
            seed: settings.seed.wrapping_add(place as u64 * 1_000_003),
            poison: settings.has(FaultKind::Poison),
            lease: settings.lease,
            grace: GRACE,
        };
        let log = arena.file(&format!("{label}.log"));
        slots.push(Slot::new(label, order, log));
    }
    Ok((slots, links))
}

fn progress(time: Duration) -> ProgressBar {
    let bar = ProgressBar::new(time.as_secs());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} s  {msg}") {
        bar.set_style(style);
    }
    bar
}

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot read what happened: {error}"))
}
