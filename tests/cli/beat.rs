//! `beat`, `worker --beat`, and the schedules of `celeriac.toml`: real processes, and what they leave in the store.

use std::time::{Duration, Instant};

use celeriac_testkit::{RedisOptions, RedisServer, shared_redis};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::place::{Place, Process, TASKS, fields};

/// Only guards against waiting for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// A beat looks for itself once a minute. What it does within half of that it does because it was told.
const BEFORE_ITS_NEXT_LOOK: Duration = Duration::from_secs(30);

fn beat(place: &Place, arguments: &[&str]) -> Process {
    let beat = Process::start(place.command(&[&["beat"], arguments].concat()));
    beat.until("beat starts");
    beat
}

/// Waits until a schedule looks as it should, and answers it.
fn until(place: &Place, schedule: &str, looks: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let shown = place.json(&["schedule", "show", schedule]);
        if looks(&shown) {
            return shown;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain: {shown}");
    }
}

fn fired(shown: &Value) -> u64 {
    shown["fired"].as_u64().expect("a counter")
}

/// Changes a row of the schedules as no verb can.
fn tamper(place: &Place, change: &str) {
    let store = rusqlite::Connection::open(place.path().join("celeriac.db")).expect("the store is a file");
    assert_eq!(store.execute(&format!("UPDATE schedules SET {change}"), []).expect("it is changed"), 1);
}

fn what_is_due_is_enqueued(place: &Place) {
    place.ok(&["schedule", "add", "tick", "--every", "1s", "echo", "[1]"]);
    let running = beat(place, &["--json"]);
    let line = running.until("enqueued");
    assert!(line.contains("schedule=tick") && line.contains("job=tick:2"), "{line}");
    running.signal(Signal::TERM);
    let answer = running.end();
    assert_eq!((answer.code, fields(&answer.json())), (0, vec!["errors", "fired", "missed", "skipped"]));
    let shown = place.json(&["schedule", "show", "tick"]);
    assert_eq!(shown["fired"], answer.json()["fired"]);
    let id = shown["last_job"]["id"].as_str().expect("a text");
    assert_eq!((&shown["last_job"]["state"], id.starts_with("tick:2")), (&json!("queued"), true));
    assert_eq!(place.json(&["job", "get", id])["args"], json!([1]));
    place.burst();
    let list = place.json(&["schedule", "list"]);
    // A job that waited until the next one came has expired.
    assert!(["succeeded", "expired"].contains(&list[0]["last_job"]["state"].as_str().expect("a text")), "{list}");
}

#[test]
fn what_is_due_is_enqueued_on_sqlite() {
    what_is_due_is_enqueued(&Place::new());
}

#[tokio::test]
async fn what_is_due_is_enqueued_on_redis() {
    what_is_due_is_enqueued(&Place::with_store(shared_redis().await.expose()));
}

fn a_change_acts_on_a_beat_that_waits(place: &Place) {
    let running = beat(place, &[]);
    place.ok(&["schedule", "add", "tick", "--every", "1s", "echo"]);
    running.until_within(BEFORE_ITS_NEXT_LOOK, "schedule=tick");
    place.ok(&["schedule", "pause", "tick"]);
    let paused = fired(&place.json(&["schedule", "show", "tick"]));
    place.ok(&["schedule", "add", "other", "--every", "1s", "echo"]);
    running.until_within(BEFORE_ITS_NEXT_LOOK, "schedule=other");
    until(place, "other", |shown| fired(shown) > 1);
    assert_eq!(fired(&place.json(&["schedule", "show", "tick"])), paused);
    place.ok(&["schedule", "remove", "other"]);
    place.ok(&["schedule", "resume", "tick"]);
    running.until_within(BEFORE_ITS_NEXT_LOOK, "schedule=tick");
}

#[test]
fn a_change_acts_on_a_beat_that_waits_on_sqlite() {
    a_change_acts_on_a_beat_that_waits(&Place::new());
}

#[tokio::test]
async fn a_change_acts_on_a_beat_that_waits_on_redis() {
    a_change_acts_on_a_beat_that_waits(&Place::with_store(shared_redis().await.expose()));
}

