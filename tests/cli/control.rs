//! What people order: revoke, purge, delete in bulk; and what they ask: why has it not run, who works.

#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

use celeriac_testkit::shared_redis;
use serde_json::{Value, json};

use crate::place::{Place, ids};

async fn redis() -> Place {
    Place::with_store(shared_redis().await.expose())
}

fn reasons(place: &Place, id: &str) -> Vec<String> {
    let answer = place.json(&["job", "explain", id]);
    let reasons = answer["reasons"].as_array().unwrap();
    reasons.iter().map(|reason| reason["reason"].as_str().unwrap().to_owned()).collect()
}

fn a_revoked_job_never_starts(place: &Place) {
    place.ok(&["enqueue", "echo", "--id", "ready"]);
    place.ok(&["enqueue", "echo", "--id", "later", "--delay", "1h"]);
    place.ok(&["enqueue", "echo", "--id", "other"]);
    let told = place.json(&["job", "revoke", "ready", "later"]);
    assert_eq!(told, json!({"ready": "revoked", "later": "revoked"}));
    place.burst();
    let states = ["ready", "later", "other"].map(|id| place.json(&["job", "get", id])["state"].clone());
    assert_eq!(states, [json!("revoked"), json!("revoked"), json!("succeeded")]);
    let by = place.json(&["job", "get", "ready"])["worker"].clone();
    assert!(by.as_str().unwrap().contains('@'), "{by}");
    assert_eq!(place.run(&["job", "revoke", "ready"]).code, 1);
    assert_eq!(place.run(&["job", "revoke", "nobody"]).code, 4);
    assert!(place.run(&["job", "revoke", "other"]).err.contains("had ended before"));
}

#[test]
fn a_revoked_job_never_starts_on_sqlite() {
    a_revoked_job_never_starts(&Place::new());
}

#[tokio::test]
async fn a_revoked_job_never_starts_on_redis() {
    a_revoked_job_never_starts(&redis().await);
}

fn a_unique_key_in_use_is_a_conflict(place: &Place) {
    place.ok(&["enqueue", "echo", "--id", "first", "--unique", "key"]);
    let answer = place.run(&["enqueue", "echo", "--unique", "key"]);
    assert_eq!((answer.code, answer.out.as_str()), (5, ""));
    assert!(answer.err.contains("job first in ") && answer.err.contains("has the unique key"), "{}", answer.err);
    let lines = "{\"task\":\"echo\",\"unique\":\"key\"}\n{\"task\":\"echo\",\"unique\":\"other\"}\n";
    let answer = place.run_with_input(&["enqueue", "--from", "-"], lines);
    assert_eq!(answer.code, 5);
    assert!(answer.err.contains("line 1: job first has the unique key"), "{}", answer.err);
    place.burst();
    place.ok(&["enqueue", "echo", "--unique", "key"]);
}

#[test]
fn a_unique_key_in_use_is_a_conflict_on_sqlite() {
    a_unique_key_in_use_is_a_conflict(&Place::new());
}

#[tokio::test]
async fn a_unique_key_in_use_is_a_conflict_on_redis() {
    a_unique_key_in_use_is_a_conflict(&redis().await);
}

