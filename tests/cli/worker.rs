//! `worker`, and the tasks of `celeriac.toml`.

use celeriac_testkit::{RedisOptions, RedisServer};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::place::{Place, Process};

#[test]
fn a_worker_without_a_task_is_refused_with_an_example() {
    let place = Place::new();
    place.write("celeriac.toml", "");
    let answer = place.run(&["worker"]);
    assert_eq!(answer.code, 2);
    assert!(
        answer.err.contains("write celeriac.toml here") && answer.err.contains("[tasks.hello]\n"),
        "{}",
        answer.err
    );
}

#[test]
fn the_example_of_the_refusal_works() {
    let place = Place::new();
    place.write("celeriac.toml", "");
    let refusal = place.run(&["worker"]).err;
    place.write("celeriac.toml", &refusal[refusal.find("[tasks.").unwrap()..]);
    place.ok(&["enqueue", "hello", "--id", "a"]);
    place.burst();
    assert_eq!(place.ok(&["result", "a"]).out, "\"hello\"\n");
}

#[test]
fn what_is_wrong_in_the_file_is_told_with_its_line_by_worker_and_enqueue() {
    let place = Place::new();
    place.write("celeriac.toml", "[tasks.a]\ncommand = [\"true\"]\n\nquue = \"q\"\n");
    for arguments in [&["worker"][..], &["enqueue", "a"], &["enqueue", "--from", "/dev/null"]] {
        let answer = place.run(arguments);
        assert_eq!(answer.code, 2, "{arguments:?}");
        let expected = "celeriac.toml:4:1: unknown key \"quue\" in [tasks.a]; did you mean \"queue\"?";
        assert!(answer.err.contains(expected), "{}", answer.err);
    }
}

#[test]
fn a_missing_file_is_refused() {
    let answer = Place::new().run(&["worker", "--config", "nothing.toml"]);
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("cannot read nothing.toml"), "{}", answer.err);
}

#[test]
fn a_command_is_told_its_job_and_its_store() {
    let place = Place::new();
    place.ok(&["enqueue", "images", "--id", "mine", "--header", "traceparent=00-ab"]);
    place.burst();
    assert_eq!(place.json(&["job", "get", "mine"])["headers"], Value::Null, "its end is kept and nothing else");
    let result: Value = serde_json::from_str(&place.ok(&["result", "mine"]).out).unwrap();
    let text = result.as_str().unwrap();
    for expected in [
        "CELERIAC_ATTEMPT=1\n",
        "CELERIAC_BROKER=sqlite:celeriac.db\n",
        "CELERIAC_COLOUR=green\n",
        "CELERIAC_HEADERS={\"traceparent\":\"00-ab\"}\n",
        "CELERIAC_JOB_ID=mine\n",
        "CELERIAC_QUEUE=images\n",
        "CELERIAC_TASK=images",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}

#[test]
fn a_worker_says_what_it_serves() {
    let place = Place::new();
    let worker = Process::start(place.command(&["worker", "-c", "3", "-q", "a,b", "-q", "c"]));
    let line = worker.until("worker starts");
    for expected in ["store=sqlite:celeriac.db", "queues=a,b,c", "tasks=echo,fail,images,sleep", "concurrency=3"] {
        assert!(line.contains(expected), "{expected} in {line}");
    }
}

#[test]
fn log_lines_can_be_json() {
    let place = Place::new();
    let worker = Process::start(place.command(&["worker", "--log-format", "json"]));
    let line: Value = serde_json::from_str(&worker.until("worker starts")).unwrap();
    assert_eq!((&line["level"], &line["queues"]), (&json!("INFO"), &json!("default,images")));
}

#[test]
fn a_signal_ends_a_worker_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        let worker = place.worker(&["--json"]);
        place.ok(&["enqueue", "echo", "--wait"]);
        worker.signal(signal);
        let answer = worker.end();
        assert_eq!((answer.code, &answer.json()["succeeded"]), (0, &json!(1)));
    }
}

#[test]
fn a_second_signal_hands_running_jobs_back_at_once() {
    let place = Place::new();
    let worker = place.worker(&["--json", "--grace", "1000s", "-c", "2"]);
    place.ok(&["enqueue", "sleep", "--id", "long"]);
    place.run(&["enqueue", "echo", "--wait"]);
    worker.signal(Signal::TERM);
    worker.until("asked to stop");
    worker.signal(Signal::TERM);
    let answer = worker.end();
    assert_eq!((answer.code, &answer.json()["handed_back"]), (0, &json!(1)));
    let job = place.json(&["job", "get", "long"]);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("queued"), &json!(0)));
}

#[test]
fn a_burst_ends_when_nothing_is_left() {
    let place = Place::new();
    for _ in 0..3 {
        place.ok(&["enqueue", "echo"]);
    }
    assert_eq!(place.burst().json()["succeeded"], 3);
}

#[test]
fn a_worker_serves_only_the_queues_it_is_given() {
    let place = Place::new();
    place.ok(&["enqueue", "images", "--id", "a"]);
    place.ok(&["worker", "--burst", "-q", "default"]);
    assert_eq!(place.json(&["job", "get", "a"])["state"], "queued");
}

#[test]
fn a_worker_waits_for_a_store_that_is_away_and_says_so() {
    let server = RedisServer::start(&RedisOptions::default());
    server.kill();
    let place = Place::with_store(server.url().expose());
    let worker = Process::start(place.command(&["worker"]));
    let line = worker.until("waiting for the store");
    assert!(line.contains(&server.url().to_string()), "{line}");
    server.restart();
    worker.until("registered");
    worker.signal(Signal::TERM);
    assert_eq!(worker.end().code, 0);
}

#[test]
fn a_worker_that_waits_for_its_store_can_be_ended() {
    let place = Place::with_store("redis://127.0.0.1:1");
    let worker = Process::start(place.command(&["worker"]));
    worker.until("waiting for the store");
    worker.signal(Signal::INT);
    assert_eq!(worker.end().code, 0);
}

#[test]
fn a_worker_that_is_told_to_end_does_so_although_its_store_is_gone() {
    let server = RedisServer::start(&RedisOptions::default());
    let place = Place::with_store(server.url().expose());
    let worker = place.worker(&["--grace", "0s", "-c", "2"]);
    place.ok(&["enqueue", "sleep"]);
    place.ok(&["enqueue", "echo", "--wait"]);
    server.kill();
    worker.signal(Signal::TERM);
    let answer = worker.end();
    assert!(answer.code <= 1, "{} {}", answer.code, answer.err);
}

#[test]
fn options_that_cannot_work_are_usage_errors() {
    let place = Place::new();
    for arguments in [
        &["worker", "-c", "0"][..],
        &["worker", "-q", "two words"],
        &["worker", "--lease", "10ms"],
        &["worker", "--grace", "30"],
        &["worker", "--name", "a~b"],
        &["worker", "--log-format", "xml"],
        &["worker", "--beat", "--burst"],
        &["worker", "--owner", "shop"],
    ] {
        assert_eq!(place.run(arguments).code, 2, "{arguments:?}");
    }
}
