//! `schedule`, as people and scripts use it. What a beat makes of it is in `beat`.

use celeriac_testkit::shared_redis;
use serde_json::{Value, json};

use crate::place::{Answer, Place, fields};

const FIELDS: [&str; 30] = [
    "args",
    "catch_up",
    "ends_at",
    "expires_seconds",
    "fired",
    "headers",
    "jitter_seconds",
    "keep_late",
    "lag_seconds",
    "last_at",
    "last_job",
    "missed",
    "name",
    "next",
    "next_at",
    "overdue_seconds",
    "overlap",
    "owner",
    "paused",
    "priority",
    "queue",
    "retries",
    "skipped",
    "starts_at",
    "state",
    "task",
    "timeout_seconds",
    "timetable",
    "unique",
    "warning",
];

/// How a verb fails: its exit code, and a text on standard error; nothing on standard output.
fn fails(place: &Place, code: i32, arguments: &[&str], expected: &str) {
    let Answer { code: found, out, err } = place.run(arguments);
    assert!(found == code && err.contains(expected), "{arguments:?}: {found} {err}");
    assert_eq!(out, "", "{arguments:?}");
}

fn a_schedule_is_added_shown_changed_and_removed(place: &Place) {
    let added = place.json(&[
        "schedule",
        "add",
        "nightly",
        "--cron",
        "0 3 * * *",
        "--tz",
        "Europe/Berlin",
        "images",
        r#"{"n": 1.10}"#,
        "--retries",
        "2",
        "--timeout",
        "5m",
        "--priority",
        "9",
        "--catch-up",
        "3",
        "--overlap",
        "skip",
        "--header",
        "a=b",
    ]);
    assert_eq!(fields(&added), FIELDS);
    assert_eq!((&added["timetable"], &added["task"]), (&json!("0 3 * * * in Europe/Berlin"), &json!("images")));
    assert_eq!((&added["queue"], &added["args"]), (&json!("images"), &json!({"n": 1.10})), "the queue of the task");
    assert_eq!((&added["retries"], &added["timeout_seconds"]), (&json!(2), &json!(300.0)));
    assert_eq!(
        (&added["catch_up"], &added["overlap"], &added["headers"]),
        (&json!(3), &json!("skip"), &json!({"a": "b"}))
    );
    assert_eq!((&added["state"], &added["owner"], &added["warning"]), (&json!("active"), &json!(null), &json!(null)));
    assert_eq!((added["next"].as_array().expect("an array").len(), &added["next"][0]), (5, &added["next_at"]));
    assert_eq!((&added["fired"], &added["last_job"], &added["last_at"]), (&json!(0), &json!(null), &json!(null)));
    assert_eq!(place.json(&["schedule", "show", "nightly"])["next_at"], added["next_at"]);
    assert_eq!(place.json(&["schedule", "list"]), json!([place.json(&["schedule", "show", "nightly"])]));

    fails(place, 5, &["schedule", "add", "nightly", "--every", "5m", "echo"], "add --replace to change it");
    let changed = place.json(&["schedule", "add", "nightly", "--every", "5m", "echo", "--replace", "--keep-late"]);
    assert_eq!((&changed["timetable"], &changed["task"]), (&json!("every 5m"), &json!("echo")));
    assert_eq!((&changed["queue"], &changed["keep_late"]), (&json!("default"), &json!(true)));

    place.ok(&["schedule", "add", "other", "--every", "5m", "echo"]);
    let answer = place.run(&["schedule", "remove", "nightly", "nobody", "other", "--json"]);
    assert_eq!((answer.code, answer.json()), (4, json!({ "removed": ["nightly", "other"] })));
    assert!(answer.err.contains("has no schedule nobody"), "{}", answer.err);
    assert_eq!(place.json(&["schedule", "list"]), json!([]));
}

#[test]
fn a_schedule_is_added_shown_changed_and_removed_on_sqlite() {
    a_schedule_is_added_shown_changed_and_removed(&Place::new());
}

#[tokio::test]
async fn a_schedule_is_added_shown_changed_and_removed_on_redis() {
    a_schedule_is_added_shown_changed_and_removed(&Place::with_store(shared_redis().await.expose()));
}

