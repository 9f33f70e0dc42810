//! `queue list`, `queue pause` and `queue resume`.

use celeriac_testkit::shared_redis;
use serde_json::json;

use crate::place::{Place, fields};

const FIELDS: [&str; 8] = ["dead", "name", "oldest_age_seconds", "parked", "paused", "ready", "running", "scheduled"];

fn queues_are_counted_and_paused(place: &Place) {
    place.ok(&["enqueue", "echo", "-q", "q"]);
    place.ok(&["enqueue", "echo", "-q", "q", "--delay", "2h"]);
    let queue = place.json(&["queue", "list"])[0].clone();
    assert_eq!(fields(&queue), FIELDS);
    assert_eq!((&queue["name"], &queue["ready"], &queue["scheduled"]), (&json!("q"), &json!(1), &json!(1)));
    assert!(queue["oldest_age_seconds"].as_f64().is_some_and(|age| age >= 0.0), "{queue}");
    let paused = place.json(&["queue", "pause", "q"]);
    assert_eq!((fields(&paused), &paused["paused"], &paused["ready"]), (FIELDS.to_vec(), &json!(true), &json!(1)));
    assert_eq!(place.json(&["queue", "list"])[0]["paused"], true);
    assert_eq!(place.json(&["queue", "resume", "q"])["paused"], false);
    assert_eq!(place.json(&["queue", "list"])[0]["paused"], false);
}

#[test]
fn queues_are_counted_and_paused_on_sqlite() {
    queues_are_counted_and_paused(&Place::new());
}

#[tokio::test]
async fn queues_are_counted_and_paused_on_redis() {
    queues_are_counted_and_paused(&Place::with_store(shared_redis().await.expose()));
}

#[test]
fn people_read_a_table() {
    let place = Place::new();
    assert!(place.ok(&["queue", "list"]).err.contains("no queue of sqlite:celeriac.db"));
    place.ok(&["enqueue", "echo"]);
    place.ok(&["queue", "pause", "default"]);
    let table = place.ok(&["queue", "list"]).out;
    assert!(table.starts_with("QUEUE    READY  SCHEDULED"), "{table}");
    assert!(table.lines().nth(1).is_some_and(|line| line.ends_with("paused")), "{table}");
}

#[test]
fn pausing_a_queue_that_was_never_used_is_remarked() {
    let place = Place::new();
    let answer = place.ok(&["queue", "pause", "defualt"]);
    assert!(answer.err.contains("queue defualt of sqlite:celeriac.db was never used"), "{}", answer.err);
    let answer = place.run(&["queue", "resume", "nobody"]);
    assert!(
        answer.code == 4 && answer.err.contains("queue nobody of sqlite:celeriac.db was never used"),
        "{}",
        answer.err
    );
    assert!(!place.ok(&["queue", "list"]).out.contains("nobody"));
    assert_eq!(place.run(&["queue", "pause", "two words"]).code, 2);
    assert_eq!(place.run(&["queue", "pause"]).code, 2);
}