fn when_a_beat_is_killed_another_goes_on(place: &Place) {
    let (killed, other) = (beat(place, &[]), beat(place, &[]));
    place.ok(&["schedule", "add", "tick", "--every", "1s", "echo", "--keep-late"]);
    until(place, "tick", |shown| fired(shown) > 1);
    // SIGKILL.
    drop(killed);
    place.ok(&["schedule", "add", "after", "--every", "1s", "echo"]);
    other.until("schedule=after");
    let so_far = fired(&place.json(&["schedule", "show", "tick"]));
    until(place, "tick", |shown| fired(shown) > so_far);
    other.signal(Signal::TERM);
    assert_eq!(other.end().code, 0);
    let shown = place.json(&["schedule", "show", "tick"]);
    let jobs = place.json(&["job", "list", "--state", "queued", "--limit", "1000"]);
    let ids = crate::place::ids(&jobs);
    let occurrences = ids.iter().filter(|id| id.starts_with("tick:")).count() as u64;
    assert_eq!((occurrences, fired(&shown)), (fired(&shown), occurrences), "each was enqueued once: {ids:?}");
}

#[test]
fn when_a_beat_is_killed_another_goes_on_on_sqlite() {
    when_a_beat_is_killed_another_goes_on(&Place::new());
}

#[tokio::test]
async fn when_a_beat_is_killed_another_goes_on_on_redis() {
    when_a_beat_is_killed_another_goes_on(&Place::with_store(shared_redis().await.expose()));
}

#[test]
fn a_beat_waits_for_a_store_that_is_away_and_can_be_ended() {
    let server = RedisServer::start(&RedisOptions::default());
    server.kill();
    let place = Place::with_store(server.url().expose());
    let [ended, other] = [Signal::INT, Signal::TERM].map(|signal| {
        let waiting = Process::start(place.command(&["beat", "--json"]));
        waiting.until("waiting for the store");
        (waiting, signal)
    });
    ended.0.signal(ended.1);
    let answer = ended.0.end();
    assert_eq!((answer.code, &answer.json()["fired"]), (0, &json!(0)));
    server.restart();
    other.0.until("beat starts");
    other.0.signal(other.1);
    assert_eq!(other.0.end().code, 0);
}

#[test]
fn the_store_keeps_what_the_file_says() {
    let place = Place::new();
    place.ok(&["schedule", "add", "by-hand", "--every", "1h", "echo"]);
    let file = |rest: &str| place.write("celeriac.toml", &format!("owner = \"shop\"\n{TASKS}{rest}"));
    let restart = || {
        let running = beat(&place, &[]);
        running.signal(Signal::TERM);
        assert_eq!(running.end().code, 0);
        place.json(&["schedule", "list"])
    };
    file(
        "[schedules.a]\ntask = \"images\"\ncron = \"0 3 * * *\"\nargs = { n = 1 }\n[schedules.b]\ntask = \"echo\"\nevery = \"1h\"\n",
    );
    let list = restart();
    let kept: Vec<_> = list.as_array().unwrap().iter().map(|it| (&it["name"], &it["owner"], &it["queue"])).collect();
    let (shop, hand) = (json!("shop"), json!(null));
    let expected = [("a", &shop, "images"), ("b", &shop, "default"), ("by-hand", &hand, "default")];
    let expected: Vec<_> = expected.map(|(name, owner, queue)| (json!(name), owner, json!(queue))).into();
    assert_eq!(kept, expected.iter().map(|(name, owner, queue)| (name, *owner, queue)).collect::<Vec<_>>());
    file("[schedules.b]\ntask = \"echo\"\nevery = \"2h\"\npaused = true\n");
    let list = restart();
    assert_eq!((&list[0]["timetable"], &list[0]["state"]), (&json!("every 2h"), &json!("rests")));
    assert_eq!((list.as_array().unwrap().len(), &list[1]["name"]), (2, &json!("by-hand")));
    let refused = place.run(&["schedule", "resume", "b"]);
    assert!(refused.code == 5 && refused.err.contains("change paused there"), "{}", refused.err);
    file("");
    assert_eq!(restart().as_array().unwrap().len(), 1, "what is gone from the file is gone");
}

