//! `doctor`, as people and their alarms use it.

use celeriac_testkit::{RedisOptions, RedisServer, shared_redis};
use serde_json::{Value, json};

use crate::place::{Place, fields};

fn grade(answer: &Value, check: &str) -> String {
    let checks = answer["checks"].as_array().expect("a list of checks");
    let found = checks.iter().find(|found| found["check"] == check).unwrap_or_else(|| panic!("{check} in {answer}"));
    found["grade"].as_str().expect("a grade").to_owned()
}

fn a_fit_store_passes(place: &Place) {
    let answer = place.json(&["doctor"]);
    assert_eq!(fields(&answer), ["checks", "ok", "store"]);
    assert_eq!(fields(&answer["checks"][0]), ["advice", "check", "detail", "grade"]);
    assert_eq!(answer["ok"], true);
    for check in ["store", "clock", "queues", "dead", "parked"] {
        assert_eq!(grade(&answer, check), "ok", "{check}");
    }
    assert_eq!(grade(&answer, "workers"), "warn");
}

#[test]
fn a_fit_store_passes_on_sqlite() {
    a_fit_store_passes(&Place::new());
}

#[tokio::test]
async fn a_fit_store_passes_on_redis() {
    a_fit_store_passes(&Place::with_store(shared_redis().await.expose()));
}

#[test]
fn people_read_a_line_for_each_check_with_what_to_do() {
    let place = Place::new();
    place.ok(&["enqueue", "fail"]);
    place.burst();
    place.ok(&["queue", "pause", "default"]);
    let text = place.ok(&["doctor"]).out;
    for expected in [
        "ok    store        sqlite:celeriac.db is reached\n",
        "warn  queue        default is paused; 0 ready jobs wait -> celeriac queue resume default\n",
        "warn  dead         dead jobs that are kept: 1 -> celeriac dead list;",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}

#[test]
fn a_worker_and_work_that_nobody_knows_are_seen() {
    let place = Place::new();
    let _worker = place.worker(&["-q", "default"]);
    place.ok(&["enqueue", "images"]);
    let answer = place.json(&["doctor"]);
    assert_eq!((grade(&answer, "workers"), grade(&answer, "queue")), ("ok".to_owned(), "warn".to_owned()));
}

#[test]
fn a_store_that_would_delete_jobs_fails_with_1() {
    let options = RedisOptions::default().option("--maxmemory", "200mb").option("--maxmemory-policy", "allkeys-lru");
    let server = RedisServer::start(&options);
    let place = Place::with_store(server.url().expose());
    let answer = place.run(&["doctor"]);
    assert_eq!(answer.code, 1);
    assert!(answer.out.contains("FAIL  eviction"), "{}", answer.out);
    assert!(answer.err.contains("one check of"), "{}", answer.err);
    let answer = place.run(&["doctor", "--json"]);
    assert_eq!((answer.code, &answer.json()["ok"]), (1, &json!(false)));
}

#[test]
fn a_store_that_is_away_is_3() {
    assert_eq!(Place::with_store("redis://127.0.0.1:1").run(&["doctor"]).code, 3);
}
