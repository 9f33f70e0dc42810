//! A step reads what it waits for, page by page.

use std::sync::Arc;

use celeriac_broker::{Fault, Operation};
use celeriac_core::canvas::{Canvas, Graph, Takes, WhenDead, Workflow};
use celeriac_workflow::{Inputs, InputsError, Plans};

use crate::stage::{Stage, ok, on_each_store, step, w};

/// All inputs of the only step that is ready, and how many pages they were.
async fn read(stage: &Stage, max: usize) -> (Vec<(String, String)>, usize) {
    let job = stage.fetch(10).await.remove(0);
    let link = job.record.options.step.as_deref().unwrap();
    let mut inputs = Inputs::open(Arc::clone(&stage.broker), &Plans::new(), link).await.unwrap();
    let (mut all, mut pages) = (Vec::new(), 0);
    while let Some(page) = inputs.next(max).await.unwrap() {
        assert!(!page.is_empty() && page.len() <= max, "{}", step(&job));
        all.extend(page.into_iter().map(|(name, value)| (name, value.get().to_owned())));
        pages += 1;
    }
    assert_eq!(inputs.len(), all.len());
    assert!(inputs.next(max).await.unwrap().is_none());
    (all, pages)
}

/// Runs what is ready, once.
async fn run_once(stage: &Stage, mut result: impl FnMut(usize) -> String) {
    let jobs = stage.fetch(500).await;
    let ends = jobs
        .into_iter()
        .enumerate()
        .map(|(at, job)| (job, ok(&result(at)).map_or_else(crate::stage::died, celeriac_core::Ending::Succeeded)));
    stage.settle(ends.collect()).await;
    stage.conduct().await;
}

async fn the_body_of_a_chord_reads_its_members_in_pages(stage: Stage) {
    let members = (0..450).map(|_| Canvas::step("member"));
    stage.submit(&Workflow::new(Canvas::group(members).join(Canvas::step("body").takes(Takes::Nothing)))).await;
    let large = "x".repeat(5_000);
    run_once(&stage, |at| format!("\"{at} {large}\"")).await;
    let (all, pages) = read(&stage, 1_000).await;
    assert_eq!(all.len(), 450);
    for (at, (name, value)) in all.iter().enumerate() {
        assert_eq!((name, value), (&format!("chord/{at}"), &format!("\"{at} {large}\"")));
    }
    assert!(pages > 1, "a page has about 1 MiB");
}

async fn a_step_behind_a_join_reads_its_members(stage: Stage) {
    let first = Canvas::group((0..5).map(|_| Canvas::step("a")));
    let second = Canvas::group([Canvas::step("b").takes(Takes::Nothing), Canvas::step("c").takes(Takes::Nothing)]);
    stage.submit(&Workflow::new(first.then(second)).when_dead(WhenDead::Continue)).await;
    run_once(&stage, |at| at.to_string()).await;
    let (all, pages) = read(&stage, 2).await;
    let values: Vec<&str> = all.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["{\"ok\":0}", "{\"ok\":1}", "{\"ok\":2}", "{\"ok\":3}", "{\"ok\":4}"]);
    assert_eq!(pages, 3);
}

async fn what_is_read_ahead_is_neither_lost_nor_repeated(stage: Stage) {
    let members = (0..40).map(|_| Canvas::step("member"));
    stage.submit(&Workflow::new(Canvas::group(members).join(Canvas::step("body").takes(Takes::Nothing)))).await;
    run_once(&stage, |at| at.to_string()).await;
    let job = stage.fetch(10).await.remove(0);
    let link = job.record.options.step.as_deref().unwrap();
    let mut inputs = Inputs::open(Arc::clone(&stage.broker), &Plans::new(), link).await.unwrap();
    let (mut all, mut refused) = (Vec::new(), 0);
    for (nth, max) in [3, 3, 1, 7, 0, 2, 2, 2, 500].into_iter().cycle().enumerate() {
        if nth % 5 == 0 {
            stage.faulty.fail_next(Operation::StepEnds, Fault::AnswerLost);
        }
        match inputs.next_page::<u64>(max).await {
            Ok(Some(page)) => {
                assert!(!page.is_empty() && page.len() <= max.max(1));
                all.extend(page);
            }
            Ok(None) => break,
            Err(error) => {
                assert!(matches!(error, InputsError::Store(_)), "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!(all, (0..40).collect::<Vec<u64>>());
    assert!(refused > 0, "an answer was lost");
}

async fn groups_among_several_are_read_as_lists(stage: Stage) {
    let days = Canvas::group((0..2).map(|_| Canvas::step("day")));
    let graph = Graph::new().part("users", Canvas::step("users")).part("days", days);
    let graph = graph.part_after("report", ["users", "days"], Canvas::step("report"));
    stage.submit(&Workflow::new(graph)).await;
    run_once(&stage, |at| at.to_string()).await;
    let (all, _) = read(&stage, 10).await;
    let read: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(read, [("users", "0"), ("days", "[1,2]")]);
}

async fn inputs_of_a_workflow_that_is_gone_are_an_error(stage: Stage) {
    let plan = stage.submit(&Workflow::new(Canvas::step("a").then(Canvas::step("b")))).await;
    let link = |node: u32| *plan.node(node).unwrap().record(Vec::new()).unwrap().options.step.clone().unwrap();
    let plans = Plans::new();
    let mut inputs = Inputs::open(Arc::clone(&stage.broker), &plans, &link(1)).await.unwrap();
    assert!(matches!(inputs.next(1).await, Err(InputsError::Missing(step)) if step == "chain/0"));
    let mut of_another = link(1);
    of_another.workflow = "gone".parse().unwrap();
    let gone = Inputs::open(Arc::clone(&stage.broker), &plans, &of_another).await;
    assert!(matches!(gone, Err(InputsError::Gone(id)) if id != w()));
    let none = Inputs::open(Arc::clone(&stage.broker), &plans, &link(0)).await.unwrap();
    assert!(none.is_empty());
}

on_each_store!(
    the_body_of_a_chord_reads_its_members_in_pages,
    a_step_behind_a_join_reads_its_members,
    what_is_read_ahead_is_neither_lost_nor_repeated,
    groups_among_several_are_read_as_lists,
    inputs_of_a_workflow_that_is_gone_are_an_error,
);