fn a_schedule_is_paused_and_resumed(place: &Place) {
    place.ok(&["schedule", "add", "s", "--every", "1h", "echo"]);
    let paused = place.json(&["schedule", "pause", "s"]);
    assert_eq!(
        (&paused["state"], &paused["paused"], &paused["next_at"]),
        (&json!("paused"), &json!(true), &json!(null))
    );
    assert_eq!(paused["next"].as_array().expect("an array").len(), 5, "what will come when it is resumed");
    let resumed = place.json(&["schedule", "resume", "s"]);
    assert_eq!((&resumed["state"], &resumed["paused"]), (&json!("active"), &json!(false)));

    let rests = place.json(&["schedule", "add", "t", "--every", "1h", "echo", "--paused"]);
    assert_eq!(rests["state"], "paused");
    assert_eq!(place.json(&["schedule", "resume", "t"])["state"], "active");
    for verb in ["pause", "resume", "show", "run", "remove"] {
        fails(place, 4, &["schedule", verb, "nobody"], "has no schedule nobody");
    }
}

#[test]
fn a_schedule_is_paused_and_resumed_on_sqlite() {
    a_schedule_is_paused_and_resumed(&Place::new());
}

#[tokio::test]
async fn a_schedule_is_paused_and_resumed_on_redis() {
    a_schedule_is_paused_and_resumed(&Place::with_store(shared_redis().await.expose()));
}

fn a_job_of_a_schedule_can_be_run_now(place: &Place) {
    place.ok(&["schedule", "add", "s", "--every", "1h", "echo", "[1]", "--unique", "k", "--header", "a=b"]);
    let before = place.json(&["schedule", "show", "s"]);
    let id = place.ok(&["schedule", "run", "s"]).out.trim().to_owned();
    assert!(id.starts_with("s:run:"), "{id}");
    let job = place.json(&["job", "get", &id]);
    assert_eq!((&job["task"], &job["args"], &job["state"]), (&json!("echo"), &json!([1]), &json!("queued")));
    assert_eq!((&job["unique"], &job["headers"]), (&json!("k"), &json!({"a": "b"})));
    assert_eq!(place.json(&["schedule", "show", "s"])["fired"], before["fired"], "the schedule is where it was");
    fails(place, 5, &["schedule", "run", "s"], "has the unique key");
    place.burst();
    let second = place.json(&["schedule", "run", "s"]);
    assert!(second["id"].as_str().is_some_and(|second| second.starts_with("s:run:") && second != id), "{second}");
}

#[test]
fn a_job_of_a_schedule_can_be_run_now_on_sqlite() {
    a_job_of_a_schedule_can_be_run_now(&Place::new());
}

#[tokio::test]
async fn a_job_of_a_schedule_can_be_run_now_on_redis() {
    a_job_of_a_schedule_can_be_run_now(&Place::with_store(shared_redis().await.expose()));
}

#[test]
fn what_comes_next_is_told_without_a_store() {
    let place = Place::with_store("redis://127.0.0.1:1");
    let next = |arguments: &[&str]| place.json(&[&["schedule", "next"], arguments].concat());
    let spring = ["30 2 * * *", "--tz", "Europe/Berlin", "--after", "2026-03-28T12:00:00Z", "-n", "2"];
    assert_eq!(next(&spring), json!(["2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"]));
    assert_eq!(next(&["at 2030-01-31T12:00 in Asia/Tokyo"]), json!(["2030-01-31T03:00:00.000Z"]));
    assert_eq!(next(&["every 5m", "--after", "2026-01-01T00:00:01Z", "-n", "1"]), json!(["2026-01-01T00:05:00.000Z"]));
    assert_eq!(next(&["@hourly"]).as_array().map(Vec::len), Some(5), "after now, unless something else is said");
    let text = place.ok(&[&["schedule", "next"], &spring[..]].concat()).out;
    assert!(text.starts_with("2026-03-29 03:00:00 CEST (") && text.lines().count() == 2, "{text}");
    assert_eq!(next(&["at 1999-01-01T00:00:00Z"]), json!([]));
    for (expression, expected) in [
        ("61 * * * *", "minute: 61 is above 59"),
        ("* * *", "3 fields, cron has five"),
        ("0 0 31 2 *", "it never comes"),
        ("@daily in Europe/Berln", "did you mean Europe/Berlin"),
    ] {
        fails(&place, 2, &["schedule", "next", expression], expected);
    }
    assert!(!place.has("celeriac.db"));
}