#[test]
fn a_file_that_cannot_work_changes_nothing() {
    let place = Place::new();
    place.write("celeriac.toml", "owner = \"shop\"\n[schedules.a]\ntask = \"echo\"\nevery = \"1h\"\n");
    let running = beat(&place, &[]);
    running.signal(Signal::TERM);
    assert_eq!(running.end().code, 0);
    let before = place.json(&["schedule", "list"]);
    for (text, expected) in [
        (
            "[schedules.b]\ntask = \"echo\"\nevery = \"1h\"\n",
            "1:2: [schedules] needs an owner: write owner = \"NAME\" at",
        ),
        ("owner = \"shop\"\n[schedules.b]\ntask = \"echo\"\ncron = \"61 * * * *\"\n", "4:8: cron: minute: 61 is above"),
        ("owner = \"shop\"\n[schedules.b]\ntask = \"echo\"\nevry = \"1h\"\n", "4:1: unknown key \"evry\""),
        ("owner = \"shop\"\n[schedules.b]\n[schedules.b]\n", "3:"),
    ] {
        place.write("celeriac.toml", text);
        let answer = place.run(&["beat"]);
        let is_named = answer.err.contains(&format!("celeriac.toml:{expected}"));
        assert!(answer.code == 2 && is_named, "{text}: {}", answer.err);
    }
    std::fs::remove_file(place.path().join("celeriac.toml")).unwrap();
    let answer = place.run(&["beat", "--owner", "shop"]);
    assert!(answer.code == 2 && answer.err.contains("would be removed"), "{}", answer.err);
    let after = place.json(&["schedule", "list"]);
    assert_eq!((after.as_array().unwrap().len(), &after[0]["name"]), (1, &before[0]["name"]));
}

#[test]
fn a_task_that_nobody_here_knows_is_remarked() {
    let place = Place::new();
    place.write("celeriac.toml", "owner = \"shop\"\n[schedules.a]\ntask = \"elsewhere\"\nevery = \"1h\"\n");
    let running = Process::start(place.command(&["beat"]));
    let line = running.until("another worker must");
    assert!(line.contains("place=celeriac.toml:2:12") && line.contains("task=elsewhere"), "{line}");
    running.until("beat starts");
}

#[test]
fn a_worker_may_run_the_beat_too() {
    let place = Place::new();
    place.write("celeriac.toml", &format!("{TASKS}[schedules.tick]\ntask = \"echo\"\nevery = \"1s\"\n"));
    let plain = place.worker(&[]);
    plain.signal(Signal::TERM);
    assert_eq!(plain.end().code, 0);
    assert_eq!(place.json(&["schedule", "list"]), json!([]), "only if it is told to");
    let worker = place.worker(&["--beat", "--owner", "shop"]);
    let shown = until(&place, "tick", |shown| shown["last_job"]["state"] == "succeeded");
    assert_eq!(shown["owner"], "shop");
    worker.signal(Signal::TERM);
    let answer = worker.end();
    assert!(answer.code == 0 && answer.err.contains("beat ended"), "{}", answer.err);
}

#[test]
fn a_worker_whose_beat_cannot_go_on_ends_with_what_it_says() {
    let place = Place::new();
    place.ok(&["queue", "list"]);
    let store = rusqlite::Connection::open(place.path().join("celeriac.db")).unwrap();
    store.execute_batch("DROP INDEX schedules_due").unwrap();
    let worker = Process::start(place.command(&["worker", "--beat"]));
    worker.until("the beat cannot go on");
    let answer = worker.end();
    assert_eq!(answer.code, 1, "{}", answer.err);
    assert!(answer.err.contains("error: the beat beside the worker: sqlite:celeriac.db"), "{}", answer.err);
    assert!(answer.err.contains("worker ended"), "in order: {}", answer.err);
    assert_eq!(place.run(&["beat"]).code, 1);
}

#[test]
fn what_no_beat_deals_with_is_seen() {
    let place = Place::new();
    place.ok(&["schedule", "add", "s", "--every", "1m", "echo"]);
    assert_eq!(place.json(&["schedule", "show", "s"])["warning"], json!(null));
    tamper(&place, "last = last - 3600000, next_at = next_at - 3600000");
    let answer = place.ok(&["schedule", "list"]);
    assert!(answer.out.contains("overdue "), "{}", answer.out);
    assert!(answer.err.contains("warning: schedule s: it has been due for"), "{}", answer.err);
    assert!(answer.err.contains("start a beat: celeriac beat"), "{}", answer.err);
    let shown = place.json(&["schedule", "show", "s"]);
    assert!(shown["overdue_seconds"].as_f64().unwrap() > 3_000.0 && shown["warning"].is_string(), "{shown}");
    let doctor = place.run(&["doctor"]);
    assert_eq!(doctor.code, 1);
    assert!(doctor.out.contains("FAIL  schedules") && doctor.out.contains("-> celeriac beat"), "{}", doctor.out);

    let running = beat(&place, &[]);
    running.until("enqueued");
    let shown = place.json(&["schedule", "show", "s"]);
    assert_eq!((&shown["fired"], &shown["warning"]), (&json!(1), &json!(null)));
    assert!(shown["missed"].as_u64().unwrap() >= 58, "{shown}");
    let doctor = place.ok(&["doctor"]);
    assert!(doctor.out.contains("warn  schedules") && doctor.out.contains("no beat ran"), "{}", doctor.out);
}
