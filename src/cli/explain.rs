//! `job explain`: why a job has not run, from what the store knows of it, its queue and the workers.

use celeriac_broker::{JobView, QueueView, WorkerView};
use celeriac_core::{State, Timestamp};
use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::{age, print, print_json, printable, when};
use crate::cli::store::Store;

/// One reason, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Reason {
    /// A word for scripts.
    reason: &'static str,
    /// A sentence for people.
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<String>,
}

/// What is looked at.
struct Facts<'f> {
    view: &'f JobView,
    queue: &'f QueueView,
    workers: &'f [WorkerView],
    now: Timestamp,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a str,
    state: State,
    reasons: &'a [Reason],
}

pub(crate) async fn run(store: &Store, view: JobView, json: bool) -> Result<(), Failure> {
    let queues = store.ask(store.broker.queues()).await?;
    let workers = store.ask(store.broker.workers()).await?;
    let now = store.ask(store.broker.now()).await?;
    let known = queues.into_iter().find(|queue| queue.name == view.queue);
    let queue = known.unwrap_or_else(|| QueueView::empty(view.queue.clone()));
    let reasons = explain(&Facts { view: &view, queue: &queue, workers: &workers, now });
    if json {
        return print_json(&Answer { id: view.id.as_str(), state: view.state, reasons: &reasons });
    }
    let mut text = format!("job {} ({}) on queue {} of {store} is {}\n", view.id, view.task, view.queue, view.state);
    for Reason { text: sentence, todo, .. } in &reasons {
        text.push_str(&format!("  {}\n", printable(sentence)));
        if let Some(todo) = todo {
            text.push_str(&format!("    -> {todo}\n"));
        }
    }
    print(&text)
}

/// The reasons, the one that must be mended first at the front.
fn explain(facts: &Facts<'_>) -> Vec<Reason> {
    match facts.view.state {
        State::Queued => ready(facts),
        State::Scheduled | State::Retry => later(facts),
        State::Running => vec![running(facts)],
        State::Parked => parked(facts),
        _ => vec![ended(facts)],
    }
}

fn reason(reason: &'static str, text: impl Into<String>) -> Reason {
    Reason { reason, text: text.into(), todo: None }
}

impl Reason {
    fn todo(mut self, todo: impl Into<String>) -> Self {
        self.todo = Some(todo.into());
        self
    }
}

fn ready(facts: &Facts<'_>) -> Vec<Reason> {
    let Facts { view, queue, now, .. } = facts;
    let mut reasons = Vec::new();
    if let Some(over) = view.expires_at.into_iter().chain(view.deadline).min().filter(|over| over <= now) {
        let what = if view.expires_at == Some(over) { "it expired" } else { "its deadline passed" };
        let text = format!("{what} at {}; the worker that comes upon it ends it as expired", when(over, *now));
        // Nothing can help it any more.
        return vec![reason("expired", text)];
    }
    if queue.paused {
        let todo = format!("celeriac queue resume {}", queue.name);
        reasons.push(reason("queue_paused", format!("queue {} is paused", queue.name)).todo(todo));
    }
    let no_worker = without_worker(facts);
    let served = no_worker.is_none();
    reasons.extend(no_worker);
    if view.suspect {
        let text = "a worker vanished while it ran, so it runs alone now, on a worker that has nothing else to do";
        reasons.push(reason("suspect", text));
    }
    if served && !queue.paused && queue.ready > 1 {
        let oldest =
            queue.oldest.map(|since| format!(", the oldest for {}", age(now.since(since)))).unwrap_or_default();
        let text = format!("it waits its turn: {} jobs are ready in its queue{oldest}", queue.ready);
        reasons.push(reason("waits_its_turn", text).todo("more workers, or a higher --concurrency"));
    }
    if reasons.is_empty() {
        reasons.push(reason("ready", "nothing keeps it: a worker should take it any moment"));
    }
    reasons
}

/// Why no live worker can run it, if none can.
fn without_worker(facts: &Facts<'_>) -> Option<Reason> {
    let Facts { view, workers, .. } = facts;
    let start = format!("start a worker that knows it: celeriac worker -q {}", view.queue);
    if workers.is_empty() {
        return Some(reason("no_worker", "no worker is registered").todo(start));
    }
    let mut knowing = workers.iter().filter(|worker| worker.tasks.contains(&view.task)).peekable();
    if knowing.peek().is_none() {
        let text = format!("none of {} registered workers knows task {}", workers.len(), view.task);
        return Some(reason("task_unknown", text).todo(start));
    }
    if !knowing.any(|worker| worker.queues.contains(&view.queue)) {
        let text = format!("no worker that knows task {} serves queue {}", view.task, view.queue);
        return Some(reason("queue_not_served", text).todo(start));
    }
    None
}

