//! `worker --health`: what probes and Prometheus get, and the file.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use celeriac_testkit::{RedisOptions, RedisServer};
use rustix::process::Signal;

use crate::place::{Place, Process};

/// Only guards against waiting for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that tells its health, and where.
struct Told {
    worker: Process,
    address: String,
}

impl Told {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        Self::start_as("worker", place, arguments)
    }

    fn start_as(verb: &str, place: &Place, arguments: &[&str]) -> Self {
        let all = [&[verb, "--health", "127.0.0.1:0", "--log-format", "json"], arguments].concat();
        let worker = Process::start(place.command(&all));
        let line: serde_json::Value =
            serde_json::from_str(&worker.until("health is told")).expect("a log line in JSON");
        let address = line["address"].as_str().expect("an address").to_owned();
        Self { worker, address }
    }

    /// The status and the body of a page.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers and closes");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body.to_owned())
    }

    /// Waits until a page answers this status; its body.
    fn until(&self, path: &str, status: u16) -> String {
        until(|| Some(self.get(path)).filter(|(found, _)| *found == status).map(|(_, body)| body))
    }
}

fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_worker_that_runs_is_live_and_ready_and_answers_nothing_else() {
    let place = Place::new();
    let told = Told::start(&place, &[]);
    assert_eq!(told.until("/readyz", 200), "ok\n");
    assert_eq!(told.get("/livez"), (200, "ok\n".to_owned()));
    assert_eq!(told.get("/").0, 404);
    told.worker.signal(Signal::TERM);
    assert_eq!(told.worker.end().code, 0);
}

#[test]
fn prometheus_reads_queues_tasks_and_slots() {
    let place = Place::new();
    let told = Told::start(&place, &["-c", "3"]);
    place.ok(&["enqueue", "echo", "--wait"]);
    place.run(&["enqueue", "fail", "--wait"]);
    place.ok(&["enqueue", "other", "-q", "elsewhere"]);
    let expected = [
        "# TYPE celeriac_jobs gauge\n",
        "celeriac_store_up 1\n",
        "celeriac_jobs{queue=\"elsewhere\",state=\"ready\"} 1\n",
        "celeriac_jobs{queue=\"default\",state=\"dead\"} 1\n",
        "celeriac_finished_total{task=\"echo\",outcome=\"succeeded\"} 1\n",
        "celeriac_finished_total{task=\"fail\",outcome=\"dead\"} 1\n",
        "celeriac_run_seconds_count{task=\"echo\"} 1\n",
        "celeriac_run_seconds_bucket{task=\"echo\",le=\"+Inf\"} 1\n",
        "celeriac_worker_slots 3\n",
        "celeriac_worker_running 0\n",
    ];
    // A job has ended for its producer a moment before it has for its worker.
    let mut page = String::new();
    until(|| {
        page = told.get("/metrics").1;
        expected.iter().all(|line| page.contains(line)).then_some(())
    });
    assert!(page.contains("celeriac_queue_oldest_seconds{queue=\"elsewhere\"} "), "{page}");
}

#[test]
fn a_worker_whose_store_is_away_is_live_and_not_ready() {
    let server = RedisServer::start(&RedisOptions::default());
    server.kill();
    let place = Place::with_store(server.url().expose());
    let told = Told::start(&place, &[]);
    assert_eq!(told.get("/livez").0, 200);
    assert_eq!(told.get("/readyz"), (503, "the process waits for its store\n".to_owned()));
    assert!(told.get("/metrics").1.contains("celeriac_store_up 0\n"));
    server.restart();
    told.until("/readyz", 200);
    server.kill();
    assert!(told.until("/readyz", 503).contains("waiting for the store"));
    assert_eq!(told.get("/livez").0, 200);
    server.restart();
    told.until("/readyz", 200);
}

#[test]
fn a_worker_that_stops_is_not_ready_any_more() {
    let place = Place::new();
    let told = Told::start(&place, &["-c", "2"]);
    place.ok(&["enqueue", "sleep"]);
    place.ok(&["enqueue", "echo", "--wait"]);
    told.worker.signal(Signal::TERM);
    assert!(told.until("/readyz", 503).contains("stopping"));
    assert_eq!(told.get("/livez").0, 200, "it is alive until it has ended");
    told.worker.signal(Signal::TERM);
    assert_eq!(told.worker.end().code, 0);
}

#[test]
fn a_file_is_there_while_the_worker_is() {
    let place = Place::new();
    let worker = place.worker(&["--health", "./worker.health"]);
    assert!(place.has("worker.health"));
    worker.signal(Signal::TERM);
    assert_eq!(worker.end().code, 0);
    assert!(!place.has("worker.health"));
}

#[test]
fn what_cannot_be_used_is_a_usage_error() {
    let place = Place::new();
    let told = Told::start(&place, &[]);
    for (target, word) in [(told.address.as_str(), "in use"), ("/nowhere/at/all", "No such file")] {
        let answer = place.run(&["worker", "--health", target]);
        assert_eq!(answer.code, 2, "{target}");
        assert!(answer.err.contains(word) && answer.err.contains(target), "{}", answer.err);
    }
}

#[test]
fn a_beat_tells_its_health_and_what_it_did() {
    let place = Place::new();
    place.ok(&["schedule", "add", "tick", "--every", "1s", "echo"]);
    let told = Told::start_as("beat", &place, &[]);
    assert_eq!(told.until("/readyz", 200), "ok\n");
    assert_eq!(told.get("/livez"), (200, "ok\n".to_owned()));
    told.worker.until("enqueued");
    let page = told.get("/metrics").1;
    assert!(
        page.contains("celeriac_store_up 1\n") && page.contains("# TYPE celeriac_schedule_fired_total counter\n"),
        "{page}"
    );
    assert!(!page.contains("celeriac_schedule_fired_total 0\n"), "{page}");
    told.worker.signal(Signal::TERM);
    assert_eq!(told.worker.end().code, 0);
}

#[test]
fn a_beat_whose_store_is_away_is_live_and_not_ready() {
    let server = RedisServer::start(&RedisOptions::default());
    server.kill();
    let place = Place::with_store(server.url().expose());
    let told = Told::start_as("beat", &place, &[]);
    assert_eq!(told.get("/readyz"), (503, "the process waits for its store\n".to_owned()));
    server.restart();
    told.until("/readyz", 200);
    place.ok(&["schedule", "add", "tick", "--every", "1s", "echo"]);
    server.kill();
    assert!(told.until("/readyz", 503).contains("waiting for the store"));
    assert_eq!(told.get("/livez").0, 200);
    assert!(told.get("/metrics").1.contains("celeriac_store_up 0\n"));
    server.restart();
    told.until("/readyz", 200);
}

#[test]
fn a_worker_with_a_beat_tells_of_both() {
    let place = Place::new();
    place.ok(&["schedule", "add", "tick", "--every", "1s", "echo"]);
    let told = Told::start(&place, &["--beat"]);
    told.until("/readyz", 200);
    let told_of_both =
        |page: &String| page.contains("celeriac_worker_slots") && page.contains("celeriac_schedule_fired_total 1\n");
    until(|| Some(told.get("/metrics").1).filter(told_of_both));
}
