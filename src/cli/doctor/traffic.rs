//! Judges what is in the queues: who serves them, what nobody runs, what is dead, parked or paused.

use std::collections::BTreeMap;
use std::time::Duration;

use celeriac_broker::{Finding, QueueView, WorkerView};
use celeriac_core::{QueueName, TaskName, Timestamp};

use crate::cli::output::age;

/// Jobs that nobody serves may wait this long for a worker that starts later, as after a reboot or for a burst.
const PATIENCE: Duration = Duration::from_secs(60);

/// Workers that leave a job waiting for so long are too few, or do not fetch.
const LONG: Duration = Duration::from_secs(600);

/// What a store is doing.
pub(super) struct Traffic {
    pub(super) queues: Vec<QueueView>,
    pub(super) workers: Vec<WorkerView>,
    /// Some of the ready jobs: where they are, and which task they need.
    pub(super) ready: Vec<(QueueName, TaskName)>,
    pub(super) now: Timestamp,
}

/// All findings; a kind that gives no reason to speak has one line that says so.
pub(super) fn findings(traffic: &Traffic) -> Vec<Finding> {
    let mut findings = vec![workers(traffic)];
    let before = findings.len();
    for view in &traffic.queues {
        findings.extend(queue(traffic, view));
    }
    if findings.len() == before {
        let ready: u64 = traffic.queues.iter().map(|view| view.ready).sum();
        findings.push(Finding::good("queues", format!("{}, {ready} ready", several(traffic.queues.len(), "queue"))));
    }
    let total = |count: fn(&QueueView) -> u64| traffic.queues.iter().map(count).sum();
    findings.push(dead(total(|view| view.dead)));
    findings.push(parked(total(|view| view.parked)));
    findings
}

fn several(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn workers(traffic: &Traffic) -> Finding {
    let running: u64 = traffic.workers.iter().map(|worker| worker.running).sum();
    if traffic.workers.is_empty() {
        return Finding::doubtful("workers", "none is registered: nothing runs").advise("celeriac worker");
    }
    Finding::good("workers", format!("{}, {running} jobs running", several(traffic.workers.len(), "worker")))
}

/// What keeps the jobs of one queue from running.
fn queue(traffic: &Traffic, view: &QueueView) -> Vec<Finding> {
    let name = &view.name;
    if view.paused {
        let detail = format!("{name} is paused; {} ready jobs wait", view.ready);
        return vec![Finding::doubtful("queue", detail).advise(format!("celeriac queue resume {name}"))];
    }
    if view.ready == 0 {
        return Vec::new();
    }
    let waits = view.oldest.map(|oldest| traffic.now.since(oldest)).unwrap_or_default();
    let serving: Vec<_> = traffic.workers.iter().filter(|worker| worker.queues.contains(name)).collect();
    if serving.is_empty() {
        let detail = format!("{name} has {} ready jobs, for {}, and no live worker serves it", view.ready, age(waits));
        let finding =
            if waits >= PATIENCE { Finding::bad("queue", detail) } else { Finding::doubtful("queue", detail) };
        return vec![finding.advise(format!("celeriac worker -q {name}"))];
    }
    let mut findings = unknown_tasks(traffic, name, &serving);
    if waits >= LONG && findings.is_empty() {
        let detail = format!(
            "{name}: the oldest of {} ready jobs waits for {} although {} it",
            view.ready,
            age(waits),
            if serving.len() == 1 { "a worker serves".to_owned() } else { format!("{} workers serve", serving.len()) }
        );
        findings.push(Finding::doubtful("queue", detail).advise("start more workers, or look whether these fetch"));
    }
    findings
}

fn unknown_tasks(traffic: &Traffic, name: &QueueName, serving: &[&WorkerView]) -> Vec<Finding> {
    let mut tasks: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, task) in traffic.ready.iter().filter(|(queue, _)| queue == name) {
        if !serving.iter().any(|worker| worker.tasks.contains(task)) {
            *tasks.entry(task.as_str()).or_default() += 1;
        }
    }
    let unknown = |(task, jobs): (&str, usize)| {
        let detail = format!("{name}: no live worker that serves it knows task {task}, which {jobs} jobs need");
        Finding::doubtful("queue", detail).advise("start a worker that knows the task; its jobs are kept until then")
    };
    tasks.into_iter().map(unknown).collect()
}