fn later(facts: &Facts<'_>) -> Vec<Reason> {
    let Facts { view, now, .. } = facts;
    let mut reasons = Vec::new();
    match view.due_at {
        Some(due) if due > *now => {
            let why = match (view.state, &view.error) {
                (State::Retry, Some(error)) => format!("attempt {} failed ({error}); it is", view.attempt),
                (State::Retry, None) => "its handler put it off; it is".to_owned(),
                _ => "it is".to_owned(),
            };
            reasons.push(reason("not_due", format!("{why} due at {}", when(due, *now))));
        }
        Some(_) => {
            let text = "it is due; a worker of any queue makes it ready";
            reasons.push(reason("due", text));
        }
        None => {}
    }
    if let (Some(over), Some(due)) = (view.expires_at, view.due_at)
        && over <= due
    {
        reasons.push(reason("expires_before", "it expires before it is due, and then never runs"));
    }
    if facts.queue.paused {
        let todo = format!("celeriac queue resume {}", facts.queue.name);
        reasons.push(reason("queue_paused", "and its queue is paused").todo(todo));
    }
    reasons.extend(without_worker(facts));
    reasons
}

fn running(facts: &Facts<'_>) -> Reason {
    let Facts { view, workers, now, .. } = facts;
    let worker = view.worker.as_deref().unwrap_or("a worker");
    let text = format!("attempt {} runs on {worker}, ready since {}", view.attempt, when(view.since, *now));
    if workers.iter().any(|live| live.incarnation.worker_name() == worker) {
        return reason("running", text);
    }
    reason("worker_lost", format!("{text}; that worker is not registered any more: its jobs move when its lease ends"))
}

fn parked(facts: &Facts<'_>) -> Vec<Reason> {
    let error = facts.view.error.as_deref().unwrap_or("no worker could run it");
    let text = format!("it was put aside at no cost of an attempt: {error}");
    let parked = reason("parked", text).todo(format!("start a worker that can run task {}", facts.view.task));
    vec![parked]
}

fn ended(facts: &Facts<'_>) -> Reason {
    let Facts { view, now, .. } = facts;
    let at = when(view.since, *now);
    let error = view.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    let text = format!("it ended at {at} after {} attempts{error}", view.attempt);
    match view.state {
        State::Dead => reason("dead", text).todo(format!("celeriac job retry {}", view.id)),
        _ => reason("ended", text),
    }
}

#[cfg(test)]
mod tests {
    use celeriac_core::{Incarnation, Record};

    use super::*;

    const NOW: Timestamp = Timestamp::MAX;

    fn job() -> JobView {
        let (id, task, queue) = ("j".parse().unwrap(), "t".parse().unwrap(), "q".parse().unwrap());
        JobView::waiting(Record::new(id, task, queue, Vec::new()), None)
    }

    fn worker(task: &str, queue: &str) -> WorkerView {
        let mut worker = WorkerView::new(Incarnation::generate("w").unwrap(), "h".into(), 1);
        (worker.tasks, worker.queues) = (vec![task.parse().unwrap()], vec![queue.parse().unwrap()]);
        worker
    }

    fn words(view: &JobView, queue: &QueueView, workers: &[WorkerView]) -> Vec<&'static str> {
        explain(&Facts { view, queue, workers, now: NOW }).iter().map(|reason| reason.reason).collect()
    }

    #[test]
    fn each_obstacle_has_its_reason() {
        let empty = || QueueView::empty("q".parse().unwrap());
        assert_eq!(words(&job(), &empty(), &[]), ["no_worker"]);
        assert_eq!(words(&job(), &empty(), &[worker("other", "q")]), ["task_unknown"]);
        assert_eq!(words(&job(), &empty(), &[worker("t", "other"), worker("u", "q")]), ["queue_not_served"]);
        assert_eq!(words(&job(), &empty(), &[worker("t", "q")]), ["ready"]);
        let mut paused = empty();
        (paused.paused, paused.ready) = (true, 9);
        assert_eq!(words(&job(), &paused, &[worker("t", "q")]), ["queue_paused"]);
        let mut full = empty();
        full.ready = 9;
        assert_eq!(words(&job(), &full, &[worker("t", "q")]), ["waits_its_turn"]);
    }

    #[test]
    fn a_job_that_is_too_late_or_not_due_says_so() {
        let queue = QueueView::empty("q".parse().unwrap());
        let workers = [worker("t", "q")];
        let mut late = job();
        late.deadline = Some(Timestamp::from_millis(5));
        assert_eq!(words(&late, &queue, &workers), ["expired"]);
        let mut waiting = job();
        (waiting.state, waiting.due_at) = (State::Retry, Some(Timestamp::from_millis(5)));
        assert_eq!(words(&waiting, &queue, &workers), ["due"]);
        let facts = Facts { view: &waiting, queue: &queue, workers: &workers, now: Timestamp::default() };
        assert_eq!(explain(&facts)[0].reason, "not_due");
    }
}
