//! The figures of a worker and of its store, in the text format of Prometheus.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use celeriac_broker::{BrokerError, QueueView};
use celeriac_core::{State, Timestamp};

use crate::meters::{BOUNDS, Meter};
use crate::post::Post;
use crate::worker::WorkerHandle;

/// How long the store may take to count; then the figures of the worker alone are answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// The name that stands for all tasks that the worker does not know.
const UNKNOWN: &str = "(unknown)";

impl WorkerHandle {
    /// The figures of this worker and of the queues of its store, in the text format of Prometheus.
    ///
    /// Every worker answers the same figures of the queues, so take their maximum and not their sum. If the store does not
    /// answer they are left out and `celeriac_store_up` is 0.
    pub async fn metrics_text(&self) -> String {
        let asked = tokio::time::timeout(PATIENCE, queues(&self.post)).await;
        let mut page = Page::default();
        match asked {
            Ok(Ok((queues, now))) => {
                page.family("celeriac_store_up", "gauge", "Whether the store answered.");
                page.line("celeriac_store_up", &[], 1);
                of_queues(&mut page, &queues, now);
            }
            _ => {
                page.family("celeriac_store_up", "gauge", "Whether the store answered.");
                page.line("celeriac_store_up", &[], 0);
            }
        }
        of_tasks(&mut page, &self.post);
        of_worker(&mut page, &self.post);
        page.text
    }
}

async fn queues(post: &Post) -> Result<(Vec<QueueView>, Timestamp), BrokerError> {
    Ok((post.broker.queues().await?, post.broker.now().await?))
}

fn of_queues(page: &mut Page, queues: &[QueueView], now: Timestamp) {
    page.family("celeriac_jobs", "gauge", "Jobs in the store.");
    for view in queues {
        let counts = [
            ("ready", view.ready),
            ("scheduled", view.scheduled),
            ("running", view.running),
            ("dead", view.dead),
            ("parked", view.parked),
        ];
        for (state, count) in counts {
            page.line("celeriac_jobs", &[("queue", view.name.as_str()), ("state", state)], count);
        }
    }
    page.family("celeriac_queue_oldest_seconds", "gauge", "How long the oldest ready job has been ready.");
    for view in queues {
        let age = view.oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
        page.line("celeriac_queue_oldest_seconds", &[("queue", view.name.as_str())], age);
    }
    page.family("celeriac_queue_paused", "gauge", "Whether the queue hands out nothing.");
    for view in queues {
        page.line("celeriac_queue_paused", &[("queue", view.name.as_str())], u8::from(view.paused));
    }
}

fn of_tasks(page: &mut Page, post: &Post) {
    let meters = post.meters.all();
    let named = || meters.iter().map(|(task, meter)| (task.map_or(UNKNOWN, |task| task.as_str()), *meter));
    page.family("celeriac_finished_total", "counter", "Attempts of this worker that ended, by how.");
    for (task, meter) in named() {
        for (state, count) in meter.by_state() {
            if let Some(outcome) =
                outcome(state).filter(|_| count > 0 || (state == State::Succeeded && task != UNKNOWN))
            {
                page.line("celeriac_finished_total", &[("task", task), ("outcome", outcome)], count);
            }
        }
    }
    page.family("celeriac_run_seconds", "histogram", "How long the runs of this worker took.");
    for (task, meter) in named() {
        run_seconds(page, task, meter);
    }
}

/// What an attempt came to, by the state its job is in then; `None` for states that no attempt ends in.
fn outcome(state: State) -> Option<&'static str> {
    Some(match state {
        State::Succeeded => "succeeded",
        State::Retry => "retried",
        State::Dead => "dead",
        State::Queued => "handed_back",
        State::Parked => "parked",
        State::Revoked => "revoked",
        State::Expired => "expired",
        _ => return None,
    })
}

fn run_seconds(page: &mut Page, task: &str, meter: &Meter) {
    let classes = meter.by_class();
    let total: u64 = classes.iter().sum();
    if total == 0 {
        return;
    }
    let mut sum = 0;
    for (bound, count) in BOUNDS.iter().zip(classes) {
        sum += count;
        let bound = bound.as_secs_f64().to_string();
        page.line("celeriac_run_seconds_bucket", &[("task", task), ("le", &bound)], sum);
    }
    page.line("celeriac_run_seconds_bucket", &[("task", task), ("le", "+Inf")], total);
    page.line("celeriac_run_seconds_sum", &[("task", task)], meter.total().as_secs_f64());
    page.line("celeriac_run_seconds_count", &[("task", task)], total);
}

fn of_worker(page: &mut Page, post: &Post) {
    let slots = post.settings.concurrency;
    page.family("celeriac_worker_slots", "gauge", "How many jobs this worker runs at once.");
    page.line("celeriac_worker_slots", &[], slots);
    page.family("celeriac_worker_running", "gauge", "How many it runs now.");
    page.line("celeriac_worker_running", &[], post.backlog.unfinished().min(slots));
    page.family(
        "celeriac_worker_leases_lost_total",
        "counter",
        "Attempts whose end was refused: another worker has the job.",
    );
    page.line("celeriac_worker_leases_lost_total", &[], post.counters.summary().leases_lost);
}

/// The text so far. Names of tasks and queues hold nothing that would have to be escaped.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{label}=\"{text}\"", if place == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_labels_in_braces() {
        let mut page = Page::default();
        page.line("a", &[], 1);
        page.line("b", &[("x", "1"), ("y", "2")], 0.5);
        assert_eq!(page.text, "a 1\nb{x=\"1\",y=\"2\"} 0.5\n");
    }

    #[test]
    fn queues_are_counted_in_each_state_and_aged() {
        let mut view = QueueView::empty("q".parse().unwrap());
        (view.ready, view.oldest) = (3, Some(Timestamp::from_millis(1_000)));
        let mut page = Page::default();
        of_queues(&mut page, &[view], Timestamp::from_millis(3_500));
        for expected in
            ["celeriac_jobs{queue=\"q\",state=\"ready\"} 3\n", "celeriac_queue_oldest_seconds{queue=\"q\"} 2.5\n"]
        {
            assert!(page.text.contains(expected), "{expected} in {}", page.text);
        }
    }
}
