//! A disk that is full, and one that may only be read.
//!
//! Both need a file system of the test's own: a process of its own mounts one in memory, in a namespace where it may. Where that is forbidden,
//! as in many containers, these tests say so and see nothing; what SQLite answers in these cases is then still fed to the store by the unit
//! tests of `sqlite/writer.rs` and `sqlite/connection.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use celeriac_broker::sqlite::SqliteBroker;
use celeriac_broker::{Batch, Broker as _, BrokerError, Inspector as _, Lane, NewJob, Refusal, Start};
use celeriac_core::JobId;

use crate::support::{everything, new_file, new_job, open, raw, register, succeed, try_open, within};

/// Tells the process in the namespace where its file system is.
const DISK: &str = "CELERIAC_TEST_DISK";

/// Runs one of the ignored tests below on a file system of 8 MB.
fn on_a_small_disk(test: &str) {
    let (directory, _) = new_file();
    let in_namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-ec", script]).env(DISK, directory.path());
        command
    };
    let mount = format!("mount -t tmpfs -o size=8m tmpfs \"${DISK}\"");
    let may_mount = in_namespace(&mount).output().is_ok_and(|output| output.status.success());
    if !may_mount {
        eprintln!("nothing was tested: this machine lets no test mount a file system");
        return;
    }
    let mut child = in_namespace(&format!("{mount}; exec \"$0\" --exact \"small_disk::{test}\" --ignored --nocapture"));
    let output = child.arg(std::env::current_exe().unwrap()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_full_disk_refuses_jobs_and_loses_none() {
    on_a_small_disk("fill_the_disk");
}

#[test]
fn a_disk_that_may_only_be_read_is_refused_at_once() {
    on_a_small_disk("open_what_may_only_be_read");
}

fn disk() -> PathBuf {
    std::env::var_os(DISK).expect("started by another test").into()
}

/// The ids that are in the file, which is sound.
fn stored(path: &Path) -> Vec<JobId> {
    let connection = raw(path);
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let mut statement = connection.prepare("SELECT id FROM jobs ORDER BY seq").unwrap();
    let ids = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    ids.map(|id| JobId::new(id.unwrap()).unwrap()).collect()
}

fn large_job() -> NewJob {
    let mut job = new_job(Start::Now);
    job.record.payload = format!("\"{}\"", "x".repeat(50_000)).into_bytes();
    job
}

/// Enqueues until that is refused: the batch that was refused, and the ids of those before it.
async fn fill(broker: &SqliteBroker) -> (Batch, Vec<JobId>) {
    let lane = Lane { producer: JobId::generate().to_string(), index: 0, made_at: broker.now().await.unwrap() };
    let mut accepted = Vec::new();
    for number in 1..1000 {
        let batch = Batch { lane: lane.clone(), number, jobs: vec![large_job(), large_job()] };
        match broker.enqueue(&batch).await {
            Ok(_) => accepted.extend(batch.jobs.iter().map(|job| job.record.id.clone())),
            Err(error) => {
                assert!(matches!(error, BrokerError::Refused { reason: Refusal::Full, .. }), "{error:?}");
                return (batch, accepted);
            }
        }
    }
    panic!("100 MB are on a disk of 8 MB");
}

#[tokio::test]
#[ignore = "started by a_full_disk_refuses_jobs_and_loses_none"]
async fn fill_the_disk() {
    let path = disk().join("queue.db");
    let ballast = disk().join("ballast");
    std::fs::write(&ballast, vec![0; 5_000_000]).unwrap();
    let broker = open(&path).await;
    let session = register(&broker).await;

    let (refused, mut accepted) = fill(&broker).await;

    // It goes on being refused, as a whole, and what reads still answers.
    let error = broker.enqueue(&refused).await.unwrap_err();
    assert!(matches!(error, BrokerError::Refused { reason: Refusal::Full, .. }) && error.is_transient(), "{error:?}");
    assert_eq!(stored(&path), accepted);
    assert!(accepted.len() > 4 && broker.job(&accepted[0]).await.unwrap().is_some());

    // The very batch is accepted once there is room, and the jobs can be done. It takes room for the log to be copied into the file.
    std::fs::remove_file(&ballast).unwrap();
    broker.enqueue(&refused).await.unwrap();
    accepted.extend(refused.jobs.iter().map(|job| job.record.id.clone()));
    assert_eq!(stored(&path), accepted);
    let mut done = Vec::new();
    while done.len() < accepted.len() {
        for delivery in broker.fetch(&session, &everything()).await.unwrap().jobs {
            succeed(&broker, &session, &delivery).await;
            done.push(delivery.record.id);
        }
    }
    assert_eq!(done, accepted);
}

/// Whoever opens a store there, or would make one, learns what is wrong.
#[tokio::test]
#[ignore = "started by a_disk_that_may_only_be_read_is_refused_at_once"]
async fn open_what_may_only_be_read() {
    let path = disk().join("queue.db");
    let broker = open(&path).await;
    crate::support::enqueue_one(&broker).await;
    drop(broker);
    // The threads of the store close the file a moment after it is dropped. Users who are not root may only change this mount of the disk.
    let remount = || Command::new("mount").args(["-o", "remount,bind,ro"]).arg(disk()).output().unwrap();
    within(async {
        while !remount().status.success() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;

    for name in ["queue.db", "other.db"] {
        let error = try_open(&disk().join(name)).await.unwrap_err();
        let BrokerError::Refused { reason: Refusal::ReadOnly, detail, .. } = error else { panic!("{error:?}") };
        assert!(detail.ends_with("is on a file system that may only be read"), "{detail}");
    }
}
