//! `dead list` and `dead retry`.

use celeriac_testkit::shared_redis;
use serde_json::json;

use crate::place::Place;

fn kill(place: &Place, ids: &[&str]) {
    for id in ids {
        place.ok(&["enqueue", "fail", "--id", id]);
    }
    place.burst();
}

#[test]
fn dead_jobs_are_listed_by_queue_and_task() {
    let place = Place::new();
    kill(&place, &["a", "b"]);
    let list = |arguments: &[&str]| place.json(&[&["dead", "list"], arguments].concat()).as_array().unwrap().len();
    assert_eq!(list(&[]), 2);
    assert_eq!(list(&["--task", "fail", "-q", "default"]), 2);
    assert_eq!(list(&["--task", "echo"]), 0);
    assert_eq!(list(&["--limit", "1"]), 1);
    assert!(place.ok(&["dead", "list"]).out.contains("no way"));
}

fn a_retried_job_runs_again(place: &Place) {
    kill(place, &["a"]);
    assert_eq!(place.json(&["dead", "retry", "a"]), json!({"retried": 1, "ids": ["a"]}));
    let job = place.json(&["job", "get", "a"]);
    assert_eq!((&job["state"], &job["failures"], &job["attempt"]), (&json!("queued"), &json!(0), &json!(1)));
    place.burst();
    assert_eq!(place.json(&["job", "get", "a"])["attempt"], 2);
}

#[test]
fn a_retried_job_runs_again_on_sqlite() {
    a_retried_job_runs_again(&Place::new());
}

#[tokio::test]
async fn a_retried_job_runs_again_on_redis() {
    a_retried_job_runs_again(&Place::with_store(shared_redis().await.expose()));
}

#[test]
fn all_dead_jobs_can_be_retried() {
    let place = Place::new();
    let lines: String = (0..700).map(|n| format!("{{\"task\": \"nothing\", \"id\": \"j{n}\"}}\n")).collect();
    place.run_with_input(&["enqueue", "--from", "-"], &lines);
    place.write("celeriac.toml", "[tasks.nothing]\ncommand = [\"/nowhere\"]\nretries = 0\n");
    place.burst();
    assert_eq!(place.json(&["dead", "retry", "--all"])["retried"], 700);
    assert_eq!(place.json(&["dead", "list"]), json!([]));
    assert_eq!(place.json(&["dead", "retry", "--all"]), json!({"retried": 0, "ids": []}));
}

#[test]
fn what_is_not_dead_is_1_and_what_is_not_there_4() {
    let place = Place::new();
    kill(&place, &["a"]);
    place.ok(&["enqueue", "echo", "--id", "b"]);
    let answer = place.run(&["dead", "retry", "a", "b", "--json"]);
    assert_eq!((answer.code, answer.json()), (1, json!({"retried": 1, "ids": ["a"]})));
    assert!(answer.err.contains("job b is not dead but queued"), "{}", answer.err);
    let answer = place.run(&["dead", "retry", "b", "c"]);
    assert_eq!(answer.code, 4);
    assert!(answer.err.contains("knows nothing of job c"), "{}", answer.err);
    assert_eq!(place.run(&["dead", "retry"]).code, 2);
    assert_eq!(place.run(&["dead", "retry", "a", "--all"]).code, 2);
}
