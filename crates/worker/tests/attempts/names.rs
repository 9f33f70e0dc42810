//! Names that tasks had before.

use celeriac_core::{State as JobState, Task};
use celeriac_worker::{CommandTask, Tasks, TasksError};

use crate::support::{Answer, AtWork, Probe, end, enqueue, named, store};

fn tasks() -> Tasks {
    Tasks::new().handle(|probe: Probe| async move { Answer::Ok(probe.number) })
}

#[tokio::test]
async fn jobs_of_an_old_name_run() {
    let store = store().await;
    let ids = enqueue(&store, vec![named("probe.before", 7)]).await;
    let worker = AtWork::start(&store, tasks(), |worker| worker);
    let ended = end(&store, &ids[0]).await;
    assert_eq!((ended.state, ended.result.unwrap().get()), (JobState::Succeeded, "7"));
    assert_eq!(ended.task.as_str(), "probe.before");
    worker.stop().await;
}

#[tokio::test]
async fn a_parked_job_of_an_old_name_is_released() {
    let store = store().await;
    let ids = enqueue(&store, vec![named("probe.before", 7)]).await;
    let other = Tasks::new().command(CommandTask::new("other", "true", Vec::new()));
    let summary = AtWork::start(&store, other, |worker| worker.burst(true)).ended().await;
    assert_eq!(summary.parked, 1);
    let worker = AtWork::start(&store, tasks(), |worker| worker);
    assert_eq!(end(&store, &ids[0]).await.state, JobState::Succeeded);
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_registers_its_tasks_under_all_their_names() {
    let store = store().await;
    let ids = enqueue(&store, vec![named(Probe::NAME, 7)]).await;
    let worker = AtWork::start(&store, tasks(), |worker| worker);
    end(&store, &ids[0]).await;
    let registered = store.workers().await.unwrap();
    let names: Vec<_> = registered[0].tasks.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["probe", "probe.before"]);
    worker.stop().await;
}

#[test]
fn no_two_tasks_share_a_name_of_now_or_before() {
    let command = |name: &str| CommandTask::new(name, "true", Vec::new());
    let duplicate = |name: &str| Err(TasksError::Duplicate(name.to_owned()));
    assert_eq!(tasks().check(), Ok(()));
    assert_eq!(tasks().command(command("probe.before")).check(), duplicate("probe.before"));
    assert_eq!(tasks().command(command("new").alias("probe")).check(), duplicate("probe"));
    assert_eq!(tasks().command(command("new").alias("probe.before")).check(), duplicate("probe.before"));
    assert_eq!(Tasks::new().command(command("new").alias("new")).check(), duplicate("new"));
    assert_eq!(tasks().queue_of("probe.before"), Some("default"));
}
