//! Processes that are killed while they write.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use celeriac_broker::Start;
use celeriac_broker::sqlite::SqliteBroker;

use crate::support::{Producer, new_file, new_job, open, raw};

/// Tells the victim which store to use.
const STORE: &str = "CELERIAC_TEST_STORE";

/// What the victim prints before each id that the store has accepted.
const ACCEPTED: &str = "accepted ";

#[test]
fn jobs_that_were_acknowledged_survive_a_kill_at_any_moment() {
    let (_directory, path) = new_file();
    let mut acknowledged = HashSet::new();
    for round in 0..20 {
        acknowledged.extend(kill_after(&path, 1 + round * 7));
        let connection = raw(&path);
        let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok", "round {round}");
        let mut statement = connection.prepare("SELECT id FROM jobs").unwrap();
        let stored = statement.query_map([], |row| row.get(0)).unwrap();
        let stored: HashSet<String> = stored.collect::<Result<_, _>>().unwrap();
        let lost: Vec<_> = acknowledged.difference(&stored).collect();
        assert!(lost.is_empty(), "round {round} lost {lost:?}");
    }
    assert!(acknowledged.len() > 1000);
}

/// Starts a process that enqueues, kills it once it has named so many ids, and answers all it has named.
fn kill_after(path: &Path, lines: usize) -> Vec<String> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crashes::enqueue_until_killed", "--ignored", "--nocapture"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(victim.stdout.take().unwrap());
    let mut named = Vec::new();
    let mut line = String::new();
    // A line without its end was cut off by the kill.
    while output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
        named.extend(line.trim_end().strip_prefix(ACCEPTED).map(str::to_owned));
        if named.len() == lines {
            victim.kill().unwrap();
        }
        line.clear();
    }
    victim.wait().unwrap();
    assert!(named.len() >= lines, "the victim ended by itself");
    named
}

#[test]
#[ignore = "the victim of the test above, which starts it"]
fn enqueue_until_killed() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let broker = open(Path::new(&path)).await;
        // Four at once, so that the kill meets groups of operations.
        let producer = || enqueue_for_ever(broker.clone());
        tokio::join!(producer(), producer(), producer(), producer());
    });
}

async fn enqueue_for_ever(broker: SqliteBroker) {
    let mut producer = Producer::new(&broker).await;
    loop {
        let job = new_job(Start::Now);
        let id = job.record.id.clone();
        producer.enqueue(&broker, vec![job]).await;
        std::io::stdout().write_all(format!("{ACCEPTED}{id}\n").as_bytes()).unwrap();
    }
}
