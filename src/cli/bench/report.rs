//! What comes out: a table for people, or one JSON object. Both show the same figures.

use serde_json::{Value, json};

use super::figures::{Figure, all};
use super::format::{Unit, digits};
use super::machine::Machine;
use super::measured::Measured;
use super::settings::Settings;
use super::statistics::median;
use crate::cli::output::Table;

/// Above the numbers, which stand to the right, and the words.
const HEADINGS: [&str; 4] = ["FIGURE", "FLOOR", "RATIO", "THE FLOOR IS"];

const NOT_MEASURED: &str = "not measured";

/// Everything there is to say.
pub(super) struct Report<'b> {
    pub(super) machine: Machine,
    pub(super) store: String,
    pub(super) settings: &'b Settings,
    pub(super) runs: &'b [Measured],
    /// What ended the measurement too early.
    pub(super) failure: Option<&'b str>,
    pub(super) redis: bool,
    pub(super) own_server: bool,
}

/// A figure over all runs.
struct Summary {
    values: Vec<Option<f64>>,
    floors: Vec<Option<f64>>,
}

impl Summary {
    fn of(figure: &Figure, runs: &[Measured]) -> Self {
        let values = runs.iter().map(|run| run.get(&figure.key)).collect();
        let floor = |run: &Measured| figure.floor.as_ref().and_then(|(key, _)| run.get(key));
        Self { values, floors: runs.iter().map(floor).collect() }
    }

    /// Of each run its own ratio: value and floor of one run saw the same machine.
    fn ratios(&self) -> Vec<Option<f64>> {
        let pairs = self.values.iter().zip(&self.floors);
        pairs.map(|(value, floor)| value.zip(*floor).filter(|(_, floor)| *floor > 0.0).map(|(v, f)| v / f)).collect()
    }
}

fn known(values: &[Option<f64>]) -> Vec<f64> {
    values.iter().filter_map(|value| *value).collect()
}

impl Report<'_> {
    pub(super) fn to_json(&self) -> Value {
        let figures = all(self.settings, self.redis);
        let figures: serde_json::Map<String, Value> =
            figures.iter().map(|figure| (figure.key.clone(), self.figure_json(figure))).collect();
        json!({
            "store": self.store,
            "machine": self.machine,
            "settings": self.settings,
            "figures": figures,
            "failure": self.failure,
        })
    }

    fn figure_json(&self, figure: &Figure) -> Value {
        let summary = Summary::of(figure, self.runs);
        let ratios = summary.ratios();
        json!({
            "unit": figure.unit.name(),
            "value": median(&known(&summary.values)),
            "runs": summary.values,
            "floor": median(&known(&summary.floors)).and(figure.floor.as_ref()).map(|(_, words)| words),
            "floor_value": median(&known(&summary.floors)),
            "floor_runs": summary.floors,
            "ratio": median(&known(&ratios)),
        })
    }

    pub(super) fn to_text(&self) -> String {
        let Settings { jobs, payload, concurrency, runs, .. } = self.settings;
        let jobs = digits(super::measured::float(*jobs));
        let runs = if *runs > 1 { format!(", medians of {runs} runs (lowest to highest)") } else { String::new() };
        let mut text = format!(
            "store    {}\nmachine  {}\njobs     {jobs} of {payload} bytes, {concurrency} at once in a worker{runs}\n\n",
            self.store,
            self.machine.describe(),
        );
        text.push_str(&self.table());
        text.push_str("\nA ratio is the figure divided by its floor, which was measured in the same run.\n");
        self.reasons().for_each(|reason| text.push_str(&format!("Not measured: {reason}.\n")));
        text
    }

    /// Why figures are missing.
    fn reasons(&self) -> impl Iterator<Item = &'static str> {
        let few = self.settings.latency_jobs() < 1000;
        let reasons = [
            (self.failure.is_some(), "what came after the failure"),
            (!self.redis, "what a server would cost, because SQLite has none"),
            (self.redis && !self.own_server, "commands, because MONITOR would slow down others who use the server"),
            (self.settings.idle.is_zero(), "an idle worker, because --idle is 0"),
            (few, "quantiles for which there are too few jobs"),
        ];
        reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason)
    }

    fn table(&self) -> String {
        let figures = all(self.settings, self.redis);
        let rows: Vec<(&Figure, [String; 4])> = figures.iter().map(|figure| (figure, self.cells(figure))).collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|(_, cells)| cells[column].chars().count());
            cells.max().unwrap_or(0).max(HEADINGS[column].len())
        };
        let widths = [width(0), width(1), width(2), 0];
        let right = |cells: [&str; 4]| -> Vec<String> {
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect()
        };
        let headings = right(HEADINGS);
        let headings: Vec<&str> = std::iter::once("").chain(headings.iter().map(String::as_str)).collect();
        let mut table = Table::new(&headings);
        let mut group = "";
        for (figure, cells) in &rows {
            if figure.group != group {
                group = figure.group;
                table.row(vec![String::new()]);
                table.row(vec![group.to_owned()]);
            }
            let mut row = vec![format!("  {}", figure.label)];
            row.extend(right(cells.each_ref().map(String::as_str)));
            table.row(row);
        }
        table.render()
    }

    fn cells(&self, figure: &Figure) -> [String; 4] {
        let summary = Summary::of(figure, self.runs);
        let Some(value) = median(&known(&summary.values)) else {
            return [NOT_MEASURED.to_owned(), String::new(), String::new(), String::new()];
        };
        let floor = median(&known(&summary.floors)).map(|floor| figure.unit.show(floor));
        let ratio = median(&known(&summary.ratios())).map(digits);
        let words = if floor.is_some() { figure.floor.as_ref().map_or("", |(_, words)| words) } else { "" };
        let value = figure.unit.show(value) + &spread(figure.unit, &known(&summary.values));
        [value, floor.unwrap_or_default(), ratio.unwrap_or_default(), words.to_owned()]
    }
}

/// The lowest and the highest of several.
fn spread(unit: Unit, values: &[f64]) -> String {
    let (lowest, highest) =
        values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    if values.len() < 2 { String::new() } else { format!(" ({} to {})", unit.amount(lowest), unit.amount(highest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_values_show_their_spread_and_one_does_not() {
        assert_eq!(spread(Unit::PerSecond, &[1000.0]), "");
        assert_eq!(spread(Unit::PerSecond, &[1000.0, 3000.0, 2000.0]), " (1,000 to 3,000)");
    }

    #[test]
    fn ratios_are_those_of_each_run_and_missing_where_a_floor_is() {
        let summary = Summary { values: vec![Some(6.0), Some(8.0), None], floors: vec![Some(2.0), None, Some(1.0)] };
        assert_eq!(summary.ratios(), [Some(3.0), None, None]);
    }
}