#[test]
fn what_a_job_was_given_is_shown() {
    let place = Place::new();
    let options = ["--priority", "9", "--unique", "k", "--expires", "1h", "--deadline", "2h"];
    let parent = "traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    place.ok(&[&["enqueue", "echo", "--id", "j", "--header", parent][..], &options].concat());
    let job = place.json(&["job", "get", "j"]);
    assert_eq!((&job["priority"], &job["unique"]), (&json!(9), &json!("k")));
    assert_eq!(job["headers"]["traceparent"], json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    assert!(job["expires_at"].is_string() && job["deadline"].is_string());
    let shown = place.ok(&["job", "get", "j"]).out;
    for line in ["priority  9", "unique    k", "expires   ", "deadline  ", "header    traceparent=00-"] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
}

fn a_purge_asks_and_ends_what_is_ready(place: &Place) {
    place.run_with_input(&["enqueue", "--from", "-"], &"{\"task\":\"echo\",\"queue\":\"q\"}\n".repeat(1200));
    place.ok(&["enqueue", "echo", "-q", "q", "--id", "later", "--delay", "1h"]);
    let asked = place.run(&["queue", "purge", "q"]);
    assert_eq!(asked.code, 2);
    assert!(asked.err.contains("End 1200 ready jobs of queue q") && asked.err.contains("--yes"), "{}", asked.err);
    assert_eq!(place.json(&["queue", "purge", "q", "--yes"]), json!({"queue": "q", "purged": 1200}));
    let again = place.ok(&["queue", "purge", "q"]);
    assert!(again.out.starts_with("0 jobs of queue q"), "{}", again.out);
    assert!(again.err.contains("1 scheduled"), "{}", again.err);
    assert_eq!(place.json(&["job", "get", "later"])["state"], "scheduled");
    assert_eq!(place.run(&["queue", "purge", "none", "--yes"]).code, 4);
}

#[test]
fn a_purge_asks_and_ends_what_is_ready_on_sqlite() {
    a_purge_asks_and_ends_what_is_ready(&Place::new());
}

#[tokio::test]
async fn a_purge_asks_and_ends_what_is_ready_on_redis() {
    a_purge_asks_and_ends_what_is_ready(&redis().await);
}

fn dead_jobs_are_chosen_by_what_they_are(place: &Place) {
    place.write(
        "celeriac.toml",
        "[tasks.card]\ncommand = [\"sh\", \"-c\", \"echo bad card >&2; exit 1\"]\nretries = 0\n\
         [tasks.disk]\ncommand = [\"sh\", \"-c\", \"echo disk full >&2; exit 1\"]\nretries = 0\nqueue = \"io\"\n",
    );
    for (task, id) in [("card", "a"), ("card", "b"), ("disk", "c"), ("disk", "d")] {
        place.ok(&["enqueue", task, "--id", id]);
    }
    place.burst();
    let dead = |arguments: &[&str]| place.json(&[&["dead", "list"], arguments].concat());
    assert_eq!(ids(&dead(&["--error", "full"])).len(), 2);
    assert_eq!(dead(&["--older-than", "1h"]), json!([]));
    assert_eq!(place.json(&["dead", "delete", "--error", "card", "--dry-run"]), json!({"found": 2}));
    let asked = place.run(&["dead", "delete", "--task", "card"]);
    assert_eq!(asked.code, 2);
    assert!(asked.err.contains("Delete 2 dead jobs in"), "{}", asked.err);
    assert_eq!(place.json(&["dead", "delete", "--task", "card", "--yes"])["deleted"], 2);
    assert_eq!(place.json(&["dead", "retry", "-q", "io"])["retried"], 2);
    assert_eq!(place.json(&["dead", "list"]), json!([]));
    let gone = place.json(&["job", "get", "a"]);
    assert_eq!((&gone["state"], &gone["args"]), (&json!("dead"), &Value::Null), "its end is still kept");
    assert_eq!(place.run(&["job", "delete", "c"]).code, 1);
    assert_eq!(place.run(&["dead", "delete", "a", "--dry-run"]).code, 2);
}

#[test]
fn dead_jobs_are_chosen_by_what_they_are_on_sqlite() {
    dead_jobs_are_chosen_by_what_they_are(&Place::new());
}

#[tokio::test]
async fn dead_jobs_are_chosen_by_what_they_are_on_redis() {
    dead_jobs_are_chosen_by_what_they_are(&redis().await);
}

#[test]
fn a_long_list_goes_on_where_it_ended() {
    let place = Place::new();
    place.run_with_input(&["enqueue", "--from", "-"], &"{\"task\":\"echo\"}\n".repeat(7));
    let mut seen = 0;
    let mut after: Vec<String> = Vec::new();
    loop {
        let more: Vec<&str> = after.iter().map(String::as_str).collect();
        let listed = place.ok(&[&["job", "list", "--state", "queued", "--limit", "3"], more.as_slice()].concat());
        seen += listed.out.lines().count().saturating_sub(1);
        let Some((_, mark)) = listed.err.split_once("--after '") else { break };
        after = vec!["--after".to_owned(), mark.trim_end().trim_end_matches('\'').to_owned()];
    }
    assert_eq!(seen, 7);
    let listed = place.ok(&["--json", "job", "list", "--state", "queued", "--limit", "3"]);
    assert!(listed.err.contains("--after '") && listed.json().as_array().unwrap().len() == 3, "{}", listed.err);
    assert_eq!(place.run(&["job", "list", "--state", "queued", "--after", "x"]).code, 2);
    assert_eq!(place.run(&["job", "list", "--after", "x"]).code, 2);
}

fn a_job_is_explained(place: &Place) {
    place.ok(&["enqueue", "nobody-knows-it", "--id", "ready"]);
    place.ok(&["enqueue", "echo", "--id", "later", "--delay", "1h"]);
    place.ok(&["enqueue", "fail", "--id", "dead"]);
    assert_eq!(reasons(place, "ready"), ["no_worker"]);
    place.ok(&["queue", "pause", "default"]);
    assert_eq!(reasons(place, "ready"), ["queue_paused", "no_worker"]);
    place.ok(&["queue", "resume", "default"]);
    assert_eq!(reasons(place, "later"), ["not_due", "no_worker"]);
    place.ok(&["enqueue", "echo", "--id", "late", "--deadline", "1ms"]);
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(reasons(place, "late"), ["expired"]);
    assert!(place.ok(&["job", "explain", "late"]).out.contains("its deadline passed at"));
    place.burst();
    assert_eq!(reasons(place, "ready"), ["parked"]);
    assert_eq!(reasons(place, "dead"), ["dead"]);
    let text = place.ok(&["job", "explain", "dead"]).out;
    assert!(text.contains("no way") && text.contains("-> celeriac job retry dead"), "{text}");
    assert_eq!(place.run(&["job", "explain", "unknown"]).code, 4);
}

#[test]
fn a_job_is_explained_on_sqlite() {
    a_job_is_explained(&Place::new());
}

#[tokio::test]
async fn a_job_is_explained_on_redis() {
    a_job_is_explained(&redis().await);
}

#[test]
fn an_empty_list_of_workers_says_what_to_do() {
    let place = Place::new();
    assert_eq!(place.json(&["workers"]), json!([]));
    assert!(place.ok(&["workers"]).err.contains("start one: celeriac worker"));
}
