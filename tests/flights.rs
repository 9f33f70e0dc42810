//! The flights example as a person runs it, against numbers that this file computes by itself in one plain pass.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

#[path = "support/example.rs"]
mod example;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Output;

use celeriac_testkit::shared_redis;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

fn flights(arguments: &[&str]) -> Output {
    example::run("flights", arguments)
}

/// The JSON of a run that must succeed.
fn report(arguments: &[&str]) -> Value {
    let output = flights(arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data").join(name)
}

fn january() -> String {
    let mut text = String::new();
    GzDecoder::new(fs::File::open(data("flights-2013-01.csv.gz")).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// Minutes and how many flights they come from.
type Sum = (i128, i128);

#[derive(Default)]
struct Expected {
    flights: u64,
    cancelled: u64,
    departure: Sum,
    arrival: Sum,
    routes: BTreeMap<String, Sum>,
}

fn add(sum: &mut Sum, minutes: &str) {
    if minutes != "NA" {
        *sum = (sum.0 + minutes.parse::<i128>().unwrap(), sum.1 + 1);
    }
}

/// Hundredths of the quotient, half away from zero: a half is added to the absolute value before it is cut off.
fn mean((minutes, flights): Sum) -> Value {
    if flights == 0 {
        return Value::Null;
    }
    let size = (100 * minutes.abs() + flights / 2) / flights;
    // For an odd number of flights no quotient lies on a half, so cutting the half of it changes nothing.
    json!((if minutes < 0 { -size } else { size }) as f64 / 100.0)
}

fn worst(routes: &BTreeMap<String, Sum>) -> Option<&str> {
    let mut worst: Option<(&str, Sum)> = None;
    for (name, &(minutes, flights)) in routes.iter().filter(|(_, sum)| sum.1 >= 10) {
        // In order of name, so only a later route that is truly worse replaces an earlier one.
        if worst.is_none_or(|(_, (most, of))| minutes * of > most * flights) {
            worst = Some((name, (minutes, flights)));
        }
    }
    worst.map(|(name, _)| name)
}

/// What the report on `csv` must be; a simple reading that trusts its input.
fn expected(csv: &str) -> Value {
    let airlines = fs::read_to_string(data("airlines.csv")).unwrap();
    let names: BTreeMap<_, _> = airlines.lines().skip(1).filter_map(|line| line.split_once(',')).collect();
    let mut carriers = BTreeMap::<&str, Expected>::new();
    for line in csv.lines().skip(1) {
        let value: Vec<_> = line.split(',').collect();
        let (departed, dep_delay, arr_delay) = (value[3], value[5], value[8]);
        let carrier = carriers.entry(value[9]).or_default();
        carrier.flights += 1;
        carrier.cancelled += u64::from(departed == "NA");
        add(&mut carrier.departure, dep_delay);
        add(&mut carrier.arrival, arr_delay);
        add(carrier.routes.entry(format!("{}-{}", value[12], value[13])).or_default(), arr_delay);
    }
    let lines = carriers.iter().map(|(carrier, expected)| {
        json!({
            "carrier": carrier,
            "name": names.get(carrier),
            "flights": expected.flights,
            "cancelled": expected.cancelled,
            "mean_dep_delay": mean(expected.departure),
            "mean_arr_delay": mean(expected.arrival),
            "worst_route": worst(&expected.routes),
        })
    });
    lines.collect()
}

/// A file of these bytes, compressed, beside no list of airlines.
fn gzip(directory: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = directory.path().join(name);
    let mut file = GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast());
    file.write_all(bytes).unwrap();
    file.finish().unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn january_on_the_embedded_store_is_what_one_plain_pass_computes() {
    assert_eq!(report(&["--json"]), expected(&january()));
}

#[tokio::test]
async fn two_runs_on_one_redis_give_the_same_report() {
    let url = shared_redis().await.expose();
    let expected = expected(&january());
    for run in 1..=2 {
        assert_eq!(report(&["--json", "--broker", &url]), expected, "run {run}");
    }
}

#[test]
fn without_json_there_is_a_table_with_a_line_for_each_airline() {
    let output = flights(&[]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.lines().filter(|line| line.contains("Virgin America")).count(), 1, "{table}");
    assert_eq!(table.lines().count(), 16 + 2, "{table}");
}

#[test]
fn a_row_that_makes_no_sense_is_named_by_its_line_and_changes_nothing_else() {
    let directory = TempDir::new().unwrap();
    let csv = january();
    let good: Vec<_> = csv.lines().take(400).collect();
    let mut bad = good.clone();
    let (date, delay) =
        ("2013,2,30,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,x", "2013,1,1,517,515,two");
    bad.insert(10, date);
    bad.insert(20, delay);
    let long = good[1].replace(",UA,", ",a carrier that is too long,");
    bad.insert(30, &long);
    let nobody = good[1].replace(",UA,", ",ua,");
    bad.insert(40, &nobody);
    let output = flights(&["--json", &gzip(&directory, "bad.csv.gz", bad.join("\r\n").as_bytes())]);
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), expected(&good.join("\n")));
    for line in [
        "line 11: 2013-2-30 is no date; row skipped",
        "line 21: its number of values is 6 and not 19; row skipped",
        "line 31: carrier is not 1 to 20 plain characters; row skipped",
        "line 41: carrier \"ua\" makes no sense; row skipped",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
    }
}

#[test]
fn an_airline_without_a_name_has_none_and_few_arrivals_make_no_worst_route() {
    let directory = TempDir::new().unwrap();
    let csv =
        january().lines().take(2).collect::<Vec<_>>().join("\n").replace(",UA,", ",ZZ,").replace(",11,ZZ", ",NA,ZZ");
    let report = report(&["--json", &gzip(&directory, "one.csv.gz", csv.as_bytes())]);
    assert_eq!(
        report,
        json!([{
            "carrier": "ZZ", "name": null, "flights": 1, "cancelled": 0,
            "mean_dep_delay": 2.0, "mean_arr_delay": null, "worst_route": null,
        }])
    );
}

#[test]
fn half_a_hundredth_is_rounded_away_from_zero_and_equal_routes_go_by_name() {
    let directory = TempDir::new().unwrap();
    let mut csv = january().lines().next().unwrap().to_owned();
    let mut fly = |dest: &str, flights: usize, delay: i32| {
        let row = format!("\n2013,1,1,1,1,{delay},1,1,{delay},ZZ,1,N1,EWR,{dest},1,1,1,1,x");
        csv.push_str(&row.repeat(flights));
    };
    // 40 flights with -165 minutes: the mean is -4.125. Both routes to B and C have 10 or more arrivals and a mean of 0.
    fly("CCC", 10, 0);
    fly("BBB", 7, 3);
    fly("BBB", 7, -3);
    fly("DDD", 15, -11);
    fly("AAA", 1, 0);
    let report = report(&["--json", &gzip(&directory, "made.csv.gz", csv.as_bytes())]);
    let line = &report[0];
    assert_eq!((&line["mean_dep_delay"], &line["mean_arr_delay"]), (&json!(-4.13), &json!(-4.13)), "{line}");
    assert_eq!(line["worst_route"], "EWR-BBB");
}

#[test]
fn a_day_that_turns_up_again_is_added_up_all_the_same() {
    let directory = TempDir::new().unwrap();
    let csv = january();
    let mut lines: Vec<_> = csv.lines().take(3000).collect();
    lines[1..].sort_by_key(|line| line.bytes().rev().collect::<Vec<_>>());
    lines[1..].rotate_left(700);
    let csv =
        lines.iter().enumerate().filter(|(n, _)| n % 3 != 1).map(|(_, line)| *line).collect::<Vec<_>>().join("\n");
    assert_eq!(report(&["--json", &gzip(&directory, "mixed.csv.gz", csv.as_bytes())]), expected(&csv));
}

#[test]
fn a_file_that_cannot_be_used_ends_the_program_with_one_sentence_and_code_2() {
    let directory = TempDir::new().unwrap();
    let csv = january();
    let (header, rows) = csv.split_once('\n').unwrap();
    let whole = fs::read(data("flights-2013-01.csv.gz")).unwrap();
    let plain = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let open_quote = format!("{header}\n{}", rows.replacen(",EWR,", ",\"EWR,", 1));
    let cases = [
        (directory.path().join("absent").to_str().unwrap().to_owned(), "cannot read"),
        (plain("empty", b""), "is empty"),
        (plain("plain", csv.as_bytes()), "is not a gzip file"),
        (plain("cut", &whole[..whole.len() / 2]), "breaks off or is damaged"),
        (gzip(&directory, "nothing", b""), "holds no text"),
        (gzip(&directory, "header", header.as_bytes()), "has a header and no flights"),
        (gzip(&directory, "column", csv.replacen("arr_delay", "delay", 1).as_bytes()), "has no column arr_delay"),
        (gzip(&directory, "quote", open_quote.as_bytes()), "line 2: a quote is opened and not closed"),
        (gzip(&directory, "rows", format!("{header}\na,b\nc,d\n").as_bytes()), "no row is a flight; line 2:"),
        ("--brokr".to_owned(), "unknown option --brokr"),
    ];
    for (argument, sentence) in cases {
        let output = flights(&[&argument]);
        let told = stderr(&output);
        assert!(told.contains(sentence), "{argument}: {told}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{argument}: {told}");
    }
}
