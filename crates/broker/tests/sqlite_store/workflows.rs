//! Workflows in files of older versions, and in files in which somebody has written by hand.

use celeriac_broker::conformance::{FLOW, link, link_before, new_flow, seconds, step, step_id, waiting, workflow_id};
use celeriac_broker::sqlite::SqliteBroker;
use celeriac_broker::{Broker as _, Inspector as _, NewWorkflow, Submitted, WorkflowEvent, Workflows as _};
use celeriac_core::State;

use crate::support::{enqueue_one, everything, new_file, open, raw, register, succeed};

async fn begin(broker: &SqliteBroker) {
    let (waiting, roots) = (vec![waiting(link(1)), waiting(link(2))], vec![step(link_before(0, &[1, 2]))]);
    let new = NewWorkflow { waiting, roots, ..new_flow(FLOW) };
    assert_eq!(broker.put_workflow(&new).await.unwrap(), Submitted::Done);
}

async fn run_first(broker: &SqliteBroker) {
    let session = register(broker).await;
    let mut request = everything();
    request.queues = vec![step(link(0)).queue];
    let delivery = broker.fetch(&session, &request).await.unwrap().jobs.remove(0);
    succeed(broker, &session, &delivery).await;
}

async fn events(broker: &SqliteBroker) -> Vec<u32> {
    let events: Vec<WorkflowEvent> = broker.take_events(10, seconds(30)).await.unwrap();
    events.into_iter().map(|event| event.node).collect()
}

#[tokio::test]
async fn a_file_of_an_older_version_takes_workflows() {
    let (_directory, path) = new_file();
    let id = enqueue_one(&open(&path).await).await;
    for table in ["workflows", "workflow_nodes", "workflow_waiting", "workflow_events"] {
        raw(&path).execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    let broker = open(&path).await;
    begin(&broker).await;
    run_first(&broker).await;
    assert_eq!(broker.job(&step_id(&link(1))).await.unwrap().map(|job| job.state), Some(State::Queued));
    assert_eq!(broker.job(&id).await.unwrap().map(|job| job.state), Some(State::Queued));
}

#[tokio::test]
async fn a_waiting_job_that_cannot_be_read_is_left_to_whoever_can_make_it() {
    let (_directory, path) = new_file();
    let broker = open(&path).await;
    begin(&broker).await;
    let damage = "UPDATE workflow_waiting SET task = 'no name!' WHERE node = 1";
    assert_eq!(raw(&path).execute(damage, []).unwrap(), 1);
    run_first(&broker).await;
    assert_eq!(events(&broker).await, [1]);
    assert!(broker.job(&step_id(&link(2))).await.unwrap().is_some());
}

#[tokio::test]
async fn events_that_nobody_can_do_anything_about_go() {
    let (_directory, path) = new_file();
    let broker = open(&path).await;
    begin(&broker).await;
    for (workflow, node) in [("gone", 1), (FLOW, -1), ("no id!", 1), (FLOW, 3)] {
        let event = "INSERT INTO workflow_events (workflow, node, due_at) VALUES (?1, ?2, 0)";
        raw(&path).execute(event, (workflow, node)).unwrap();
    }
    assert_eq!(events(&broker).await, [3]);
    let left = raw(&path).query_row("SELECT count(*) FROM workflow_events", [], |row| row.get::<_, i64>(0));
    assert_eq!(left.unwrap(), 1);
    assert!(broker.workflow(&workflow_id(FLOW)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_workflow_reads_well_in_other_tools() {
    let (_directory, path) = new_file();
    let broker = open(&path).await;
    begin(&broker).await;
    let kept = "SELECT typeof(payload) || ' ' || payload || ' ' || gap FROM workflow_waiting WHERE id = 'flow:1'";
    let text = |sql: &str| raw(&path).query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text(kept), r#"text {"took":} 8"#);
    run_first(&broker).await;
    assert_eq!(text("SELECT kind || ' ' || value FROM workflow_nodes WHERE workflow = 'flow' AND node = 0"), "S 1");
    assert_eq!(text("SELECT typeof(payload) || ' ' || payload FROM jobs WHERE id = 'flow:1'"), r#"text {"took":1}"#);
}
