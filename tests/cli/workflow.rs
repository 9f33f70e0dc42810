//! `workflow`, as people and scripts use it, with tasks that run commands.

use std::time::{Duration, Instant};

use celeriac_testkit::shared_redis;
use serde_json::{Value, json};

use crate::place::{Answer, Place, TASKS, fields};

/// Only guards against waiting for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tasks that fail until there is a file, and for one argument.
const MORE_TASKS: &str = r#"
[tasks.mend]
command = ["sh", "-c", "test -e mended || { echo not mended >&2; exit 3; }; cat"]
retries = 0

[tasks.picky]
command = ["sh", "-c", "read -r text; case $text in *13*) echo unlucky >&2; exit 3; esac; echo \"$text\""]
retries = 0
"#;

fn with_tasks(place: &Place) {
    place.write("celeriac.toml", &format!("{TASKS}{MORE_TASKS}"));
}

/// How a verb fails: its exit code, and a text on standard error; nothing on standard output.
fn fails(place: &Place, code: i32, arguments: &[&str], expected: &str) {
    let Answer { code: found, out, err } = place.run(arguments);
    assert!(found == code && err.contains(expected), "{arguments:?}: {found} {err}");
    assert_eq!(out, "", "{arguments:?}");
}

/// A node of a workflow that is shown as JSON.
fn node<'v>(shown: &'v Value, name: &str) -> &'v Value {
    let graph = shown["graph"].as_array().expect("an array");
    graph.iter().find(|node| node["name"] == name).unwrap_or_else(|| panic!("no node {name} in {shown}"))
}

/// Shows a workflow until it is as wanted.
fn until(place: &Place, id: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let shown = place.json(&["workflow", "show", id]);
        if is_wanted(&shown) {
            return shown;
        }
        assert!(began.elapsed() < PATIENCE, "{shown}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A line of a text, by a word in it.
fn line<'t>(text: &'t str, word: &str) -> &'t str {
    text.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("no {word} in {text}"))
}

