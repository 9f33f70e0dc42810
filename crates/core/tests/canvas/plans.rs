//! What compiles to what: names, edges, ids, templates.

use std::time::Duration;

use celeriac_core::canvas::{Canvas, Graph, Limits, NodeKind, Takes, Workflow, compile};
use celeriac_core::{Priority, QueueName, WorkflowId};

use crate::support::{compile_it, edges, plan, raw};

#[test]
fn a_single_step_is_a_workflow() {
    assert_eq!(edges(&plan(r#"{"task": "a"}"#)), ["step"]);
    assert_eq!(edges(&plan(r#"{"task": "a", "name": "only"}"#)), ["only"]);
}

#[test]
fn each_step_of_a_chain_waits_for_the_one_before() {
    let chain = plan(r#"{"chain": [{"task": "a"}, {"task": "b", "name": "second"}, {"task": "c"}]}"#);
    assert_eq!(edges(&chain), ["chain/0", "chain/second <- chain/0", "chain/2 <- chain/second"]);
    assert_eq!(chain.output(), 2);
}

#[test]
fn members_of_a_group_lie_side_by_side_and_their_join_is_the_result() {
    let group = plan(r#"{"group": [{"task": "a"}, {"task": "b"}], "name": "days"}"#);
    assert_eq!(edges(&group), ["days/0", "days/1", "days <- days/0 days/1"]);
    let kinds: Vec<_> = group.nodes().map(|node| node.kind()).collect();
    assert_eq!(kinds, [NodeKind::Step, NodeKind::Step, NodeKind::Join]);
    assert_eq!((group.steps(), group.output()), (2, 2));
}

#[test]
fn the_body_of_a_chord_waits_for_its_members_without_a_join() {
    let chord = plan(r#"{"chord": [{"task": "a"}, {"task": "a"}], "body": {"task": "b"}}"#);
    assert_eq!(edges(&chord), ["chord/0", "chord/1", "chord/body <- chord/0 chord/1"]);
}

#[test]
fn a_step_behind_a_group_waits_for_its_members_without_a_join() {
    let chain = plan(r#"{"chain": [{"group": [{"task": "a"}, {"task": "a"}]}, {"task": "b"}]}"#);
    assert_eq!(edges(&chain), ["chain/0/0", "chain/0/1", "chain/1 <- chain/0/0 chain/0/1"]);
}

#[test]
fn a_group_behind_a_group_makes_a_join_and_not_an_edge_for_each_pair() {
    let chain =
        plan(r#"{"chain": [{"group": [{"task": "a"}, {"task": "a"}]}, {"group": [{"task": "b"}, {"task": "b"}]}]}"#);
    let expected = [
        "chain/0/0",
        "chain/0/1",
        "chain/0 <- chain/0/0 chain/0/1",
        "chain/1/0 <- chain/0",
        "chain/1/1 <- chain/0",
        "chain/1 <- chain/1/0 chain/1/1",
    ];
    assert_eq!(edges(&chain), expected);
}

#[test]
fn a_graph_is_ordered_by_what_its_parts_wait_for() {
    let graph = plan(
        r#"{"steps": {
            "report": {"task": "r", "deps": ["users", "orders"], "takes": "results"},
            "users": {"task": "u"},
            "orders": {"task": "o", "deps": ["users"]},
            "2013": {"task": "y"}
        }}"#,
    );
    let expected = ["users", "2013", "orders <- users", "report <- users orders", "steps <- report 2013"];
    assert_eq!(edges(&graph), expected);
}

#[test]
fn a_part_that_two_wait_for_is_joined_once() {
    let graph = plan(
        r#"{"steps": {
            "days": {"group": [{"task": "d"}, {"task": "d"}]},
            "sum": {"task": "s", "deps": ["days"], "takes": "result"},
            "count": {"task": "c", "deps": ["days"], "takes": "result"}
        }}"#,
    );
    let expected = ["days/0", "days/1", "days <- days/0 days/1", "sum <- days", "count <- days", "steps <- sum count"];
    assert_eq!(edges(&graph), expected);
}

#[test]
fn a_part_of_many_that_waits_for_several_gets_a_join_before_it() {
    let graph = plan(
        r#"{"steps": {
            "a": {"task": "a"}, "b": {"task": "b"},
            "all": {"group": [{"task": "c"}, {"task": "c"}], "deps": ["a", "b"]}
        }}"#,
    );
    let expected =
        ["a", "b", "all/deps <- a b", "all/0 <- all/deps", "all/1 <- all/deps", "all <- all/0 all/1", "steps <- all"];
    assert_eq!(edges(&graph), expected);
}

#[test]
fn an_empty_group_is_a_join_that_keeps_the_order() {
    let chord = plan(r#"{"chord": [], "body": {"task": "b"}}"#);
    assert_eq!(edges(&chord), ["chord/body"]);
    let between = plan(r#"{"chain": [{"task": "a"}, {"group": []}, {"task": "b"}]}"#);
    assert_eq!(edges(&between), ["chain/0", "chain/1 <- chain/0", "chain/2 <- chain/1"]);
}

#[test]
fn callbacks_are_nodes_but_no_steps() {
    let plan = plan(r#"{"task": "a", "on_success": {"task": "s"}, "on_failure": {"task": "f"}}"#);
    assert_eq!(edges(&plan), ["step", "on_success <- step", "on_failure"]);
    assert_eq!((plan.steps(), plan.on_success(), plan.on_failure()), (1, Some(1), Some(2)));
}

#[test]
fn followers_are_dependencies_turned_round() {
    let plan = plan(r#"{"chain": [{"task": "a"}, {"group": [{"task": "b"}, {"task": "c"}]}, {"task": "d"}]}"#);
    let followers: Vec<_> = plan.nodes().map(|node| node.followers().to_vec()).collect();
    assert_eq!(followers, [vec![1, 2], vec![3], vec![3], vec![]]);
}

#[test]
fn an_id_is_the_workflow_and_the_name_unless_that_is_too_long() {
    let id = WorkflowId::new("w".repeat(160)).unwrap();
    let names = [33, 39, 40].map(|length| "n".repeat(length));
    let graph = names.iter().fold(Graph::new(), |graph, name| graph.part(name, Canvas::step("t")));
    let plan = compile(&Workflow::new(graph), &id, &Limits::default()).unwrap();
    let ids: Vec<_> = plan.nodes().map(|node| node.id().map(|id| id.as_str()[160..].to_owned())).collect();
    let expected = [Some(format!(":{}", names[0])), Some(format!(":{}", names[1])), Some(":/2".to_owned()), None];
    assert_eq!(ids, expected);
}

#[test]
fn what_a_step_says_stands_in_its_record() {
    let plan = plan(
        r#"{"chain": [{
            "task": "a", "args": {"x": 1}, "queue": "q", "priority": 9, "retries": 0, "timeout": "2s", "soft_timeout": "1s",
            "expires": "1h", "deadline": "2h", "result_ttl": "0s", "headers": {"traceparent": "00"}
        }, {"task": "b", "feeds": true}]}"#,
    );
    let record = plan.node(0).unwrap().record(b"{}".to_vec()).unwrap();
    assert_eq!((record.id.as_str(), record.task.as_str(), record.queue.as_str()), ("w:chain/0", "a", "q"));
    assert_eq!((record.priority, record.options.retries), (Priority::new(9).unwrap(), Some(0)));
    assert_eq!((record.options.timeout_ms, record.options.soft_timeout_ms), (Some(2_000), Some(1_000)));
    assert_eq!((record.options.expires_ms, record.options.deadline_ms), (Some(3_600_000), Some(7_200_000)));
    assert_eq!(record.options.result_ttl_ms, Some(0));
    assert_eq!(record.options.headers.get("traceparent"), Some("00"));
    assert_eq!(plan.node(0).unwrap().args(), Some(r#"{"x": 1}"#));
    assert_eq!(plan.node(1).unwrap().record(Vec::new()).unwrap().queue.as_str(), "default");
}

#[test]
fn the_queues_of_tasks_are_named_where_the_description_names_none() {
    let mut workflow: Workflow = r#"{
        "chain": [{"task": "a"}, {"chord": [{"task": "b", "queue": "own"}, {"task": "c"}], "body": {"task": "d"}}, {"steps": {"x": {"task": "e"}}}],
        "on_success": {"task": "f"}, "on_failure": {"task": "g"}
    }"#
    .parse()
    .unwrap();
    workflow.name_queues(|task| (task.as_str() != "c").then(|| QueueName::new(format!("of.{task}")).unwrap()));
    let json = workflow.to_json();
    let named: Vec<&str> = json.split("\"queue\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(named, ["of.a", "own", "of.d", "of.e", "of.f", "of.g"]);
    let before = json.clone();
    workflow.name_queues(|_| Some(QueueName::default()));
    assert_eq!(workflow.to_json(), before, "what goes to `default` stays as it is");
}

#[test]
fn what_a_program_builds_is_what_a_file_says() {
    let days = ["mon", "tue"].map(|day| Canvas::step("resize").args(raw(&format!("[\"{day}\"]"))));
    let built = Workflow::new(
        Canvas::step("list")
            .queue("q")
            .priority(1)
            .retries(2)
            .timeout(Duration::from_secs(90))
            .header("b", "2")
            .header("a", "1")
            .feeds_nothing()
            .then(Canvas::group(days).named("days").join(Canvas::step("publish")))
            .then(Graph::new().part("x", Canvas::step("x").takes(Takes::Arguments)).part_after(
                "y",
                ["x"],
                Canvas::step("y").takes(Takes::List),
            )),
    )
    .on_success_taking(Takes::Nothing, Canvas::step("done"))
    .on_failure(Canvas::step("alarm"));
    let json = r#"{"chain":[{"task":"list","queue":"q","priority":1,"retries":2,"timeout":"90s","headers":{"a":"1","b":"2"},"feeds":false},{"name":"days","chord":[{"task":"resize","args":["mon"]},{"task":"resize","args":["tue"]}],"body":{"task":"publish"}},{"steps":{"x":{"task":"x","takes":"arguments"},"y":{"task":"y","takes":"list","deps":["x"]}}}],"on_success":{"task":"done","takes":"none"},"on_failure":{"task":"alarm"}}"#;
    assert_eq!(built.to_json(), json);
    let names = |workflow| edges(&compile_it(workflow).unwrap());
    assert_eq!(names(&json.parse().unwrap()), names(&built));
}

#[test]
fn steps_that_differ_only_in_their_arguments_share_a_template() {
    let pair = |at: u32| {
        let args = raw(&format!("[{at}]"));
        Canvas::step("a").args(args.clone()).feeds_nothing().then(Canvas::step("b").queue("q").args(args))
    };
    let plan = compile_it(&Workflow::new(Canvas::group((0..100).map(pair)))).unwrap();
    let mut templates: Vec<_> = plan.nodes().filter_map(|node| node.template()).map(std::ptr::from_ref).collect();
    templates.sort();
    templates.dedup();
    assert_eq!(templates.len(), 2);
}
