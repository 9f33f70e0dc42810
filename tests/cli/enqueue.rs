//! `enqueue TASK`.

use celeriac_testkit::shared_redis;
use serde_json::json;

use crate::place::{Place, fields};

#[test]
fn an_id_is_all_that_is_printed() {
    let place = Place::new();
    let answer = place.ok(&["enqueue", "echo", r#"{"a": 1}"#]);
    let id = answer.out.strip_suffix('\n').unwrap();
    assert_eq!((id.len(), answer.err.as_str()), (22, ""));
    let job = place.json(&["job", "get", id]);
    assert_eq!((&job["task"], &job["queue"], &job["args"]), (&json!("echo"), &json!("default"), &json!({"a": 1})));
}

#[test]
fn with_json_it_answers_the_id_alone() {
    let place = Place::new();
    assert_eq!(place.json(&["enqueue", "echo", "--id", "mine"]), json!({"id": "mine"}));
}

#[test]
fn an_id_in_use_is_a_conflict() {
    let place = Place::new();
    place.ok(&["enqueue", "echo", "--id", "mine"]);
    let answer = place.run(&["enqueue", "echo", "--id", "mine", "--json"]);
    assert_eq!((answer.code, answer.out.as_str()), (5, ""));
    assert!(answer.err.contains("mine is in use in sqlite:celeriac.db"), "{}", answer.err);
}

#[test]
fn arguments_may_come_from_standard_input() {
    let place = Place::new();
    let id = place.run_with_input(&["enqueue", "echo", "-"], "[1,\n 2]\n").out;
    assert_eq!(place.json(&["job", "get", id.trim()])["args"], json!([1, 2]));
}

#[test]
fn nothing_is_enqueued_when_something_cannot_work() {
    let place = Place::new();
    for arguments in [
        &["enqueue", "echo", "{a: 1}"][..],
        &["enqueue", "two words"],
        &["enqueue", "echo", "-q", "two words"],
        &["enqueue", "echo", "--id", ""],
        &["enqueue", "echo", "--delay", "10"],
        &["enqueue", "echo", "--at", "tomorrow"],
        &["enqueue", "echo", "--delay", "1s", "--at", "2030-01-01T00:00:00Z"],
        &["enqueue", "echo", "--retries", "-1"],
        &["enqueue", "echo", "--timeout", "0s"],
        &["enqueue", "echo", "--priority", "10"],
        &["enqueue", "echo", "--unique", "two words"],
        &["enqueue", "echo", "--header", "no-value"],
        &["enqueue", "echo", "--expires", "0s"],
        &["enqueue"],
        &["enqueue", "echo", "--header", "a b=c"],
        &["enqueue", "echo", "--expires", "1s", "--delay", "2s"],
    ] {
        let answer = place.run(arguments);
        assert_eq!((answer.code, answer.out.as_str()), (2, ""), "{arguments:?}");
        assert!(answer.err.starts_with("error: "), "{arguments:?}: {}", answer.err);
    }
    assert_eq!(place.json(&["job", "list"]), json!([]));
}

#[test]
fn too_large_arguments_are_refused() {
    let place = Place::new();
    let answer = place.run_with_input(&["enqueue", "echo", "-"], &format!("\"{}\"", "x".repeat(1024 * 1024)));
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("at most 1048576"), "{}", answer.err);
}

#[test]
fn a_job_goes_to_the_queue_that_the_file_names_for_its_task() {
    let place = Place::new();
    let queue = |arguments: &[&str]| {
        let id = place.ok(&[&["enqueue"], arguments].concat()).out;
        place.json(&["job", "get", id.trim()])["queue"].clone()
    };
    assert_eq!(queue(&["images"]), "images");
    assert_eq!(queue(&["images", "-q", "other"]), "other");
    assert_eq!(queue(&["unknown"]), "default");
    place.write("more.toml", "[tasks.unknown]\ncommand = [\"true\"]\nqueue = \"more\"\n");
    assert_eq!(queue(&["unknown", "--config", "more.toml"]), "more");
}

#[test]
fn a_job_may_start_later() {
    let place = Place::new();
    place.ok(&["enqueue", "echo", "--id", "delayed", "--delay", "2h"]);
    place.ok(&["enqueue", "echo", "--id", "at", "--at", "2100-01-31T12:00:00+02:00"]);
    let job = place.json(&["job", "get", "at"]);
    assert_eq!((&job["state"], &job["due_at"]), (&json!("scheduled"), &json!("2100-01-31T10:00:00.000Z")));
    assert_eq!(place.json(&["job", "get", "delayed"])["state"], "scheduled");
}

#[test]
fn retries_and_timeout_of_the_job_go_before_those_of_the_task() {
    let place = Place::new();
    place.ok(&["enqueue", "sleep", "--id", "slow", "--timeout", "10ms", "--retries", "0"]);
    place.burst();
    let job = place.json(&["job", "get", "slow"]);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("dead"), &json!(1)));
    assert_eq!(job["history"][0]["cause"], "timed_out");
}

