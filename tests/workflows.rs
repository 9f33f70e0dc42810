//! Workflows as an application runs them: put together of tasks, begun, followed and mended through a client, on both stores.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use celeriac::canvas::{Canvas, Failure, Graph, Takes, WhenDead, Workflow, group, next, step};
use celeriac::{
    Client, Context, NodeState, RetryError, RunError, State, TaskError, Tasks, Worker, WorkflowError, WorkflowHandle,
    WorkflowRevoked, task,
};
use celeriac_testkit::shared_redis;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// What the tasks of this file share.
#[derive(Clone, Default)]
struct Shared {
    broken: Arc<AtomicBool>,
    began: Arc<Notify>,
    told: Arc<Mutex<Vec<String>>>,
    tells: Arc<Notify>,
}

#[derive(Serialize, Deserialize)]
struct Total {
    pages: u64,
}

#[task("count", queue = "counting")]
async fn count(page: String) -> Result<u64, TaskError> {
    Ok(page.len() as u64)
}

#[task("sum", retries = 0)]
async fn sum(counts: Vec<u64>, shared: State<Shared>) -> Result<Total, TaskError> {
    match shared.broken.load(Ordering::SeqCst) {
        true => Err(TaskError::retry("no disk")),
        false => Ok(Total { pages: counts.iter().sum() }),
    }
}

/// Its argument has a type of this crate.
#[task("describe")]
async fn describe(total: Total) -> Result<String, TaskError> {
    Ok(format!("{} pages", total.pages))
}

#[task("tell")]
async fn tell(text: String, shared: State<Shared>) -> Result<(), TaskError> {
    shared.told.lock().unwrap().push(text);
    shared.tells.notify_one();
    Ok(())
}

#[task("alarm")]
async fn alarm(failure: Failure, shared: State<Shared>) -> Result<(), TaskError> {
    shared.told.lock().unwrap().push(format!("{}: {}", failure.step, failure.error));
    shared.tells.notify_one();
    Ok(())
}

#[task("patient")]
async fn patient(context: Context, shared: State<Shared>) -> Result<(), TaskError> {
    shared.began.notify_one();
    context.cancelled().await;
    Err(TaskError::retry("told to stop"))
}

/// Three counts side by side, their sum, and a sentence about it.
fn counted() -> celeriac::canvas::Part<String> {
    let pages = ["a", "bc", "def"].map(|page| step(count { page: page.to_owned() }));
    group(pages).named("counts").then(next::<sum>()).then(next::<describe>())
}

struct Bench {
    client: Client,
    shared: Shared,
}

impl Bench {
    async fn told(&self) -> String {
        self.shared.tells.notified().await;
        self.shared.told.lock().unwrap().pop().unwrap()
    }
}

