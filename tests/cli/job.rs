//! `job get` and `job list`.

use celeriac_testkit::shared_redis;
use serde_json::json;

use crate::place::{Place, fields, ids};

const FIELDS: [&str; 22] = [
    "args",
    "attempt",
    "deadline",
    "due_at",
    "enqueued_at",
    "error",
    "expires_at",
    "failures",
    "fence",
    "headers",
    "history",
    "id",
    "losses",
    "priority",
    "queue",
    "result",
    "since",
    "state",
    "suspect",
    "task",
    "unique",
    "worker",
];

/// Jobs in several states.
fn fill(place: &Place) {
    place.ok(&["enqueue", "fail", "--id", "failed"]);
    place.ok(&["enqueue", "echo", "[1]", "--id", "done"]);
    place.burst();
    place.ok(&["enqueue", "echo", "--id", "waiting", "-q", "q"]);
    place.ok(&["enqueue", "images", "--id", "later", "--delay", "2h"]);
}

fn every_state_has_the_same_fields(place: &Place) {
    fill(place);
    for id in ["failed", "done", "waiting", "later"] {
        assert_eq!(fields(&place.json(&["job", "get", id])), FIELDS, "{id}");
    }
    let done = place.json(&["job", "get", "done"]);
    assert_eq!((&done["state"], &done["result"], &done["priority"]), (&json!("succeeded"), &json!([1]), &json!(null)));
    let failed = place.json(&["job", "get", "failed"]);
    assert_eq!((&failed["state"], &failed["failures"], &failed["args"]), (&json!("dead"), &json!(1), &json!({})));
    assert_eq!(fields(&failed["history"][0]), ["at", "attempt", "cause", "error", "worker"]);
    let at = failed["enqueued_at"].as_str().unwrap_or_default();
    assert!(at.len() == 24 && at.ends_with('Z'), "{at}");
}

#[test]
fn every_state_has_the_same_fields_on_sqlite() {
    every_state_has_the_same_fields(&Place::new());
}

#[tokio::test]
async fn every_state_has_the_same_fields_on_redis() {
    every_state_has_the_same_fields(&Place::with_store(shared_redis().await.expose()));
}

#[test]
fn several_ids_answer_a_list_of_those_that_are_there() {
    let place = Place::new();
    place.ok(&["enqueue", "echo", "--id", "a"]);
    let answer = place.run(&["job", "get", "a", "b", "c", "--json"]);
    assert_eq!((answer.code, answer.json().as_array().unwrap().len()), (4, 1));
    assert!(answer.err.contains("sqlite:celeriac.db knows nothing of job b, c"), "{}", answer.err);
}

#[test]
fn an_unknown_id_is_4_and_a_bad_one_2() {
    let place = Place::new();
    let answer = place.run(&["job", "get", "a", "--json"]);
    assert_eq!((answer.code, answer.out.as_str()), (4, ""));
    assert_eq!(place.run(&["job", "get", "two words"]).code, 2);
    assert_eq!(place.run(&["job", "get"]).code, 2);
}

#[test]
fn people_read_aligned_fields() {
    let place = Place::new();
    fill(&place);
    let text = place.ok(&["job", "get", "failed"]).out;
    for expected in
        ["id        failed\n", "state     dead, since 2", " UTC (", "attempts  1 (1 failed, 0 lost)\n", "no way"]
    {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}

#[test]
fn a_list_is_narrowed_by_state_queue_task_and_limit() {
    let place = Place::new();
    fill(&place);
    let list = |arguments: &[&str]| {
        let jobs = place.json(&[&["job", "list"], arguments].concat());
        ids(&jobs).join(" ")
    };
    assert_eq!(list(&[]), "failed later waiting");
    assert_eq!(list(&["--state", "scheduled"]), "later");
    assert_eq!(list(&["-q", "q"]), "waiting");
    assert_eq!(list(&["--task", "fail", "--state", "dead"]), "failed");
    assert_eq!(list(&["--state", "running"]), "");
    assert_eq!(list(&["--limit", "2"]).split(' ').count(), 2);
}

#[test]
fn people_are_told_that_ended_jobs_are_not_listed_and_that_a_list_was_cut() {
    let place = Place::new();
    fill(&place);
    assert!(place.ok(&["job", "list", "--state", "succeeded"]).err.contains("kept by id only"));
    let cut = place.ok(&["job", "list", "--limit", "1"]);
    assert!(cut.out.starts_with("ID ") && cut.err.contains("for more, name a --state"), "{} {}", cut.out, cut.err);
    assert_eq!(place.run(&["job", "list", "--state", "pending"]).code, 2);
}

#[test]
fn a_reader_that_goes_away_is_no_reason_to_panic() {
    let place = Place::new();
    place.ok(&["enqueue", "echo"]);
    let mut child = place.command(&["job", "list", "--json"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn looking_into_a_store_that_was_not_there_says_so() {
    let place = Place::new();
    assert!(place.ok(&["job", "list"]).err.contains("there was no sqlite:celeriac.db here"));
    assert!(!place.ok(&["job", "list"]).err.contains("there was no"));
}
