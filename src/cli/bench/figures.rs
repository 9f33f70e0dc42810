//! The figures there are: what each is called, and which floor it is compared with.

use super::format::Unit;
use super::settings::Settings;

/// One figure. Its key names it in `--json`, and among the measured numbers; so does that of its floor.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) key: String,
    pub(super) group: &'static str,
    pub(super) label: String,
    pub(super) unit: Unit,
    /// Key and words of its floor.
    pub(super) floor: Option<(String, &'static str)>,
}

const IN: &str = "floor_in_rate";
const OUT: &str = "floor_out_rate";

/// The words for floors, which differ between stores.
struct Words {
    in_: &'static str,
    out: &'static str,
    through: &'static str,
    question: &'static str,
}

const REDIS: Words = Words {
    in_: "RPUSH, one element each, pipelined",
    out: "LPOP of 500",
    through: "RPUSH, then LPOP",
    question: "PING between the jobs",
};

const FILE: Words = Words {
    in_: "write and sync the bytes of 500 jobs",
    out: "write and sync the bytes of 500 jobs",
    through: "the same, twice",
    question: "write and sync the bytes of one job",
};

/// All figures that these settings can lead to, in the order in which they are shown.
pub(super) fn all(settings: &Settings, redis: bool) -> Vec<Figure> {
    let words = if redis { REDIS } else { FILE };
    let mut list = List(Vec::new());
    let drains = drains(settings);
    rates(&mut list, &words, &drains);
    latencies(&mut list, &words);
    costs(&mut list, &words, &drains);
    memory(&mut list);
    idle(&mut list);
    growth(&mut list, settings);
    list.0
}

/// Name in keys and label of each way to drain.
fn drains(settings: &Settings) -> Vec<(String, String)> {
    let plural = |count| if count == 1 { "" } else { "es" };
    let counted = settings.processes.iter();
    let mut drains: Vec<_> =
        counted.map(|count| (count.to_string(), format!("{count} process{}", plural(*count)))).collect();
    if settings.with_results {
        drains.push(("kept".to_owned(), "1 process, results kept".to_owned()));
    }
    drains
}

struct List(Vec<Figure>);

impl List {
    fn add(
        &mut self,
        group: &'static str,
        (key, label): (impl Into<String>, impl Into<String>),
        unit: Unit,
        floor: Option<(&str, &'static str)>,
    ) {
        let floor = floor.map(|(key, words)| (key.to_owned(), words));
        self.0.push(Figure { key: key.into(), group, label: label.into(), unit, floor });
    }
}

fn rates(list: &mut List, words: &Words, drains: &[(String, String)]) {
    let group = "RATES";
    let one_by_one = ("enqueue_one_by_one_rate", "enqueue one by one, 64 in flight");
    list.add(group, one_by_one, Unit::PerSecond, Some((IN, words.in_)));
    list.add(group, ("enqueue_bulk_rate", "enqueue in bulk"), Unit::PerSecond, Some((IN, words.in_)));
    for (name, label) in drains {
        let drain = (format!("drain_{name}_rate"), format!("drain, {label}"));
        list.add(group, drain, Unit::PerSecond, Some((OUT, words.out)));
    }
    let through = ("through_rate", "one producer and one worker at once");
    list.add(group, through, Unit::PerSecond, Some(("floor_through_rate", words.through)));
}

fn latencies(list: &mut List, words: &Words) {
    for (name, label) in [("start", "enqueue to start"), ("result", "enqueue to result")] {
        for (quantile, _) in super::phases::QUANTILES {
            let floor = format!("floor_{name}_{quantile}_us");
            let figure = (format!("{name}_{quantile}_us"), format!("{label}, {quantile}"));
            list.add("LATENCY ON AN IDLE WORKER", figure, Unit::Micros, Some((&floor, words.question)));
        }
    }
}

fn costs(list: &mut List, words: &Words, drains: &[(String, String)]) {
    let (in_, out) = ("floor_in_server_cpu_us", "floor_out_server_cpu_us");
    let task = Some(("floor_task_cpu_us", "an empty task, spawned"));
    let group = "SERVER PROCESSOR TIME PER JOB";
    for (name, label) in [("one_by_one", "enqueue one by one"), ("bulk", "enqueue in bulk")] {
        list.add(group, (format!("enqueue_{name}_server_cpu_us"), label), Unit::Micros, Some((in_, words.in_)));
    }
    for (name, label) in drains {
        let figure = (format!("drain_{name}_server_cpu_us"), format!("fetch and settle, {label}"));
        list.add(group, figure, Unit::Micros, Some((out, words.out)));
    }
    let group = "CLIENT PROCESSOR TIME PER JOB";
    for (name, label) in [("one_by_one", "enqueue one by one"), ("bulk", "enqueue in bulk")] {
        list.add(group, (format!("enqueue_{name}_producer_cpu_us"), label), Unit::Micros, task);
    }
    for (name, label) in drains {
        let figure = (format!("drain_{name}_worker_cpu_us"), format!("run, {label}"));
        list.add(group, figure, Unit::Micros, task);
    }
    let group = "COMMANDS PER JOB, AS CLIENTS SEND THEM";
    list.add(group, ("commands_one_by_one", "enqueue one by one, 64 in flight"), Unit::PerJob, None);
    list.add(group, ("commands_bulk", "enqueue in bulk"), Unit::PerJob, None);
    list.add(group, ("commands_run", "fetch and settle"), Unit::PerJob, None);
}

fn memory(list: &mut List) {
    let group = "MEMORY";
    let job = Some(("floor_job_bytes", "an element of a list"));
    list.add(group, ("job_bytes", "server, per queued job"), Unit::Bytes, job);
    let process = Some(("floor_resident_bytes", "a process with empty tasks"));
    list.add(group, ("worker_idle_resident_bytes", "worker process, idle"), Unit::Memory, process);
    list.add(group, ("worker_busy_resident_bytes", "worker process, draining, at most"), Unit::Memory, process);
}

fn idle(list: &mut List) {
    let group = "AN IDLE WORKER WITH 10 QUEUES";
    list.add(group, ("idle_commands_per_minute", "commands it sends"), Unit::PerMinute, None);
    let worker = ("idle_worker_cpu_ms_per_minute", "processor time of the worker");
    list.add(group, worker, Unit::MillisPerMinute, None);
    let server = ("idle_server_cpu_ms_per_minute", "processor time of the server");
    let floor = Some(("floor_idle_server_cpu_ms_per_minute", "a server without a worker"));
    list.add(group, server, Unit::MillisPerMinute, floor);
}

fn growth(list: &mut List, settings: &Settings) {
    let Some(backlog) = settings.backlog else { return };
    let group = "GROWTH: ENQUEUE, FETCH AND SETTLE IN BATCHES OF 50";
    let backlog = super::format::digits(super::measured::float(backlog));
    let server = ("backlog_server_cpu_us", format!("server processor time, {backlog} waiting"));
    list.add(group, server, Unit::Micros, Some(("floor_backlog_server_cpu_us", "10 waiting")));
    let rate = ("backlog_rate", format!("rate, {backlog} waiting"));
    list.add(group, rate, Unit::PerSecond, Some(("floor_backlog_rate", "10 waiting")));
}