/// Runs a test on both stores, each time beside a worker.
async fn on_both_stores(test: impl AsyncFn(&Bench)) {
    for url in ["sqlite::memory:".to_owned(), shared_redis().await.expose()] {
        let client = Client::connect(&url).await.unwrap();
        let shared = Shared::default();
        let tasks = Tasks::new().task::<count>().task::<sum>().task::<describe>().task::<tell>().task::<alarm>();
        let tasks = tasks.task::<patient>().state(shared.clone());
        let worker = Worker::builder(&client, tasks).queues(["default", "counting"]).grace(Duration::ZERO);
        let worker = worker.build().unwrap();
        let handle = worker.handle();
        let running = tokio::spawn(worker.run());
        test(&Bench { client, shared }).await;
        handle.stop_now();
        running.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_chord_of_types_answers_a_typed_result() {
    on_both_stores(async |bench| {
        let workflow = bench.client.run(counted()).await.unwrap();
        let sentence: String = workflow.result().await.unwrap();
        assert_eq!(sentence, "6 pages");
        let sight = workflow.sight().await.unwrap().unwrap();
        assert_eq!((sight.steps().count(), sight.count(&[NodeState::Succeeded])), (5, 5));
        let queue = sight.nodes.iter().find(|node| node.name == "chain/counts/1").unwrap().queue.clone();
        assert_eq!(queue.unwrap().as_str(), "counting");
    })
    .await;
}

#[tokio::test]
async fn one_step_and_parts_by_name_are_workflows_too() {
    on_both_stores(async |bench| {
        let one = bench.client.run(step(count { page: "four".to_owned() })).await.unwrap();
        assert_eq!(one.result().await.unwrap(), 4);

        let args = |json: &str| serde_json::value::RawValue::from_string(json.to_owned()).unwrap();
        let named = Canvas::step("count").args(args(r#"{"page": "four"}"#)).queue("counting");
        let result = bench.client.run(named.then(Canvas::step("patient").takes(Takes::Nothing))).await.unwrap();
        bench.shared.began.notified().await;
        result.revoke("the test").await.unwrap();

        let graph = Graph::new()
            .part("first", Canvas::step("count").args(args(r#"["four"]"#)).queue("counting"))
            .part_after("second", ["first"], Canvas::step("sum").takes(Takes::List));
        let result = bench.client.run(graph).await.unwrap().returns::<Value>().result().await.unwrap();
        assert_eq!(result, json!({"second": {"pages": 4}}));
    })
    .await;
}

#[tokio::test]
async fn a_step_at_the_end_takes_the_result_or_the_failure() {
    on_both_stores(async |bench| {
        bench.client.run(counted()).on_success(next::<tell>()).await.unwrap();
        assert_eq!(bench.told().await, "6 pages");

        bench.shared.broken.store(true, Ordering::SeqCst);
        let workflow = bench.client.run(counted()).on_success(next::<tell>()).on_failure(next::<alarm>());
        let workflow = workflow.await.unwrap();
        assert_eq!(bench.told().await, "chain/1: no disk");
        assert!(workflow.result().await.is_err());

        let by_name = Workflow::new(counted().into_canvas().unwrap()).on_failure(Canvas::step("alarm"));
        bench.client.run(by_name).await.unwrap();
        assert_eq!(bench.told().await, "chain/1: no disk");
    })
    .await;
}

#[tokio::test]
async fn a_failure_names_its_step_and_a_retry_goes_on_to_the_result() {
    on_both_stores(async |bench| {
        bench.shared.broken.store(true, Ordering::SeqCst);
        let workflow = bench.client.run(counted()).id("broken").await.unwrap();
        let error = workflow.result().await.unwrap_err();
        assert_eq!(error.to_string(), "workflow broken has failed at step chain/1: no disk");
        assert!(matches!(error, WorkflowError::Failed { .. }));

        let unknown = workflow.retry(Some("chain/7")).await.unwrap_err();
        assert!(matches!(unknown, RetryError::UnknownStep { .. }), "{unknown}");
        bench.shared.broken.store(false, Ordering::SeqCst);
        assert_eq!(workflow.retry(None).await.unwrap(), 1);
        assert_eq!(workflow.result().await.unwrap(), "6 pages");
        let nothing = workflow.retry(None).await.unwrap_err();
        assert_eq!(nothing.to_string(), "workflow broken has not failed");
    })
    .await;
}

#[tokio::test]
async fn a_workflow_whose_failures_are_values_ends_well() {
    on_both_stores(async |bench| {
        bench.shared.broken.store(true, Ordering::SeqCst);
        let sums = group([step(sum { counts: vec![1] }), step(sum { counts: vec![2] })]);
        let workflow = bench.client.run(sums).when_dead(WhenDead::Continue).returns::<Vec<Value>>().await.unwrap();
        let results = workflow.result().await.unwrap();
        assert_eq!(results.len(), 2);
        assert_eq!(results[1]["error"]["error"], "no disk");
    })
    .await;
}

#[tokio::test]
async fn a_workflow_is_revoked_by_somebody() {
    on_both_stores(async |bench| {
        let workflow = bench.client.run(step(patient {}).before(counted())).await.unwrap();
        bench.shared.began.notified().await;
        let again: WorkflowHandle<String> = bench.client.workflow(workflow.id().clone()).returns();
        assert_eq!(again.revoke("Ada").await.unwrap(), WorkflowRevoked::Done);
        let error = workflow.result().await.unwrap_err();
        assert_eq!(error.to_string(), format!("workflow {} was revoked by Ada", workflow.id()));
        assert!(matches!(error, WorkflowError::Revoked { .. }));
        assert_eq!(workflow.revoke("Ada").await.unwrap(), WorkflowRevoked::TooLate);
        let retried = workflow.retry(None).await.unwrap_err();
        assert!(matches!(retried, RetryError::Revoked(by) if by == "Ada"));
    })
    .await;
}

#[tokio::test]
async fn what_cannot_begin_says_why() {
    on_both_stores(async |bench| {
        bench.client.run(counted()).id("nightly").await.unwrap().result().await.unwrap();
        let error = bench.client.run(counted()).id("nightly").await.unwrap_err();
        assert_eq!(error.to_string(), "workflow id nightly is in use");
        assert!(matches!(error, RunError::IdInUse { .. }) && !error.is_transient());

        let error = bench.client.run(counted()).id("no spaces").await.unwrap_err();
        assert!(matches!(error, RunError::Invalid(_)), "{error}");

        let graph = Graph::new().part("users", Canvas::step("count"));
        let graph = graph.part_after("report", ["user"], Canvas::step("sum"));
        let error = bench.client.run(graph).await.unwrap_err();
        let place = "steps.report.deps[0] (step report): no step beside it is called \"user\"; did you mean \"users\"?";
        assert_eq!(error.to_string(), format!("a workflow that cannot be carried out: {place}"));
    })
    .await;
}

#[tokio::test]
async fn a_wait_with_a_limit_says_that_it_was_too_short() {
    on_both_stores(async |bench| {
        let workflow = bench.client.run(step(patient {})).await.unwrap();
        bench.shared.began.notified().await;
        let error = workflow.result_within(Duration::from_millis(10)).await.unwrap_err();
        assert!(matches!(error, WorkflowError::NotYet { .. }) && error.is_transient(), "{error}");
        workflow.revoke("the test").await.unwrap();
        assert!(workflow.result().await.is_err());
    })
    .await;
}
