//! What a torture found, for people and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::checker::Violation;
use super::events::Event;
use super::evidence::{End, Evidence};
use super::settings::Settings;
use super::timings::{Timings, quantile};
use crate::cli::output::Table;

/// How many violations are shown; the rest is counted.
const SHOWN: usize = 20;

pub(super) struct Report<'r> {
    pub(super) settings: &'r Settings,
    pub(super) store: &'static str,
    pub(super) evidence: &'r Evidence,
    pub(super) violations: &'r [Violation],
    pub(super) timings: &'r Timings,
    /// Where the files are, if they were kept.
    pub(super) kept: Option<String>,
}

impl Report<'_> {
    fn count(&self, fits: impl Fn(&Event) -> bool) -> usize {
        self.evidence.history.iter().filter(|line| fits(&line.event)).count()
    }

    fn states(&self) -> BTreeMap<&'static str, usize> {
        let mut states = BTreeMap::new();
        for end in self.evidence.ends.values() {
            let name = match end {
                End::Over { state, .. } => state.as_str(),
                End::Open(_) => "unfinished",
                End::Absent => continue,
            };
            *states.entry(name).or_default() += 1;
        }
        states
    }

    fn faults(&self) -> BTreeMap<&'static str, usize> {
        let mut faults = BTreeMap::new();
        self.evidence.faults.iter().for_each(|fault| *faults.entry(fault.kind).or_default() += 1);
        faults
    }

    /// Of 10,000 jobs that ran.
    fn per_10_000(&self, count: usize) -> f64 {
        count as f64 * 10_000.0 / self.timings.ran.max(1) as f64
    }

    pub(super) fn to_json(&self) -> Value {
        let recovery = self.timings.recovery.iter().map(|(kind, waits)| {
            let [p50, p90, max] = [0.5, 0.9, 1.0].map(|part| milliseconds(quantile(waits, part)));
            ((*kind).to_owned(), json!({ "count": waits.len(), "p50_ms": p50, "p90_ms": p90, "max_ms": max }))
        });
        json!({
            "seed": self.settings.seed,
            "seconds": self.settings.time.as_secs_f64(),
            "store": self.store,
            "accepted": self.count(|event| *event == Event::Accepted),
            "refused": self.count(|event| *event == Event::Refused),
            "in_doubt": self.count(|event| *event == Event::InDoubt),
            "ends": self.states(),
            "ran": self.timings.ran,
            "runs": self.timings.runs,
            "began_again_per_10000": self.per_10_000(self.timings.again),
            "done_twice_per_10000": self.per_10_000(self.timings.twice),
            "faults": self.faults(),
            "recovery": recovery.collect::<serde_json::Map<_, _>>(),
            "violations": self.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "kept": self.kept,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let settings = self.settings;
        let mut text = format!(
            "seed {}, {} of faults, {} workers, {} beats, lease {}, on {}\n",
            settings.seed,
            words(settings.time),
            settings.workers,
            settings.beats,
            words(settings.lease),
            self.store
        );
        let faults = self.faults().iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ");
        text += &format!("faults: {}\n\n", if faults.is_empty() { "none" } else { &faults });
        let ends = self.states().iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ");
        text += &format!("{} jobs accepted; ends: {ends}\n", self.count(|event| *event == Event::Accepted));
        text += &format!(
            "{} runs of {} jobs; of 10,000 jobs {:.1} were broken off and began again, {:.1} were done twice\n\n",
            self.timings.runs,
            self.timings.ran,
            self.per_10_000(self.timings.again),
            self.per_10_000(self.timings.twice)
        );
        text + &self.recovery() + &self.verdict()
    }

    fn recovery(&self) -> String {
        if self.timings.recovery.is_empty() {
            return String::new();
        }
        let mut table = Table::new(&["RECOVERY FROM", "COUNT", "MEDIAN", "90 %", "LONGEST"]);
        for (kind, waits) in &self.timings.recovery {
            let [p50, p90, max] =
                [0.5, 0.9, 1.0].map(|part| format!("{:.1} s", milliseconds(quantile(waits, part)) / 1000.0));
            table.row(vec![(*kind).to_owned(), waits.len().to_string(), p50, p90, max]);
        }
        table.render() + "\n"
    }

    fn verdict(&self) -> String {
        let mut text = match self.violations {
            [] => "every promise was kept\n".to_owned(),
            some => format!("{} broken promises:\n", some.len()),
        };
        self.violations.iter().take(SHOWN).for_each(|violation| text += &format!("  {violation}\n"));
        if self.violations.len() > SHOWN {
            text += &format!("  and {} more\n", self.violations.len() - SHOWN);
        }
        if let Some(kept) = &self.kept {
            text += &format!("the files are in {kept}\n");
        }
        text
    }
}

#[expect(clippy::cast_precision_loss, reason = "a time")]
fn milliseconds(nanoseconds: u64) -> f64 {
    (nanoseconds / 1000) as f64 / 1000.0
}

fn words(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds => format!("{:.0} min", seconds / 60.0),
    }
}
