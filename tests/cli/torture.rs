//! `torture`, for some seconds: that faults come, that nothing is broken, that its own store is the only one it touches.

use serde_json::Value;

use crate::place::Place;

fn torture(place: &Place, more: &[&str]) -> Value {
    let short = ["torture", "--minutes", "0.1", "--seed", "7", "--lease", "1s", "--rate", "60", "--json"];
    let answer = place.run(&[&short[..], more].concat());
    assert_eq!(answer.code, 0, "{} {}", answer.out, answer.err);
    answer.json()
}

/// What the report must say, whatever came by chance.
fn check(report: &Value) {
    assert_eq!(report["violations"], Value::Array(Vec::new()));
    assert_eq!((&report["seed"], &report["kept"]), (&Value::from(7), &Value::Null));
    let number = |key: &str| report[key].as_u64().unwrap_or_default();
    assert!(number("accepted") > 50 && number("ran") > 50 && number("runs") >= number("ran"), "{report}");
    let faults: u64 = report["faults"].as_object().expect("faults").values().filter_map(Value::as_u64).sum();
    assert!(faults > 0, "{report}");
}

#[test]
fn nothing_is_lost_on_redis() {
    let place = Place::new();
    check(&torture(&place, &[]));
    assert!(!place.has("celeriac.db"), "it leaves nothing where it was started");
}

#[test]
fn nothing_is_lost_on_sqlite() {
    check(&torture(&Place::new(), &["--store", "sqlite"]));
}

#[test]
fn what_a_file_cannot_meet_is_refused() {
    let answer = Place::new().run(&["torture", "--store", "sqlite", "--faults", "link"]);
    assert_eq!(answer.code, 2);
    assert!(
        answer.err.contains("a SQLite file cannot meet the fault link; it can meet kill, stop, term, poison"),
        "{}",
        answer.err
    );
    let answer = Place::new().run(&["torture", "--minutes", "2m"]);
    assert!(answer.code == 2 && answer.err.contains("without a unit"), "{}", answer.err);
}
