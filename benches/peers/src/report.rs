//! Tables for people and JSON for programs, from the values of all runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::figures::{Figure, GROUPS, Run, median};
use crate::systems::System;

/// All runs of each system, in the order of the columns.
pub(crate) type Runs = BTreeMap<System, Vec<Run>>;

/// One Markdown table for each group of figures and each kind of store.
pub(crate) fn tables(runs: &Runs) -> String {
    let mut text = String::new();
    for redis in [true, false] {
        let systems: Vec<_> = runs.keys().copied().filter(|system| system.uses_redis() == redis).collect();
        for group in GROUPS {
            let rows: Vec<_> = group.figures.iter().filter(|figure| applies(figure, &systems, runs)).collect();
            if !rows.is_empty() {
                let _ = write!(text, "### {}: {}\n\n", if redis { "Redis" } else { "SQLite" }, group.title);
                table(&mut text, &rows, &systems, runs);
            }
        }
    }
    text.push_str(&remarks(runs));
    text
}

fn applies(figure: &Figure, systems: &[System], runs: &Runs) -> bool {
    let has = |run: &Run| run.values.contains_key(figure.key) || run.missing.contains_key(figure.key);
    systems.iter().filter_map(|system| runs.get(system)).flatten().any(has)
}

fn table(text: &mut String, rows: &[&Figure], systems: &[System], runs: &Runs) {
    let own = systems.iter().copied().find(|system| system.is_celeriac());
    let peers: Vec<_> = systems.iter().copied().filter(|system| own.is_some() && !system.is_celeriac()).collect();
    let mut heads: Vec<_> = systems.iter().map(|system| system.name().to_owned()).collect();
    heads.extend(peers.iter().map(|peer| format!("celeriac / {}", peer.name())));
    let _ = writeln!(text, "| | {} |\n|---|{}", heads.join(" | "), "---:|".repeat(heads.len()));
    for figure in rows {
        let mut cells: Vec<_> = systems.iter().map(|system| cell(figure, &values(figure, *system, runs))).collect();
        for peer in &peers {
            let ratios = own.map(|own| ratios(figure, own, *peer, runs)).unwrap_or_default();
            cells.push(if figure.compared { cell(&Figure { digits: 2, ..**figure }, &ratios) } else { "-".to_owned() });
        }
        let _ = writeln!(text, "| {} | {} |", figure.title, cells.join(" | "));
    }
    text.push('\n');
}

fn values(figure: &Figure, system: System, runs: &Runs) -> Vec<f64> {
    let runs = runs.get(&system).into_iter().flatten();
    sorted(runs.filter_map(|run| run.values.get(figure.key).copied()).collect())
}

/// The ratio of each run, so that what disturbed the machine during a run disturbs both sides of it.
fn ratios(figure: &Figure, own: System, peer: System, runs: &Runs) -> Vec<f64> {
    let (Some(own), Some(peer)) = (runs.get(&own), runs.get(&peer)) else { return Vec::new() };
    let ratio = |(own, peer): (&Run, &Run)| Some(own.values.get(figure.key)? / peer.values.get(figure.key)?);
    sorted(own.iter().zip(peer).filter_map(ratio).filter(|ratio| ratio.is_finite()).collect())
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Median (least to most), or that nothing was measured.
fn cell(figure: &Figure, sorted: &[f64]) -> String {
    let (Some(middle), Some(least), Some(most)) = (median(sorted), sorted.first(), sorted.last()) else {
        return "not measured".to_owned();
    };
    let number = |value: f64| grouped(&format!("{value:.*}", figure.digits));
    if sorted.len() == 1 {
        number(middle)
    } else {
        format!("{} ({} to {})", number(middle), number(*least), number(*most))
    }
}

/// With a comma before each three digits.
fn grouped(number: &str) -> String {
    let (whole, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    let digits = whole.trim_start_matches('-');
    let mut text = whole[..whole.len() - digits.len()].to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// What is missing and why, and what is to be known about the stores.
fn remarks(runs: &Runs) -> String {
    let mut text = String::new();
    for (system, runs) in runs {
        let mut notes: Vec<_> = runs.iter().flat_map(|run| run.notes.iter().cloned()).collect();
        for (number, run) in runs.iter().enumerate() {
            notes.extend(run.missing.iter().map(|(key, why)| format!("run {}, {key} not measured: {why}", number + 1)));
        }
        notes.dedup();
        for note in notes {
            let _ = writeln!(text, "- {}: {note}", system.name());
        }
    }
    text
}

/// Every value of every run.
pub(crate) fn json(runs: &Runs, settings: &Value) -> Value {
    let systems: BTreeMap<_, _> = runs.iter().map(|(system, runs)| (system.name(), json!(runs))).collect();
    json!({ "settings": settings, "systems": systems })
}
