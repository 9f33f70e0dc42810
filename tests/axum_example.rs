//! The example of a web service under load, while its workers are stopped, killed and replaced: what was accepted is done.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

#[path = "support/example.rs"]
#[expect(dead_code, reason = "processes of this test are not run to their end at once")]
mod example;
mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::{Bench, Process, wait_for};

const CONNECTIONS: usize = 8;
const JOBS_PER_CONNECTION: usize = 40;
/// A user looks after so many jobs how the last one is doing, and waits for its end.
const PATIENT_AFTER: usize = 5;

/// A connection that is kept.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn to(address: &str) -> Self {
        Self(BufReader::new(TcpStream::connect(address).unwrap()))
    }

    /// Asks, and answers the status and the body.
    fn ask(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        // A handler that does not read the body may answer before it is there, and then the server closes the connection. So there is none
        // where nothing is said, and the rest goes in one piece.
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: celeriac\r\nContent-Type: application/json\r\n");
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the server closed the connection after {head:?}");
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_ascii_lowercase());
        }
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        let status = head[0].split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8(body).unwrap().into()))
    }

    /// The answer about a job, once it has ended.
    fn end_of(&mut self, id: &str) -> Value {
        wait_for(&format!("the end of job {id}"), || {
            let (status, job) = self.ask("GET", &format!("/jobs/{id}"), &Value::Null);
            assert_eq!(status, 200, "{job}");
            let has_ended = ["succeeded", "dead", "revoked", "expired"].contains(&job["state"].as_str().unwrap());
            has_ended.then_some(job)
        })
    }
}

/// A process of the example that listens, and where.
fn start(bench: &Bench, name: &str, worker: &str) -> (Process, String) {
    let mut command = example::command("axum_app");
    command.env("ADDRESS", "127.0.0.1:0").env("WORKER", worker);
    let process = bench.start(name, command);
    let address = wait_for(&format!("{name} to listen"), || {
        let log = std::fs::read_to_string(bench.path(&format!("{name}.log"))).unwrap();
        log.split_once("listening on ")?.1.split_once('\n').map(|(address, _)| address.to_owned())
    });
    (process, address)
}

/// One user: enqueues, now and then waits for an end, and answers the ids with the number of words of each.
fn user(address: &str, accepted: &AtomicUsize) -> Vec<(String, usize)> {
    let mut connection = Connection::to(address);
    let mut jobs = Vec::new();
    for number in 1..=JOBS_PER_CONNECTION {
        let words = 10 + number % 10;
        let (status, answer) = connection.ask("POST", "/jobs", &json!({ "text": "word ".repeat(words) }));
        assert_eq!(status, 202, "{answer}");
        let id = answer["id"].as_str().unwrap().to_owned();
        accepted.fetch_add(1, Ordering::SeqCst);
        if number % PATIENT_AFTER == 0 {
            connection.end_of(&id);
        }
        jobs.push((id, words));
    }
    jobs
}

/// Replaces one worker after the other while requests come in: in order, and without warning.
fn replace_workers(bench: &Bench, accepted: &AtomicUsize) -> Vec<Process> {
    let mut workers: Vec<_> = ["worker-1", "worker-2"].iter().map(|name| start(bench, name, "on").0).collect();
    let all = CONNECTIONS * JOBS_PER_CONNECTION;
    for (round, is_warned) in [true, false, true, false, true].into_iter().enumerate() {
        let so_many = all * (round + 1) / 6;
        wait_for(&format!("{so_many} requests"), || (accepted.load(Ordering::SeqCst) >= so_many).then_some(()));
        let mut old = workers.remove(0);
        if is_warned {
            old.signal("TERM");
            assert!(old.wait().success());
        } else {
            old.kill();
        }
        workers.push(start(bench, &format!("worker-{}", round + 3), "on").0);
    }
    workers
}

fn what_was_accepted_is_done_while_workers_come_and_go(bench: &Bench) {
    let (mut server, address) = start(bench, "server", "off");
    let accepted = AtomicUsize::new(0);
    let (jobs, _workers) = std::thread::scope(|scope| {
        let users = [(); CONNECTIONS].map(|()| scope.spawn(|| user(&address, &accepted)));
        let workers = replace_workers(bench, &accepted);
        (users.into_iter().flat_map(|user| user.join().unwrap()).collect::<Vec<_>>(), workers)
    });
    let mut connection = Connection::to(&address);
    for (id, words) in &jobs {
        let job = connection.end_of(id);
        assert_eq!((&job["state"], &job["result"]), (&json!("succeeded"), &json!(words)), "{job}");
        assert_eq!(job["progress"]["done"], json!(words), "{job}");
    }
    assert_eq!(jobs.len(), CONNECTIONS * JOBS_PER_CONNECTION);
    server.signal("TERM");
    assert!(server.wait().success(), "a server with an open connection stops in order");
}

#[test]
fn what_was_accepted_is_done_while_workers_come_and_go_on_sqlite() {
    what_was_accepted_is_done_while_workers_come_and_go(&Bench::sqlite());
}

#[test]
fn what_was_accepted_is_done_while_workers_come_and_go_on_redis() {
    what_was_accepted_is_done_while_workers_come_and_go(&Bench::redis());
}

#[test]
fn a_request_that_cannot_work_is_refused_with_a_reason() {
    let bench = Bench::sqlite();
    let (_server, address) = start(&bench, "server", "off");
    let mut connection = Connection::to(&address);
    assert_eq!(connection.ask("POST", "/jobs", &json!({ "words": 3 })).0, 422);
    assert_eq!(connection.ask("GET", "/jobs/nothing", &Value::Null), (404, json!("there is no job nothing")));
    assert_eq!(connection.ask("GET", "/jobs/no%20name", &Value::Null).0, 400);
}

/// One process is enough: it enqueues, works, and stops when it is told to.
#[test]
fn server_and_worker_share_a_process_and_stop_in_order() {
    let bench = Bench::sqlite();
    let (mut both, address) = start(&bench, "both", "on");
    let mut connection = Connection::to(&address);
    let (_, job) = connection.ask("POST", "/jobs", &json!({ "text": "one two three" }));
    assert_eq!(connection.end_of(job["id"].as_str().unwrap())["result"], json!(3));
    both.signal("TERM");
    assert!(both.wait().success());
    bench.wait_for_text("both.log", "1 jobs done");
}