fn wait_brings_the_result(place: &Place) {
    let _worker = place.worker(&["--name", "w"]);
    let answer = place.ok(&["enqueue", "--wait", "echo", r#"{"n": 7}"#]);
    assert_eq!(answer.out, "{\"n\": 7}\n");
    let answer = place.json(&["enqueue", "echo", "[1]", "--id", "mine", "--wait", "60s"]);
    assert_eq!(answer, json!({"id": "mine", "state": "succeeded", "result": [1]}));
    let failed = place.run(&["enqueue", "fail", "--wait", "--json"]);
    assert_eq!((failed.code, fields(&failed.json())), (1, vec!["error", "id", "state"]));
    assert_eq!(failed.json()["state"], "dead");
    assert!(failed.err.contains("exit status: 3: no way"), "{}", failed.err);
}

#[test]
fn wait_brings_the_result_from_sqlite() {
    wait_brings_the_result(&Place::new());
}

#[tokio::test]
async fn wait_brings_the_result_from_redis() {
    wait_brings_the_result(&Place::with_store(shared_redis().await.expose()));
}

#[test]
fn a_wait_that_is_over_leaves_the_job_and_says_so() {
    let place = Place::new();
    let answer = place.run(&["enqueue", "echo", "--id", "mine", "--wait", "50ms", "--json"]);
    assert_eq!((answer.code, answer.json()), (1, json!({"id": "mine", "state": "queued"})));
    assert!(answer.err.contains("stays in sqlite:celeriac.db"), "{}", answer.err);
    assert_eq!(place.json(&["job", "get", "mine"])["state"], "queued");
}

#[test]
fn a_wait_says_what_keeps_the_job_from_running_and_goes_on() {
    let place = Place::new();
    place.ok(&["queue", "pause", "default"]);
    let wait = crate::place::Process::start(place.command(&["enqueue", "echo", "--wait"]));
    wait.until("no live worker of sqlite:celeriac.db knows task echo");
    wait.until("queue default of sqlite:celeriac.db is paused");
    place.ok(&["queue", "resume", "default"]);
    let _worker = place.worker(&[]);
    assert_eq!(wait.end().out, "{}\n");
}

#[test]
fn a_store_that_is_away_is_named_without_its_password() {
    // Nothing listens on port 1.
    let place = Place::with_store("redis://me:secret@127.0.0.1:1");
    for arguments in [
        &["enqueue", "echo"][..],
        &["enqueue", "echo", "--wait", "--json"],
        &["job", "get", "x"],
        &["result", "x", "--wait"],
        &["dead", "list"],
        &["queue", "list", "--json"],
    ] {
        let answer = place.run(arguments);
        assert_eq!((answer.code, answer.out.as_str()), (3, ""), "{arguments:?}: {}", answer.err);
        assert!(answer.err.contains("redis://me:…@127.0.0.1:1"), "{}", answer.err);
        assert!(!answer.err.contains("secret"), "{}", answer.err);
    }
}

#[test]
fn a_url_that_names_no_store_is_refused_without_its_password() {
    let answer = Place::with_store("mysql://me:secret@host").run(&["queue", "list"]);
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("mysql://me:…@host") && !answer.err.contains("secret"), "{}", answer.err);
    let help = Place::with_store("redis://me:secret@host").ok(&["--help"]).out;
    assert!(!help.contains("secret"), "{help}");
}

#[test]
fn the_flag_goes_before_the_variable_and_an_empty_variable_is_none() {
    let place = Place::with_store("");
    place.ok(&["enqueue", "echo", "--id", "mine"]);
    assert!(place.has("celeriac.db"));
    let place = Place::with_store("redis://127.0.0.1:1");
    place.ok(&["--broker", "sqlite:other.db", "enqueue", "echo"]);
    assert!(place.has("other.db") && !place.has("celeriac.db"));
}
