//! Workflows of 100,000 steps.

use celeriac_core::canvas::{Canvas, End, Graph, Plan, Progress, Status, Workflow};

use crate::support::{compile_it, raw};

const MEMBERS: u32 = 100_000;

fn group() -> Canvas {
    Canvas::group((0..MEMBERS).map(|at| Canvas::step("t").args(raw(&format!("[{at}]")))))
}

/// Lets every job succeed in the order in which they become ready; says how many there were.
fn run(plan: &Plan) -> usize {
    let (mut progress, changes) = Progress::start(plan);
    let mut ready = changes.ready;
    let mut ended = 0;
    while let Some(node) = ready.pop() {
        ended += 1;
        ready.extend(progress.report(node, End::Succeeded).ready);
    }
    assert_eq!(progress.status(), Status::Succeeded);
    ended
}

#[test]
fn groups_of_100_000_in_a_row_take_few_edges_and_little_memory() {
    let fed = |_| Canvas::step("count");
    let workflow = Workflow::new(Canvas::group((0..50_000).map(fed)).then(Canvas::group((0..50_000).map(fed))));
    let plan = compile_it(&workflow).unwrap();
    let edges: usize = plan.nodes().map(|node| node.deps().len()).sum();
    assert_eq!((plan.steps(), edges), (100_000, 150_000));
    assert_eq!(run(&plan), 100_000);
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

#[test]
fn a_death_among_100_000_stops_the_others() {
    let plan = compile_it(&Workflow::new(group().then(group()))).unwrap();
    let (mut progress, changes) = Progress::start(&plan);
    let dead = changes.ready[MEMBERS as usize / 2];
    let changes = progress.report(dead, End::Dead { attempt: 1 });
    assert_eq!((changes.stop.len(), changes.given_up.len()), (99_999, 100_002));
    let changes = progress.retry(dead).unwrap();
    assert_eq!((changes.ready.len(), changes.resumed.len()), (1, 100_002));
}
