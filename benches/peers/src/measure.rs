//! One run of one system: the phases, each in child processes, and what comes out of them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::child::{Child, Workers};
use crate::figures::{Run, quantile};
use crate::server::{Server, Usage};
use crate::spec::{Produced, Role, Spec, Worked};
use crate::systems::{System, Tuning};

/// Jobs for the measurement of latency: five seconds' worth.
const FED: u64 = 1000;

/// The first jobs of a feed warm up connections and script caches.
const WARM_UP: usize = 50;

/// How many lost or doubled jobs are named.
const NAMED: usize = 20;

/// How large the workload is.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) jobs: u64,
    pub(crate) payload: usize,
    pub(crate) processes: usize,
}

/// A fresh store of one system.
struct Store {
    system: System,
    server: Option<Server>,
    directory: tempfile::TempDir,
    workload: Workload,
    tuning: Tuning,
}

/// Measures everything for `system` once.
///
/// # Errors
/// If celeriac lost a job or ran one twice. Whatever fails in a peer is noted as missing.
pub(crate) fn measure(system: System, tuning: Tuning, workload: &Workload) -> Result<Run> {
    let mut run = Run::default();
    let store = || Store::open(system, tuning, workload);
    let single = ["enqueue_64", "producer_cpu", "bytes_queued", "drain_1", "worker_cpu_1", "server_cpu_1"];
    run.phase(if system.uses_redis() { &single } else { &single[..5] }, |run| one_by_one(&store()?, run));
    let many = ["enqueue_bulk", "producer_cpu_bulk", "drain_many", "worker_cpu_many", "server_cpu_many"];
    run.phase(if system.uses_redis() { &many } else { &many[..4] }, |run| in_bulk(&store()?, run));
    if system.uses_redis() {
        run.phase(&["latency_p50", "latency_p99", "ping_p50", "ping_p99"], |run| latency(&store()?, run));
    } else {
        run.phase(&["enqueue_64_processes"], |run| enqueue_in_processes(&store()?, run));
    }
    if system.is_celeriac() {
        ensure!(run.missing.is_empty(), "celeriac failed: {:?}", run.missing);
    }
    Ok(run)
}

/// One producer, 64 calls in flight; then one worker.
fn one_by_one(store: &Store, run: &mut Run) -> Result<()> {
    let jobs = float(store.workload.jobs);
    let before = store.usage()?;
    let produced = store.produce(Role::Enqueue)?;
    run.set("enqueue_64", jobs / seconds(produced.ended - produced.began));
    run.set("producer_cpu", microseconds(produced.cpu) / jobs);
    run.notes.extend(produced.note);
    run.set("bytes_queued", (store.usage()?.memory - before.memory) / jobs);
    let workers = store.drain(1, run)?;
    run.set("drain_1", rate(&workers, jobs)?);
    run.set("worker_cpu_1", cpu(&workers) / jobs);
    if store.server.is_some() {
        run.set("server_cpu_1", (store.usage()?.cpu - before.cpu) * 1e6 / jobs);
    }
    Ok(())
}

/// One producer with large calls; then several workers.
fn in_bulk(store: &Store, run: &mut Run) -> Result<()> {
    let jobs = float(store.workload.jobs);
    let before = store.usage()?;
    let produced = store.produce(Role::Bulk)?;
    run.set("enqueue_bulk", jobs / seconds(produced.ended - produced.began));
    run.set("producer_cpu_bulk", microseconds(produced.cpu) / jobs);
    let workers = store.drain(store.workload.processes, run)?;
    run.set("drain_many", rate(&workers, jobs)?);
    run.set("worker_cpu_many", cpu(&workers) / jobs);
    if store.server.is_some() {
        run.set("server_cpu_many", (store.usage()?.cpu - before.cpu) * 1e6 / jobs);
    }
    Ok(())
}

/// Several producers on one file, each with its share of the jobs.
fn enqueue_in_processes(store: &Store, run: &mut Run) -> Result<()> {
    let processes = u64::try_from(store.workload.processes)?;
    let share = store.workload.jobs / processes;
    let start = |process| Child::start(&Spec { first: process * share, jobs: share, ..store.spec(Role::Enqueue) });
    let children = (0..processes).map(start).collect::<Result<Vec<_>>>()?;
    let produced = children.into_iter().map(Child::produced).collect::<Result<Vec<_>>>()?;
    let began = produced.iter().map(|produced| produced.began).min().context("no process")?;
    let ended = produced.iter().map(|produced| produced.ended).max().context("no process")?;
    run.set("enqueue_64_processes", float(share * processes) / seconds(ended - began));
    Ok(())
}

