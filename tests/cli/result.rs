//! `result ID`.

use serde_json::json;

use crate::place::{Place, Process};

#[test]
fn the_result_is_printed_as_json() {
    let place = Place::new();
    place.ok(&["enqueue", "echo", r#"{"a": [1]}"#, "--id", "a"]);
    place.burst();
    assert_eq!(place.ok(&["result", "a"]).out, "{\"a\": [1]}\n");
    assert_eq!(place.json(&["result", "a"]), json!({"id": "a", "state": "succeeded", "result": {"a": [1]}}));
}

#[test]
fn a_job_that_has_not_ended_is_1_and_tells_its_state() {
    let place = Place::new();
    place.ok(&["enqueue", "echo", "--id", "a"]);
    let answer = place.run(&["result", "a", "--json"]);
    assert_eq!((answer.code, answer.json()), (1, json!({"id": "a", "state": "queued"})));
    let answer = place.run(&["result", "a"]);
    assert_eq!((answer.code, answer.out.as_str()), (1, ""));
    assert!(answer.err.contains("it is queued in sqlite:celeriac.db"), "{}", answer.err);
}

#[test]
fn a_job_that_failed_is_1_and_tells_its_error() {
    let place = Place::new();
    place.ok(&["enqueue", "fail", "--id", "a"]);
    place.burst();
    let answer = place.run(&["result", "a", "--json"]);
    assert_eq!((answer.code, &answer.json()["state"]), (1, &json!("dead")));
    assert!(answer.json()["error"].as_str().unwrap().contains("no way"), "{}", answer.out);
    assert!(answer.err.contains("no way"), "{}", answer.err);
}

#[test]
fn an_unknown_id_is_4_with_and_without_wait() {
    let place = Place::new();
    assert_eq!(place.run(&["result", "a"]).code, 4);
    assert_eq!(place.run(&["result", "a", "--wait", "--json"]).code, 4);
}

#[test]
fn a_wait_ends_with_the_job() {
    let place = Place::new();
    place.ok(&["enqueue", "echo", "[1]", "--id", "a"]);
    assert_eq!(place.run(&["result", "a", "--wait", "20ms"]).code, 1);
    let wait = Process::start(place.command(&["result", "a", "--wait", "--json"]));
    wait.until("job a is queued in sqlite:celeriac.db; waiting");
    let _worker = place.worker(&[]);
    let answer = wait.end();
    assert_eq!((answer.code, answer.json()), (0, json!({"id": "a", "state": "succeeded", "result": [1]})));
}
