//! `bench`, with few jobs: that every figure is there or said to be missing, that nothing else is touched, and that the check checks.

use celeriac_testkit::{RedisOptions, RedisServer};
use rustix::process::Signal;
use serde_json::Value;

use crate::place::{Answer, Place, Process};

/// Few jobs, and no minute of idling.
const SMALL: [&str; 5] = ["bench", "--jobs", "300", "--idle", "0"];

/// What only a server can tell, or a server that the benchmark may ask everything.
const OF_SERVERS: [&str; 8] = [
    "commands_bulk",
    "commands_one_by_one",
    "commands_run",
    "drain_1_server_cpu_us",
    "drain_2_server_cpu_us",
    "enqueue_bulk_server_cpu_us",
    "enqueue_one_by_one_server_cpu_us",
    "job_bytes",
];

/// What takes a minute of idling, or at least a thousand jobs.
const LEFT_OUT: [&str; 6] = [
    "idle_commands_per_minute",
    "idle_server_cpu_ms_per_minute",
    "idle_worker_cpu_ms_per_minute",
    "result_p999_us",
    "start_p999_us",
    "worker_idle_resident_bytes",
];

fn small(place: &Place, more: &[&str]) -> Answer {
    place.run(&[&SMALL[..], more].concat())
}

/// The keys of figures without a value.
fn missing(answer: &Value) -> Vec<String> {
    let figures = answer["figures"].as_object().expect("figures");
    let missing = figures.iter().filter(|(_, figure)| figure["value"].is_null());
    missing.map(|(key, _)| key.clone()).collect()
}

fn sorted(keys: &[&[&str]]) -> Vec<String> {
    let mut keys: Vec<String> = keys.concat().into_iter().map(str::to_owned).collect();
    keys.sort();
    keys
}