/// A worker that waits, and a producer that sends it a job now and then.
fn latency(store: &Store, run: &mut Run) -> Result<()> {
    let spec = |role| Spec { jobs: FED, ..store.spec(role) };
    let workers = Workers::start(&spec(Role::Work), 1)?;
    std::thread::sleep(Duration::from_millis(500));
    let produced = Child::start(&spec(Role::Feed))?.produced()?;
    let worked = workers.finish(FED)?.pop().context("no worker")?;
    let pairs = produced.sent.iter().zip(&worked.starts).skip(WARM_UP);
    let waits = pairs.map(|(sent, start)| start.checked_sub(*sent).map(microseconds));
    let waits = waits.collect::<Option<Vec<_>>>().context("a job did not run, or ran before it was sent")?;
    let pings = produced.pings.iter().skip(WARM_UP).map(|ping| microseconds(*ping)).collect();
    for (mut values, keys) in [(waits, ["latency_p50", "latency_p99"]), (pings, ["ping_p50", "ping_p99"])] {
        values.sort_by(f64::total_cmp);
        for (key, share) in keys.into_iter().zip([0.5, 0.99]) {
            run.set(key, quantile(&values, share).context("nothing was fed")?);
        }
    }
    Ok(())
}

impl Store {
    fn open(system: System, tuning: Tuning, workload: &Workload) -> Result<Self> {
        let server = system.uses_redis().then(Server::start).transpose()?;
        let directory = tempfile::tempdir()?;
        let store = Self { system, server, directory, workload: workload.clone(), tuning };
        store.produce(Role::Prepare)?;
        Ok(store)
    }

    fn spec(&self, role: Role) -> Spec {
        let file = || self.directory.path().join("queue.db").display().to_string();
        Spec {
            system: self.system,
            role,
            store: self.server.as_ref().map_or_else(file, Server::url),
            first: 0,
            jobs: self.workload.jobs,
            payload: self.workload.payload,
            tuning: self.tuning,
        }
    }

    fn produce(&self, role: Role) -> Result<Produced> {
        Child::start(&self.spec(role))?.produced()
    }

    /// Lets workers run all jobs, and looks whether each ran once.
    fn drain(&self, processes: usize, run: &mut Run) -> Result<Vec<Worked>> {
        let jobs = self.workload.jobs;
        let workers = Workers::start(&self.spec(Role::Work), processes)?.finish(jobs)?;
        let times = |n: usize| workers.iter().filter_map(|worked| worked.runs.get(n)).sum::<u32>();
        let all = 0..usize::try_from(jobs)?;
        let lost: Vec<_> = all.clone().filter(|n| times(*n) == 0).collect();
        let doubled: Vec<_> = all.filter(|n| times(*n) > 1).collect();
        run.add("lost", float(u64::try_from(lost.len())?));
        run.add("doubled", float(u64::try_from(doubled.len())?));
        if self.system.is_celeriac() {
            let named = |jobs: &[usize]| jobs.iter().take(NAMED).map(usize::to_string).collect::<Vec<_>>().join(", ");
            ensure!(lost.is_empty(), "{} jobs never ran, among them {}", lost.len(), named(&lost));
            ensure!(doubled.is_empty(), "{} jobs ran more than once, among them {}", doubled.len(), named(&doubled));
        }
        Ok(workers)
    }

    /// What the server has used, or the size of the files.
    fn usage(&self) -> Result<Usage> {
        match &self.server {
            Some(server) => server.usage(),
            None => Ok(Usage { cpu: 0.0, memory: float(size(self.directory.path())?) }),
        }
    }
}

fn size(directory: &Path) -> Result<u64> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

/// Jobs per second between the first and the last start of a job, over all workers.
fn rate(workers: &[Worked], jobs: f64) -> Result<f64> {
    let spans = || workers.iter().filter_map(|worked| worked.span);
    let first = spans().map(|(first, _)| first).min().context("no job ran")?;
    let last = spans().map(|(_, last)| last).max().context("no job ran")?;
    Ok(jobs / seconds(last - first))
}

/// Microseconds of processor time of all workers.
fn cpu(workers: &[Worked]) -> f64 {
    workers.iter().map(|worked| microseconds(worked.cpu)).sum()
}

fn seconds(nanoseconds: u64) -> f64 {
    float(nanoseconds) / 1e9
}

fn microseconds(nanoseconds: u64) -> f64 {
    float(nanoseconds) / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}
