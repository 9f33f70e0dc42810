//! Workers that run out of descriptors, and workers whose log cannot be written: the disk is full, or nobody reads.

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use celeriac::JobState;
use celeriac_testkit::FaultProxy;

use crate::handlers::{hoard, start};
use crate::jobs::{end_of, enqueue, signature, success_of, tell};
use crate::support::{Bench, Process};

/// A worker of a shell with few descriptors.
fn with_descriptors(bench: &Bench, name: &str, arguments: &str) -> Process {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n 64; exec \"$0\" worker --name {name} --lease 2s {arguments}");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_celeriac")]);
    bench.start_at(&bench.url, name, command)
}

/// Each command needs four descriptors and a few more to begin with, so about a dozen have room.
async fn a_worker_without_descriptors_for_all_its_slots_fails_no_job(bench: Bench) {
    bench.task("sleep 0.5; echo $CELERIAC_JOB_ID >> $LEDGER");
    let client = bench.client().await;
    let jobs = (0..24).map(|_| signature("note").retries(0)).collect();
    let jobs = client.enqueue_all(jobs).await.unwrap();
    let _worker = with_descriptors(&bench, "narrow", "-c 24");
    let mut attempts = 0;
    for (id, _) in &jobs {
        let outcome = success_of(&client, id).await;
        assert_eq!((outcome.failures, outcome.losses), (0, 0), "the job is not to blame");
        attempts += outcome.attempt as usize;
    }
    assert_eq!(bench.ledger_lines(), jobs.len(), "each ran once");
    bench.wait_for_text("narrow.log", "the command cannot be started now");
    assert!(attempts > jobs.len(), "there was room for all");
    // Some had to wait for a second, maybe again; none was tried all the time.
    assert!(attempts < jobs.len() * 30, "{attempts} attempts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_descriptors_for_all_its_slots_fails_no_job_on_sqlite() {
    a_worker_without_descriptors_for_all_its_slots_fails_no_job(Bench::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_descriptors_for_all_its_slots_fails_no_job_on_redis() {
    a_worker_without_descriptors_for_all_its_slots_fails_no_job(Bench::redis()).await;
}

/// A handler takes every descriptor, those of cut connections too, so the worker cannot connect until it gives them back.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_descriptors_connects_again_when_there_are_some() {
    let bench = Bench::redis();
    let server = bench.redis.as_ref().unwrap();
    let proxy = FaultProxy::start(server.port()).await.unwrap();
    let client = bench.client().await;
    let job = client.enqueue(hoard {}).await.unwrap();
    let worker = start(&bench, &server.url_through(proxy.port(), "celeriac").expose(), "ulimit -n 64");
    tokio::task::block_in_place(|| bench.wait_for_text("ledger", "hoards"));
    proxy.refuse();
    tokio::task::block_in_place(|| bench.wait_for_text("dangerous.log", "Too many open files"));
    // A loop that does nothing but try would use all of a core.
    let (before, began) = (processor_time(&worker), Instant::now());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let used = (processor_time(&worker) - before).as_secs_f64() / began.elapsed().as_secs_f64();
    println!("W21: a worker that cannot connect uses {:.1} % of a core", used * 100.0);
    assert!(used < 0.3, "{used} of a core");
    proxy.heal();
    std::fs::write(bench.path("go"), "").unwrap();
    let free = Instant::now();
    assert!(job.result().await.unwrap() > 10);
    tell("W21", "the job is settled, with descriptors back,", free);
    assert_eq!(success_of(&client, job.id()).await.losses, 0);
}

/// Of a process, by all its threads, in the kernel and outside it.
fn processor_time(process: &Process) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    // The second field is the name in brackets; from behind it the times are the 12th and 13th, in hundredths of a second.
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    Duration::from_millis(10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()))
}

/// Each job leaves a line of 2 KB in the log.
const LOUD: &str = "head -c 2000 /dev/zero | tr '\\0' x >&2; exit 1";

async fn loud_jobs_and_a_quiet_one(bench: &Bench, stderr: Stdio) -> Process {
    let loud = format!("[tasks.loud]\ncommand = [\"sh\", \"-c\", '''{LOUD}''']\nretries = 0\n");
    std::fs::write(bench.path("celeriac.toml"), format!("{loud}\n[tasks.note]\ncommand = [\"true\"]\n")).unwrap();
    let client = bench.client().await;
    let loud = client.enqueue_all((0..100).map(|_| signature("loud")).collect()).await.unwrap();
    let quiet = enqueue(&client, 1).await.remove(0);
    let mut command = bench.celeriac(&["worker", "-c", "4", "--lease", "2s"]);
    let worker = Process::of(command.stdout(Stdio::null()).stdin(Stdio::null()).stderr(stderr).spawn().unwrap());
    success_of(&client, &quiet).await;
    for (id, _) in &loud {
        let outcome = end_of(&client, id).await;
        assert_eq!((outcome.state, outcome.attempt), (JobState::Dead, 1));
    }
    worker
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_log_nobody_reads_goes_on_and_ends_when_told() {
    let bench = Bench::sqlite();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut worker = loud_jobs_and_a_quiet_one(&bench, writer.into()).await;
    worker.signal("TERM");
    assert!(worker.wait().success());
    // What the pipe held when it was full.
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    assert!(
        log.matches(": dead error=").count() < 100 && log.len() < 200_000,
        "the pipe had room for {} bytes",
        log.len()
    );
    assert!(log.starts_with("20") && log.contains("worker starts"), "{log}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_log_fills_its_disk_goes_on_and_ends_when_told() {
    let bench = Bench::redis();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut worker = loud_jobs_and_a_quiet_one(&bench, full.into()).await;
    worker.signal("TERM");
    assert!(worker.wait().success());
}
