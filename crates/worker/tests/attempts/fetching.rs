//! When a worker fetches, how much, and from which queue first.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use celeriac_core::{QueueName, State as JobState};
use celeriac_worker::{Context, QueueOrder, Tasks, Worker};

use crate::support::{Answer, AtWork, Probe, end, enqueue, probes, store, until};

fn counting(runs: &Arc<AtomicU64>) -> Tasks {
    let runs = Arc::clone(runs);
    Tasks::new().handle(move |_: Probe| {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        async move { Answer::Ok(run) }
    })
}

#[tokio::test]
async fn a_worker_ends_after_as_many_jobs_as_it_may_run() {
    let (store, runs) = (store().await, Arc::new(AtomicU64::new(0)));
    enqueue(&store, probes(100)).await;
    for round in 1..=3 {
        let worker = AtWork::start(&store, counting(&runs), |worker| worker.max_tasks(30).concurrency(8));
        let summary = worker.ended().await;
        assert_eq!((summary.succeeded, summary.handed_back), (30, 0), "it fetches no more than it may run");
        assert_eq!(runs.load(Ordering::SeqCst), 30 * round);
    }
}

#[tokio::test]
async fn the_last_job_of_a_worker_that_ends_may_be_a_long_one() {
    let store = store().await;
    enqueue(&store, probes(3)).await;
    let slow = |_: Probe| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Answer::Ok(1)
    };
    let tasks = Tasks::new().handle(slow);
    let summary = AtWork::start(&store, tasks, |worker| worker.max_tasks(2).concurrency(1)).ended().await;
    assert_eq!((summary.succeeded, summary.handed_back), (2, 0));
}

#[tokio::test]
async fn a_quiet_worker_finishes_what_runs_and_leaves_the_rest_to_others() {
    let (store, running, go) = (store().await, Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Notify::new()));
    let first = enqueue(&store, probes(1)).await;
    let (noted, gate) = (Arc::clone(&running), Arc::clone(&go));
    let waiting = move |_: Probe| {
        noted.fetch_add(1, Ordering::SeqCst);
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            Answer::Ok(1)
        }
    };
    let quiet = AtWork::start(&store, Tasks::new().handle(waiting), |worker| worker);
    until(|| running.load(Ordering::SeqCst) == 1).await;
    quiet.handle.quiet();
    // The wait under way is ended; what comes from now on is for others.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let second = enqueue(&store, probes(1)).await;
    let runs = Arc::new(AtomicU64::new(0));
    let other = AtWork::start(&store, counting(&runs), |worker| worker);
    assert_eq!(end(&store, &second[0]).await.state, JobState::Succeeded);
    assert_eq!((runs.load(Ordering::SeqCst), running.load(Ordering::SeqCst)), (1, 1));
    go.notify_one();
    assert_eq!(end(&store, &first[0]).await.state, JobState::Succeeded, "the quiet worker settles what it ran");
    other.stop().await;
    assert_eq!(quiet.stop().await.succeeded, 1);
}

#[tokio::test]
async fn an_idle_worker_that_grows_quiet_uses_no_wake_up_up() {
    let (store, runs, other_runs) = (store().await, Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let other = AtWork::start(&store, counting(&other_runs), |worker| worker);
    let quiet = AtWork::start(&store, counting(&runs), |worker| worker);
    let first = enqueue(&store, probes(1)).await;
    end(&store, &first[0]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = runs.load(Ordering::SeqCst);
    quiet.handle.quiet();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for id in enqueue(&store, probes(20)).await {
        assert_eq!(end(&store, &id).await.state, JobState::Succeeded);
    }
    assert_eq!(runs.load(Ordering::SeqCst), before);
    quiet.stop().await;
    other.stop().await;
}

/// The queues of the jobs in the order they ran, one at a time, three jobs in each queue.
async fn order(set: impl FnOnce(celeriac_worker::WorkerBuilder) -> celeriac_worker::WorkerBuilder) -> String {
    let store = store().await;
    let mut records = probes(8);
    for (index, record) in records.iter_mut().enumerate() {
        record.queue = QueueName::new(if index < 4 { "a" } else { "b" }).unwrap();
    }
    enqueue(&store, records).await;
    let log = Arc::new(Mutex::new(String::new()));
    let noted = Arc::clone(&log);
    let noting = move |_: Probe, context: Context| {
        noted.lock().unwrap().push_str(context.queue().as_str());
        async { Answer::Ok(1) }
    };
    let set = |worker: celeriac_worker::WorkerBuilder| set(worker.queues(["b", "a"]).concurrency(1).burst(true));
    AtWork::start(&store, Tasks::new().handle(noting), set).ended().await;
    std::mem::take(&mut *log.lock().unwrap())
}

#[tokio::test]
async fn the_strict_order_empties_the_first_queue_first() {
    assert_eq!(order(|worker| worker.queue_order(QueueOrder::Strict)).await, "bbbbaaaa");
}

#[tokio::test]
async fn weights_and_numbers_that_do_nothing_are_refused() {
    let store = store().await;
    let build = |set: fn(celeriac_worker::WorkerBuilder) -> celeriac_worker::WorkerBuilder| {
        let runs = Arc::new(AtomicU64::new(0));
        set(Worker::builder(Arc::clone(&store), counting(&runs)).queues(["a", "b"]))
            .build()
            .err()
            .map(|e| e.to_string())
    };
    assert_eq!(build(|worker| worker.weight("a", 3)), None);
    assert!(build(|worker| worker.weight("c", 3)).unwrap().contains("is not served"));
    assert!(build(|worker| worker.weight("a", 0)).unwrap().contains("weight 0"));
    assert!(build(|worker| worker.weight("a", 2).queue_order(QueueOrder::Strict)).unwrap().contains("strict"));
    assert!(build(|worker| worker.blocking(0)).is_some());
    assert!(build(|worker| worker.max_tasks(0)).is_some());
}
