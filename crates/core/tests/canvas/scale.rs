//! Workflows of 100,000 steps.

use celeriac_core::TaskName;
use celeriac_core::canvas::{Canvas, Graph, Plan, Status, Workflow, evaluate};

use crate::support::{compile_it, raw};

const MEMBERS: u32 = 100_000;

fn group() -> Canvas {
    Canvas::group((0..MEMBERS).map(|at| Canvas::step("t").args(raw(&format!("[{at}]")))))
}

/// Lets every job succeed; says how many there were.
fn run(plan: &Plan) -> usize {
    let mut ended = 0;
    let run = |_: &TaskName, _: &str| {
        ended += 1;
        Ok(raw("1"))
    };
    assert_eq!(evaluate(plan, run).unwrap().status, Status::Succeeded);
    ended
}

#[test]
fn groups_of_100_000_in_a_row_take_few_edges_and_little_memory() {
    let fed = |_| Canvas::step("count");
    let workflow = Workflow::new(Canvas::group((0..50_000).map(fed)).then(Canvas::group((0..50_000).map(fed))));
    let plan = compile_it(&workflow).unwrap();
    let edges: usize = plan.nodes().map(|node| node.deps().len()).sum();
    assert_eq!((plan.steps(), edges), (100_000, 150_000));
    let plan = compile_it(&Workflow::new(group().join(Canvas::step("publish")))).unwrap();
    let per_node = plan.memory() / plan.len();
    assert!(per_node < 100, "{per_node} bytes a node");
    assert_eq!(run(&plan), 100_001);
}

#[test]
fn a_line_and_a_star_of_100_000_are_as_easy() {
    let line = (0..MEMBERS).map(|at| Canvas::step("t").named(format!("s{at}")));
    assert_eq!(run(&compile_it(&Workflow::new(Canvas::chain(line))).unwrap()), 100_000);
    // Against the order in which they are written.
    let line = (0..MEMBERS).fold(Graph::new(), |graph, at| match at {
        99_999 => graph.part(format!("s{at}"), Canvas::step("t")),
        _ => graph.part_after(format!("s{at}"), [format!("s{}", at + 1)], Canvas::step("t")),
    });
    assert_eq!(run(&compile_it(&Workflow::new(line)).unwrap()), 100_000);
    let rays = (1..MEMBERS).map(|at| format!("s{at}"));
    let star = rays.clone().fold(Graph::new(), |graph, name| graph.part(name, Canvas::step("t")));
    let star = star.part_after("middle", rays, Canvas::step("t"));
    let json = Workflow::new(star).to_json();
    assert_eq!(run(&compile_it(&json.parse().unwrap()).unwrap()), 100_000);
}