fn a_bad_file_is_refused_with_its_place(place: &Place) {
    let too_large = format!(r#"{{"task": "echo", "args": ["{}"]}}"#, "x".repeat(10_000_000));
    for (text, expected) in [
        (
            r#"{"steps": {"a": {"task": "echo", "deps": ["b"]}, "b": {"task": "echo", "deps": ["a"]}}}"#,
            "steps.a.deps (step a): these wait for each other: a -> b -> a",
        ),
        (
            r#"{"steps": {"a": {"task": "echo", "deps": ["c"]}, "b": {"task": "echo"}}}"#,
            "steps.a.deps[0] (step a): no step beside it is called \"c\"",
        ),
        (
            r#"{"group": [{"task": "echo", "name": "a"}, {"task": "echo", "name": "a"}]}"#,
            "group[1] (step group/a): two parts are called \"a\"",
        ),
        (
            r#"{"steps": {"a": {"task": "echo"}, "a": {"task": "echo"}}}"#,
            "steps.a (step a): two parts are called \"a\"",
        ),
        (
            "{\"chain\": [\n  {\"task\": \"echo\"},\n  {\"task\" \"echo\"}\n]}",
            "no JSON: expected `:` at line 3 column 11",
        ),
        ("", "no JSON: EOF while parsing a value at line 1 column 0"),
        (r#"{"task": "two words"}"#, "task (step step): task name \"two words\" holds ' '"),
        (too_large.as_str(), "it has more than the 8388608 bytes that are allowed"),
    ] {
        place.write("bad.json", text);
        fails(place, 2, &["workflow", "run", "bad.json"], &format!("nothing was enqueued: bad.json: {expected}"));
        fails(place, 2, &["workflow", "run", "bad.json", "--wait", "--json"], expected);
    }
    let answer = place.run_with_input(&["workflow", "run", "-"], r#"{"chain": []}"#);
    assert_eq!((answer.code, answer.out.as_str()), (2, ""));
    assert!(answer.err.contains("standard input: step chain: a chain needs"), "{}", answer.err);
    fails(place, 2, &["workflow", "run", "none.json"], "cannot read none.json");
    assert!(!place.has("celeriac.db"), "the store was not asked");
    assert_eq!(place.json(&["queue", "list"]), json!([]));
    assert_eq!(place.json(&["workflow", "list"]), json!([]));
}

#[test]
fn a_bad_file_is_refused_with_its_place_on_sqlite() {
    a_bad_file_is_refused_with_its_place(&Place::new());
}

#[tokio::test]
async fn a_bad_file_is_refused_with_its_place_on_redis() {
    a_bad_file_is_refused_with_its_place(&Place::with_store(shared_redis().await.expose()));
}

fn a_workflow_runs_to_its_end(place: &Place) {
    let workflow = r#"{"steps": {
        "users": {"task": "echo", "args": ["ann"]},
        "days": {"group": [{"task": "echo", "args": ["mon"]}, {"task": "echo", "args": ["tue"]}]},
        "report": {"task": "echo", "deps": ["users", "days"], "takes": "results"},
        "images": {"task": "images", "deps": ["users"]}
    }}"#;
    place.write("report.json", workflow);
    let _worker = place.worker(&[]);
    let answer = place.run(&["workflow", "run", "report.json", "--id", "r", "--wait", "--json"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let ended = answer.json();
    assert_eq!((&ended["id"], &ended["state"]), (&json!("r"), &json!("succeeded")));
    assert_eq!(ended["result"]["report"], json!({"users": ["ann"], "days": [["mon"], ["tue"]]}));
    let image = ended["result"]["images"].as_str().expect("a text");
    assert!(image.contains("CELERIAC_COLOUR=green"), "{image}");

    let listed = place.json(&["workflow", "list"]);
    assert_eq!(fields(&listed[0]), ["ended_at", "failures", "id", "made_at", "nodes", "revoked_by", "state"]);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["state"], &listed[0]["failures"]),
        (&json!("r"), &json!("succeeded"), &json!(0))
    );
    let shown = place.json(&["workflow", "show", "r"]);
    assert_eq!((&shown["state"], &shown["steps"]), (&json!("succeeded"), &json!({"succeeded": 5})));
    assert_eq!(node(&shown, "report")["attempt"], json!(1));
    assert_eq!(node(&shown, "images")["deps"], json!(["users"]));
    assert_eq!(node(&shown, "images")["queue"], json!("images"), "the queue of the task");
    assert_eq!(node(&shown, "users")["queue"], json!("default"));

    let text = place.ok(&["workflow", "show", "r"]).out;
    assert_eq!(line(&text, "status"), "status  succeeded");
    assert_eq!(line(&text, "steps "), "steps   5 steps: 5 succeeded");
    assert!(line(&text, "report").ends_with("users, days"), "{text}");
    let is_row = |name: &&str| text.lines().any(|line| line == *name || line.starts_with(&format!("{name} ")));
    assert!(["users", "days", "  0", "  1", "report", "images"].iter().all(is_row), "{text}");
    assert!(!text.lines().any(|line| line.trim() == "steps"), "what is no step has no line: {text}");
    let step = place.ok(&["job", "get", "r:report"]).out;
    assert!(step.contains("step      report of workflow r: celeriac workflow show r"), "{step}");

    place.write("one.json", r#"{"task": "echo", "args": [7]}"#);
    assert_eq!(place.ok(&["workflow", "run", "one.json", "--wait"]).out, "[7]\n");
    let id = place.ok(&["workflow", "run", "one.json"]).out;
    assert_eq!(
        place.ok(&["workflow", "list", "--limit", "1"]).out.lines().nth(1).and_then(|line| line.split(' ').next()),
        Some(id.trim()),
        "the newest"
    );
    fails(place, 5, &["workflow", "run", "one.json", "--id", "r"], "workflow id r is in use");
    for verb in ["show", "retry", "revoke"] {
        fails(place, 4, &["workflow", verb, "nobody"], "knows nothing of workflow nobody");
    }
}

#[test]
fn a_workflow_runs_to_its_end_on_sqlite() {
    a_workflow_runs_to_its_end(&Place::new());
}

#[tokio::test]
async fn a_workflow_runs_to_its_end_on_redis() {
    a_workflow_runs_to_its_end(&Place::with_store(shared_redis().await.expose()));
}

fn a_step_that_failed_is_mended_and_retried(place: &Place) {
    with_tasks(place);
    let workflow = r#"{"chain": [{"task": "echo", "args": [1]}, {"task": "mend"}, {"task": "echo"}]}"#;
    place.write("chain.json", workflow);
    let _worker = place.worker(&[]);
    let answer = place.run(&["workflow", "run", "chain.json", "--id", "c", "--wait"]);
    assert_eq!((answer.code, answer.out.as_str()), (1, ""));
    assert!(answer.err.contains("has failed: step chain/1: ") && answer.err.contains("not mended"), "{}", answer.err);

    let text = place.ok(&["workflow", "show", "c"]).out;
    assert_eq!(line(&text, "status"), "status  failed");
    assert_eq!(line(&text, "steps "), "steps   3 steps: 1 succeeded, 1 dead, 1 given up");
    let mut below = text.lines().skip_while(|line| !line.contains("mend")).skip(1);
    assert!(below.next().is_some_and(|error| error.contains("not mended")), "the error is below its step: {text}");
    assert_eq!(place.json(&["workflow", "list"])[0]["state"], json!("failed"));

    fails(place, 4, &["workflow", "retry", "c", "chain/7"], "it has no step \"chain/7\"");
    fails(place, 1, &["workflow", "retry", "c", "chain/0"], "step chain/0 has not failed");
    place.write("mended", "");
    assert_eq!(place.json(&["workflow", "retry", "c", "chain/1"]), json!({"id": "c", "retried": 1}));
    let shown = until(place, "c", |shown| shown["state"] == "succeeded");
    assert_eq!((&shown["steps"], &node(&shown, "chain/1")["attempt"]), (&json!({"succeeded": 3}), &json!(2)));
    fails(place, 1, &["workflow", "retry", "c"], "workflow c has not failed");
}

#[test]
fn a_step_that_failed_is_mended_and_retried_on_sqlite() {
    a_step_that_failed_is_mended_and_retried(&Place::new());
}

#[tokio::test]
async fn a_step_that_failed_is_mended_and_retried_on_redis() {
    a_step_that_failed_is_mended_and_retried(&Place::with_store(shared_redis().await.expose()));
}

fn a_workflow_is_revoked_in_the_middle(place: &Place) {
    let workflow = r#"{"chain": [{"task": "echo", "args": [1]}, {"task": "sleep"}, {"task": "echo"}]}"#;
    place.write("chain.json", workflow);
    let _worker = place.worker(&[]);
    let answer = place.run(&["workflow", "run", "chain.json", "--id", "c", "--wait", "10ms"]);
    assert!(answer.code == 1 && answer.err.contains("has not ended within 10ms"), "{}", answer.err);
    until(place, "c", |shown| node(shown, "chain/1")["state"] == "running");
    assert_eq!(place.json(&["workflow", "revoke", "c"]), json!({"id": "c", "state": "revoked"}));
    assert_eq!(place.run(&["result", "c:chain/1", "--wait", "60s"]).code, 1, "what runs is ended");
    let shown = until(place, "c", |shown| node(shown, "chain/1")["state"] == "revoked");
    assert_eq!((&shown["state"], &node(&shown, "chain/2")["state"]), (&json!("revoked"), &json!("given_up")));
    assert!(shown["revoked_by"].as_str().is_some_and(|by| by.contains('@')), "{shown}");
    assert_eq!(place.json(&["workflow", "list"])[0]["state"], json!("revoked"));
    fails(place, 1, &["workflow", "revoke", "c"], "had ended or was revoked before");
    fails(place, 1, &["workflow", "retry", "c"], "that is for good");
}

#[test]
fn a_workflow_is_revoked_in_the_middle_on_sqlite() {
    a_workflow_is_revoked_in_the_middle(&Place::new());
}

#[tokio::test]
async fn a_workflow_is_revoked_in_the_middle_on_redis() {
    a_workflow_is_revoked_in_the_middle(&Place::with_store(shared_redis().await.expose()));
}

#[test]
fn many_members_lie_in_one_line_and_failures_are_named() {
    let place = Place::new();
    with_tasks(&place);
    let days: Vec<_> = (0..20).map(|day| json!({"task": "picky", "args": [day]})).collect();
    let workflow = json!({"name": "days", "chord": days, "body": {"task": "echo"}, "when_dead": "wait"});
    place.write("days.json", &workflow.to_string());
    place.ok(&["workflow", "run", "days.json", "--id", "d"]);
    place.burst();
    let text = place.ok(&["workflow", "show", "d"]).out;
    assert_eq!(line(&text, "status"), "status  waiting for a retry");
    assert!(line(&text, "0..19").ends_with("picky  19 succeeded, 1 dead"), "{text}");
    assert!(line(&text, "days/13").contains("dead"), "{text}");
    assert!(text.contains("unlucky") && line(&text, "body").contains("waiting"), "{text}");
    assert!(text.lines().count() < 15, "{text}");
    let answer = place.ok(&["workflow", "show", "d"]);
    assert!(answer.err.contains("celeriac workflow retry d"), "{}", answer.err);
}

#[test]
fn whoever_waits_is_told_of_a_step_that_others_wait_for() {
    let place = Place::new();
    place.write("c.json", r#"{"chain": [{"task": "fail"}, {"task": "echo"}], "when_dead": "wait"}"#);
    let _worker = place.worker(&[]);
    let waiting = crate::place::Process::start(place.command(&["workflow", "run", "c.json", "--id", "c", "--wait"]));
    waiting.until(
        "step chain/0 has ended without success; what is behind it waits for: celeriac workflow retry c chain/0",
    );
    place.ok(&["workflow", "revoke", "c"]);
    let answer = waiting.end();
    assert!(answer.code == 1 && answer.err.contains("workflow c in sqlite:celeriac.db was revoked"), "{}", answer.err);
}

#[test]
fn a_large_workflow_is_shown_in_a_few_lines() {
    let place = Place::new();
    let days: Vec<_> = (0..1000).map(|_| json!({"chain": [{"task": "echo"}, {"task": "echo"}]})).collect();
    place.write("days.json", &json!({"group": days}).to_string());
    place.ok(&["workflow", "run", "days.json", "--id", "d"]);
    let answer = place.ok(&["workflow", "show", "d"]);
    assert!(line(&answer.out, "0..999").ends_with("1000 waiting, 1000 begun"), "{}", answer.out);
    assert!(answer.out.lines().count() < 10, "{}", answer.out);
    assert!(answer.err.contains("\"begun\" is ready or running"), "{}", answer.err);
}

#[test]
fn a_result_that_is_too_large_to_be_kept_is_no_failure() {
    let place = Place::new();
    place.write(
        "celeriac.toml",
        "[tasks.long]\ncommand = [\"sh\", \"-c\", \"head -c 600000 /dev/zero | tr '\\\\0' x\"]\n",
    );
    place.write("long.json", r#"{"group": [{"task": "long"}, {"task": "long"}]}"#);
    let _worker = place.worker(&[]);
    let answer = place.ok(&["workflow", "run", "long.json", "--wait"]);
    assert_eq!(answer.out, "");
    assert!(answer.err.contains("has succeeded, and its result is too large to be kept"), "{}", answer.err);
}

#[test]
fn the_manual_has_every_flag_of_the_help() {
    let manual = include_str!("../../docs/cli.md");
    let everywhere = ["--broker", "--json", "--help"];
    for verb in ["run", "list", "show", "retry", "revoke"] {
        let (_, section) = manual
            .split_once(&format!("`workflow {verb} "))
            .or_else(|| manual.split_once(&format!("`workflow {verb}`")))
            .expect("a section");
        let section = section.split("\n### ").next().expect("a text");
        let help = Place::new().ok(&["workflow", verb, "--help"]).out;
        let flags = help.split_whitespace().filter(|word| word.starts_with("--"));
        for flag in flags.filter(|flag| !everywhere.contains(flag)) {
            assert!(section.contains(flag), "{flag} of workflow {verb}");
        }
    }
}