#[test]
fn every_figure_is_measured_on_a_server_of_its_own() {
    let place = Place::new();
    let answer = small(&place, &["--processes", "1,2", "--with-results", "--backlog", "500", "--json"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let json = answer.json();
    assert_eq!(missing(&json), sorted(&[&LEFT_OUT]));
    assert_eq!((&json["settings"]["jobs"], &json["failure"]), (&Value::from(300), &Value::Null));
    for key in ["drain_kept_rate", "backlog_server_cpu_us", "through_rate", "start_p50_us"] {
        let figure = &json["figures"][key];
        let ratio = figure["value"].as_f64().unwrap() / figure["floor_value"].as_f64().unwrap();
        assert!((figure["ratio"].as_f64().unwrap() - ratio).abs() < 1e-6, "{key}: {figure}");
    }
    assert!(json["machine"]["redis"].is_string() && json["store"].as_str().unwrap().contains("of its own"), "{json}");
    assert!(!place.has("celeriac.db"), "the default store of other verbs was used");
}

#[test]
fn a_sqlite_store_is_measured_beside_the_one_that_was_named() {
    let place = Place::new();
    place.ok(&["enqueue", "echo", "--id", "mine"]);
    let answer = small(&place, &["--processes", "1,2", "--broker", "sqlite:celeriac.db", "--json"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let json = answer.json();
    assert_eq!(missing(&json), sorted(&[&LEFT_OUT, &OF_SERVERS]));
    assert!(json["machine"]["redis"].is_null(), "{json}");
    assert_eq!(place.json(&["job", "list"]).as_array().unwrap().len(), 1);
    assert!(!place.files().iter().any(|name| name.contains("bench")), "{:?}", place.files());
}

#[test]
fn an_idle_worker_is_watched_for_as_long_as_was_asked() {
    let place = Place::new();
    let answer = place.run(&["bench", "--jobs", "20", "--processes", "1", "--idle", "250ms", "--json"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let missing = missing(&answer.json());
    assert!(!missing.iter().any(|key| key.contains("idle")), "{missing:?}");
}

/// How many keys a server has.
fn keys(server: &RedisServer) -> u64 {
    let client = redis::Client::open(server.url().expose()).expect("an address");
    let mut connection = client.get_connection().expect("a server");
    redis::cmd("DBSIZE").query(&mut connection).expect("a number")
}

#[test]
fn a_named_server_keeps_its_keys_and_gets_none() {
    let server = RedisServer::start(&RedisOptions::default());
    let place = Place::with_store(server.url().expose());
    place.ok(&["enqueue", "echo"]);
    let before = keys(&server);
    let answer = small(&place, &["--json"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(missing(&answer.json()).contains(&"commands_run".to_owned()), "a server of others was monitored");
    assert!(answer.err.contains("others may use"), "{}", answer.err);
    assert_eq!(keys(&server), before);
    assert_eq!(place.json(&["job", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn an_interrupted_measurement_leaves_nothing_in_a_named_server() {
    let server = RedisServer::start(&RedisOptions::default());
    let place = Place::with_store(server.url().expose());
    let bench = Process::start(place.command(&["bench", "--jobs", "1000000", "--idle", "0"]));
    bench.until("measuring");
    while keys(&server) == 0 {}
    bench.signal(Signal::INT);
    let answer = bench.end();
    assert_eq!(answer.code, 1, "{}", answer.err);
    assert!(answer.err.contains("interrupted"), "{}", answer.err);
    assert_eq!(keys(&server), 0);
}

fn with_fault(fault: &str, arguments: &[&str]) -> Answer {
    let place = Place::new();
    let mut command = place.command(&[&SMALL[..], arguments].concat());
    let output = command.env("CELERIAC_BENCH_FAULT", fault).output().expect("the binary starts");
    Answer::from(output)
}

#[test]
fn a_lost_job_fails_the_measurement() {
    let answer = with_fault("lose", &["--json"]);
    assert_eq!(answer.code, 1, "{}", answer.err);
    assert!(answer.err.contains("of 300 jobs 1 never ran (number 150)"), "{}", answer.err);
    let json = answer.json();
    assert!(json["failure"].as_str().is_some_and(|text| text.contains("never ran")), "{json}");
    for key in ["drain_1_rate", "enqueue_one_by_one_rate", "enqueue_bulk_rate"] {
        assert!(missing(&json).contains(&key.to_owned()), "{key} of jobs that were lost");
    }
}

#[test]
fn a_doubled_job_fails_the_measurement() {
    let answer = with_fault("double", &[]);
    assert_eq!(answer.code, 1, "{}", answer.err);
    assert!(answer.err.contains("of 300 jobs 1 ran more than once (number 150)"), "{}", answer.err);
    let row = answer.out.lines().find(|line| line.contains("drain, 1 process")).unwrap();
    assert!(row.ends_with("not measured"), "{row}");
}

#[test]
fn what_cannot_be_measured_is_refused_with_what_to_do() {
    let place = Place::new();
    let refused = |arguments: &[&str], code, text: &str| {
        let answer = place.run(&[&["bench"], arguments].concat());
        assert_eq!(answer.code, code, "{arguments:?}: {}", answer.err);
        assert!(answer.err.contains(text) && answer.out.is_empty(), "{arguments:?}: {}", answer.err);
    };
    refused(&["--jobs", "0"], 2, "--jobs");
    refused(&["--payload", "17"], 2, "--payload 20");
    refused(&["--jobs", "10", "--payload", "15"], 2, "--payload 16");
    refused(&["--payload", "2000000"], 2, "at most 1048576");
    refused(&["--processes", "0"], 2, "--processes");
    refused(&["--broker", "sqlite::memory:"], 2, "name a file");
    refused(&["--broker", "redis://127.0.0.1:1"], 3, "redis://127.0.0.1:1");
    refused(&["--broker", "sqlite:no/such/directory.db"], 3, "no/such");
}

#[test]
fn without_redis_server_it_says_how_to_get_one() {
    let place = Place::new();
    let output = place.command(&SMALL).env("PATH", "").output().unwrap();
    let answer = Answer::from(output);
    assert_eq!(answer.code, 3, "{}", answer.err);
    assert!(answer.err.contains("apt-get install redis-server") && answer.err.contains("--broker"), "{}", answer.err);
}

/// The processes that descend from one, as the system lists them.
#[cfg(target_os = "linux")]
fn descendants(ancestor: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .expect("processes are listed")
        .filter_map(|entry| {
            let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name of the program stands in parentheses and may hold anything; state and parent follow it.
            let (state, parent) = stat.rsplit_once(") ")?.1.split_once(' ')?;
            let parent = parent.split(' ').next()?.parse().ok()?;
            (state != "Z").then_some((id, parent))
        })
        .collect();
    let mut found = vec![ancestor];
    let mut index = 0;
    while let Some(open) = found.get(index).copied() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == open).map(|(id, _)| *id));
        index += 1;
    }
    found.split_off(1)
}

#[cfg(target_os = "linux")]
fn runs(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_outlives_a_benchmark_that_was_killed() {
    let place = Place::new();
    let before = place.files();
    let mut command = place.command(&["bench", "--jobs", "1000000", "--idle", "0"]);
    command.env("TMPDIR", place.path());
    let bench = Process::start(command);
    bench.until("measuring");
    // A shell that watches over the server, the server, and a process that plays a part.
    let mut children = Vec::new();
    while children.len() < 3 {
        children = descendants(bench.id());
    }
    bench.signal(Signal::KILL);
    while children.iter().any(|child| runs(*child)) {
        std::thread::yield_now();
    }
    assert_eq!(place.files(), before);
}