#[test]
fn what_cannot_work_is_a_usage_error_and_changes_nothing() {
    let place = Place::new();
    for (arguments, expected) in [
        (&["--cron", "61 * * * *", "echo"][..], "schedule \"s\": minute: 61 is above 59"),
        (&["--cron", "0 0 31 2 *", "echo"], "it never comes"),
        (&["--cron", "@daily", "--tz", "Europe/Berln", "echo"], "did you mean Europe/Berlin"),
        (&["--every", "10ms", "echo"], "the shortest period is 1s"),
        (&["--at", "1999-01-01T00:00:00Z", "echo"], "would never come"),
        (&["--every", "1h", "--ends-at", "1999-01-01T00:00:00Z", "echo"], "would never come"),
        (&["--every", "1h", "--jitter", "8d", "echo"], "jitter must be a week at most"),
        (&["--every", "1h", "echo", "{n: 1}"], "the arguments are no JSON"),
        (&["--every", "1h", "two words"], "task name"),
    ] {
        fails(&place, 2, &[&["schedule", "add", "s"], arguments].concat(), expected);
    }
    assert_eq!(place.json(&["schedule", "list"]), json!([]));
}

#[test]
fn people_read_a_table_and_lines() {
    let place = Place::new();
    assert!(place.ok(&["schedule", "list"]).err.contains("there are no schedules in sqlite:celeriac.db"));
    let added = place.ok(&["schedule", "add", "nightly", "--cron", "0 3 * * *", "echo"]).out;
    assert!(added.starts_with("schedule nightly of sqlite:celeriac.db is added; it comes next at "), "{added}");
    place.ok(&["schedule", "add", "tick", "--every", "5m", "echo", "--paused"]);
    let table = place.ok(&["schedule", "list"]).out;
    let lines: Vec<_> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(lines[0], ["NAME", "TIMETABLE", "TASK", "STATE", "LAST", "NEXT", "LAG", "MISSED"]);
    assert_eq!(lines[1][..9], ["nightly", "0", "3", "*", "*", "*", "echo", "active", "-"]);
    assert_eq!(lines[2], ["tick", "every", "5m", "echo", "paused", "-", "-", "-", "0"]);
    let shown = place.ok(&["schedule", "show", "nightly"]).out;
    for expected in
        ["timetable  0 3 * * *\n", "owner      nobody; it was added by hand\n", "task       echo on queue default\n"]
    {
        assert!(shown.contains(expected), "{expected:?} in {shown}");
    }
    assert_eq!(shown.matches("next       ").count(), 5, "{shown}");
    assert_eq!(place.ok(&["schedule", "pause", "nightly"]).out, "schedule nightly of sqlite:celeriac.db is paused\n");
    assert_eq!(place.ok(&["schedule", "remove", "tick"]).out, "schedule tick of sqlite:celeriac.db is removed\n");
}

#[test]
fn a_store_that_is_away_is_3() {
    let place = Place::with_store("redis://127.0.0.1:1");
    for arguments in [&["schedule", "list"][..], &["schedule", "add", "s", "--every", "5m", "echo"]] {
        assert_eq!(place.run(arguments).code, 3, "{arguments:?}");
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("an array").iter().map(|schedule| schedule["name"].as_str().expect("a text")).collect()
}

/// More than a store answers in one call: they come from a file, by a beat that is ended at once.
fn all_schedules_are_listed_however_many(place: &Place) {
    let schedules: String =
        (0..501).map(|number| format!("[schedules.s{number:04}]\ntask = \"echo\"\nevery = \"1h\"\n")).collect();
    place.write("celeriac.toml", &format!("owner = \"shop\"\n{}{schedules}", crate::place::TASKS));
    let beat = crate::place::Process::start(place.command(&["beat"]));
    beat.until("beat starts");
    beat.signal(rustix::process::Signal::TERM);
    assert_eq!(beat.end().code, 0);
    let list = place.json(&["schedule", "list"]);
    let found = names(&list);
    assert_eq!((found.len(), found[0], found[500]), (501, "s0000", "s0500"));
    assert!(list.as_array().expect("an array").iter().all(|schedule| schedule["owner"] == "shop"));
    let doctor = place.json(&["doctor"]);
    let check = doctor["checks"]
        .as_array()
        .expect("an array")
        .iter()
        .find(|check| check["check"] == "schedules")
        .expect("a check");
    assert!(check["detail"].as_str().expect("a text").starts_with("501 schedules, the next in "), "{check}");

    fails(
        place,
        5,
        &["schedule", "remove", "s0001"],
        "pause it with celeriac schedule pause s0001, or change it there",
    );
    fails(
        place,
        5,
        &["schedule", "add", "s0001", "--every", "5m", "echo", "--replace"],
        "is kept by the application \"shop\"",
    );
    assert_eq!(place.json(&["schedule", "pause", "s0001"])["state"], "paused");
}

#[test]
fn all_schedules_are_listed_however_many_on_sqlite() {
    all_schedules_are_listed_however_many(&Place::new());
}

#[tokio::test]
async fn all_schedules_are_listed_however_many_on_redis() {
    all_schedules_are_listed_however_many(&Place::with_store(shared_redis().await.expose()));
}