fn dead(count: u64) -> Finding {
    match count {
        0 => Finding::good("dead", "no dead jobs"),
        count => Finding::doubtful("dead", format!("dead jobs that are kept: {count}"))
            .advise("celeriac dead list; celeriac dead retry ID… when the reason is mended"),
    }
}

fn parked(count: u64) -> Finding {
    match count {
        0 => Finding::good("parked", "no parked jobs"),
        count => {
            Finding::doubtful("parked", format!("parked jobs, of which no worker knew task or arguments: {count}"))
                .advise("celeriac job list --state parked; a worker that knows them releases them when it starts")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_broker::Grade;
    use celeriac_core::Incarnation;

    fn view(name: &str, ready: u64, oldest_secs: u64) -> QueueView {
        let mut view = QueueView::empty(name.parse().unwrap());
        view.ready = ready;
        view.oldest = (ready > 0).then(|| Timestamp::from_millis(1_000_000_000 - oldest_secs * 1_000));
        view
    }

    fn worker(queues: &[&str], tasks: &[&str]) -> WorkerView {
        let mut view = WorkerView::new(Incarnation::from_stored("w~1"), "host".to_owned(), 1);
        view.queues = queues.iter().map(|name| name.parse().unwrap()).collect();
        view.tasks = tasks.iter().map(|name| name.parse().unwrap()).collect();
        view
    }

    fn traffic(queues: Vec<QueueView>, workers: Vec<WorkerView>, task: &str) -> Traffic {
        let ready = queues.iter().map(|view| (view.name.clone(), task.parse().unwrap())).collect();
        Traffic { queues, workers, ready, now: Timestamp::from_millis(1_000_000_000) }
    }

    fn grades(traffic: &Traffic, check: &str) -> Vec<Grade> {
        findings(traffic).into_iter().filter(|finding| finding.check == check).map(|finding| finding.grade).collect()
    }

    #[test]
    fn work_that_nobody_serves_is_doubtful_and_after_a_minute_bad() {
        let fresh = traffic(vec![view("a", 1, 59)], vec![worker(&["b"], &["t"])], "t");
        assert_eq!(grades(&fresh, "queue"), [Grade::Doubtful]);
        let old = traffic(vec![view("a", 1, 60)], vec![worker(&["b"], &["t"])], "t");
        assert_eq!(grades(&old, "queue"), [Grade::Bad]);
    }

    #[test]
    fn a_task_that_no_worker_of_its_queue_knows_is_named() {
        let workers = vec![worker(&["a"], &["other"]), worker(&["b"], &["t"])];
        let found = findings(&traffic(vec![view("a", 1, 0)], workers, "t"));
        let found = found.iter().find(|finding| finding.check == "queue").unwrap();
        assert!(found.detail.contains("knows task t"), "{}", found.detail);
    }

    #[test]
    fn served_queues_are_summed_up_unless_a_job_waits_long() {
        let workers = || vec![worker(&["a"], &["t"])];
        let served = traffic(vec![view("a", 3, 599)], workers(), "t");
        assert_eq!((grades(&served, "queue").len(), grades(&served, "queues")), (0, vec![Grade::Good]));
        assert_eq!(grades(&traffic(vec![view("a", 3, 600)], workers(), "t"), "queue"), [Grade::Doubtful]);
    }

    #[test]
    fn paused_dead_and_parked_are_remarked() {
        let mut paused = view("a", 0, 0);
        (paused.paused, paused.dead, paused.parked) = (true, 2, 3);
        let found = traffic(vec![paused], Vec::new(), "t");
        for check in ["queue", "dead", "parked", "workers"] {
            assert_eq!(grades(&found, check), [Grade::Doubtful], "{check}");
        }
    }
}
