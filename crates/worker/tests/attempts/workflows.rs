//! A worker carries workflows on, and its handlers read what their steps wait for.

use std::sync::Arc;

use celeriac_broker::{Broker, Fault, FaultyBroker, Operation};
use celeriac_core::canvas::{Canvas, Takes, Workflow};
use celeriac_core::{JobId, State, Task, WorkflowId};
use celeriac_worker::{Context, InputsError, Tasks};
use celeriac_workflow::submit;
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use crate::support::{Answer, AtWork, Probe, end, enqueue, probes, store};

/// Takes a list, or nothing and reads it.
#[derive(Debug, Serialize, Deserialize)]
struct Sum {
    #[serde(default)]
    numbers: Vec<u64>,
}

impl Task for Sum {
    const NAME: &'static str = "sum";
    type Output = u64;
}

fn member(number: usize) -> Canvas {
    Canvas::step(Probe::NAME).args(to_raw_value(&[number]).unwrap()).into()
}

/// Members answer their number, sums the sum of what they are given or read.
fn tasks() -> Tasks {
    let sum = |sum: Sum, context: Context| async move {
        let mut total: u64 = sum.numbers.iter().sum();
        let mut inputs = context.inputs().await?;
        while let Some(page) = inputs.next_page::<u64>(300).await? {
            assert!(page.len() <= 300);
            total += 1_000_000 * page.iter().sum::<u64>();
        }
        Ok::<_, InputsError>(total)
    };
    Tasks::new().handle(|probe: Probe| async move { Answer::Ok(probe.number) }).handle(sum)
}

async fn carried_out_in_a_burst(store: &Arc<dyn Broker>, canvas: impl Into<Canvas>) -> String {
    let id: WorkflowId = "w".parse().unwrap();
    submit(store.as_ref(), &Workflow::new(canvas), &id, |_| None).await.unwrap();
    let summary = AtWork::start(store, tasks(), |worker| worker.burst(true).concurrency(8)).ended().await;
    assert_eq!(summary.dead, 0);
    let outcome = store.result(&JobId::new("w").unwrap()).await.unwrap().expect("the burst has seen it through");
    assert_eq!(outcome.state, State::Succeeded);
    outcome.result.unwrap().get().to_owned()
}

#[tokio::test]
async fn a_burst_sees_a_workflow_through() {
    let store = store().await;
    let group = Canvas::group((1..=40).map(member));
    let wait = |canvas: Canvas| canvas.takes(Takes::Nothing);
    let behind = Canvas::group((1..=20).map(|number| wait(member(number))));
    let sum = Canvas::step(Sum::NAME);
    let result = carried_out_in_a_burst(&store, group.then(behind).then(sum)).await;
    assert_eq!(result, (210 + 210_000_000).to_string(), "it was given the list, and has read it");
}

#[tokio::test]
async fn a_step_reads_what_more_members_answered_than_a_page_holds() {
    let store = store().await;
    let sum = Canvas::step(Sum::NAME).takes(Takes::Nothing);
    let result = carried_out_in_a_burst(&store, Canvas::group((0..1_000).map(member)).join(sum)).await;
    assert_eq!(result, (499_500_000_000_u64).to_string());
}

#[tokio::test]
async fn a_job_outside_a_workflow_has_no_inputs() {
    let store = store().await;
    let ids = enqueue(&store, probes(1)).await;
    let read = |_: Probe, context: Context| async move {
        let error = context.inputs().await.unwrap_err();
        assert!(matches!(error, InputsError::NoStep) && context.workflow().is_none());
        Answer::Ok(7)
    };
    let worker = AtWork::start(&store, Tasks::new().handle(read), |worker| worker);
    assert_eq!(end(&store, &ids[0]).await.state, State::Succeeded);
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_without_workflows_asks_for_events_once() {
    let faulty = Arc::new(FaultyBroker::new(store().await));
    let store: Arc<dyn Broker> = Arc::clone(&faulty) as Arc<dyn Broker>;
    enqueue(&store, probes(400)).await;
    let summary = AtWork::start(&store, tasks(), |worker| worker.burst(true).concurrency(8)).ended().await;
    assert_eq!((summary.succeeded, faulty.calls(Operation::TakeEvents)), (400, 1));
}

#[tokio::test]
async fn a_burst_sees_through_what_another_worker_has_left_though_the_store_was_away() {
    let faulty = Arc::new(FaultyBroker::new(store().await));
    let store: Arc<dyn Broker> = Arc::clone(&faulty) as Arc<dyn Broker>;
    let id: WorkflowId = "w".parse().unwrap();
    let elsewhere = Canvas::step(Probe::NAME).queue("elsewhere");
    submit(store.as_ref(), &Workflow::new(elsewhere), &id, |_| None).await.unwrap();
    store.revoke_workflow(&id, "ann").await.unwrap();
    faulty.fail_next(Operation::TakeEvents, Fault::Unreachable);
    AtWork::start(&store, tasks(), |worker| worker.burst(true)).ended().await;
    let outcome = store.result(&JobId::new("w").unwrap()).await.unwrap();
    assert_eq!(outcome.map(|outcome| outcome.state), Some(State::Revoked));
}

/// What the test kit of applications does, one job at a time.
#[cfg(feature = "testing")]
#[tokio::test]
async fn a_worker_that_is_turned_by_hand_carries_workflows_on() {
    let store = store().await;
    let id: WorkflowId = "w".parse().unwrap();
    let group = Canvas::group((1..=3).map(member));
    let behind = Canvas::group((4..=20).map(|number| member(number).takes(Takes::Nothing)));
    let workflow = Workflow::new(group.then(behind).then(Canvas::step(Sum::NAME)));
    submit(store.as_ref(), &workflow, &id, |_| None).await.unwrap();
    let mut rig = celeriac_worker::Rig::new(Arc::clone(&store), tasks()).await.unwrap();
    let mut steps = Vec::new();
    while let Some(step) = rig.step(None).await.unwrap() {
        assert_eq!(step.state, State::Succeeded);
        steps.push(step.id.to_string());
    }
    assert_eq!((steps.len(), steps.last().unwrap().as_str()), (21, "w:chain/2"));
    let outcome = store.result(&JobId::new("w").unwrap()).await.unwrap();
    assert_eq!(outcome.map(|outcome| outcome.state), Some(State::Succeeded));
}
