//! What a step is given of what came before it.

use std::cell::RefCell;

use celeriac_core::canvas::{Failure, Status, evaluate};

use crate::support::{plan, raw};

/// The arguments of each task, in the order in which they ran, when each task answers its name; `bad` dies.
fn given(json: &str) -> (Vec<String>, Status) {
    let calls = RefCell::new(Vec::new());
    let plan = plan(json);
    let end = evaluate(&plan, |task, args| {
        serde_json::from_str::<serde_json::Value>(args).unwrap();
        calls.borrow_mut().push(format!("{task} {args}"));
        if task.as_str().starts_with("bad") { Err("broken".to_owned()) } else { Ok(raw(&format!("\"{task}\""))) }
    });
    (calls.into_inner(), end.unwrap().status)
}

#[track_caller]
fn is_given(json: &str, last: &str) {
    assert_eq!(given(json).0.pop().as_deref(), Some(last), "{json}");
}

#[test]
fn a_result_is_the_only_argument_of_the_next_step() {
    is_given(r#"{"chain": [{"task": "a"}, {"task": "b"}]}"#, r#"b ["a"]"#);
    is_given(r#"{"chain": [{"task": "a"}, {"task": "b", "args": {}}]}"#, r#"b ["a"]"#);
    is_given(r#"{"chain": [{"task": "a"}, {"task": "b", "args": [ 1, [2] ]}]}"#, r#"b ["a",1, [2]]"#);
    is_given(r#"{"chain": [{"task": "a", "feeds": false}, {"task": "b"}]}"#, "b {}");
    is_given(r#"{"chain": [{"task": "a", "feeds": false}, {"task": "b", "args": {"x":1}}]}"#, r#"b {"x":1}"#);
    is_given(r#"{"chain": [{"task": "a"}, {"task": "b", "takes": "none", "args": 5}]}"#, "b 5");
    is_given(r#"{"chain": [{"task": "a"}, {"task": "b", "takes": "arguments"}]}"#, r#"b "a""#);
    is_given(r#"{"chain": [{"task": "a"}, {"task": "b", "takes": "list"}]}"#, r#"b [["a"]]"#);
    is_given(
        r#"{"chain": [{"task": "a", "name": "n"}, {"task": "b", "takes": "results", "args": {"x": [1]}}]}"#,
        r#"b {"x": [1],"n":"a"}"#,
    );
}

#[test]
fn the_results_of_a_group_are_one_list() {
    is_given(r#"{"chord": [{"task": "a"}, {"task": "b"}], "body": {"task": "c"}}"#, r#"c [["a","b"]]"#);
    is_given(r#"{"chord": [], "body": {"task": "c"}}"#, "c [[]]");
    is_given(r#"{"chain": [{"task": "a"}, {"group": []}, {"task": "c"}]}"#, "c [[]]");
    is_given(r#"{"chain": [{"task": "a"}, {"chord": [], "body": {"task": "c"}}]}"#, "c [[]]");
    is_given(
        r#"{"chain": [{"group": [{"task": "a"}, {"task": "b"}]}, {"task": "c", "takes": "arguments"}]}"#,
        r#"c ["a","b"]"#,
    );
    is_given(r#"{"chain": [{"group": [{"task": "a"}]}, {"task": "c", "takes": "list"}]}"#, r#"c [[["a"]]]"#);
    is_given(r#"{"chain": [{"group": [{"task": "a"}]}, {"group": [{"task": "b"}, {"task": "c"}]}]}"#, r#"c [["a"]]"#);
    let nested = r#"{"chord": [{"group": [{"task": "a"}, {"group": []}]}, {"chain": [{"task": "b"}, {"task": "c"}]}], "body": {"task": "d"}}"#;
    is_given(nested, r#"d [[["a",[]],"c"]]"#);
}

#[test]
fn a_part_of_a_graph_takes_what_it_says() {
    let graph = |rest: &str| format!(r#"{{"steps": {{"a": {{"task": "a"}}, "b": {{"task": "b"}}, "c": {{{rest}}}}}}}"#);
    is_given(&graph(r#""task": "c", "deps": ["a", "b"]"#), "c {}");
    is_given(&graph(r#""task": "c", "deps": ["b", "a"], "takes": "results""#), r#"c {"b":"b","a":"a"}"#);
    is_given(&graph(r#""task": "c", "deps": ["b", "a"], "takes": "list""#), r#"c [["b","a"]]"#);
    is_given(&graph(r#""task": "c", "deps": ["a"], "takes": "result""#), r#"c ["a"]"#);
    is_given(&graph(r#""task": "c", "deps": ["a"], "takes": "arguments""#), r#"c "a""#);
    let several = |group: &str, part: &str| graph(&format!(r#""group": [{group}], "deps": ["a", "b"], {part}"#));
    is_given(&several(r#"{"task": "c"}"#, r#""takes": "results""#), r#"c {"a":"a","b":"b"}"#);
    is_given(&several(r#"{"task": "c", "args": {"x":1}}"#, r#""takes": "results""#), r#"c {"x":1,"a":"a","b":"b"}"#);
    is_given(&several(r#"{"task": "c", "takes": "result"}"#, r#""takes": "results""#), r#"c [{"a":"a","b":"b"}]"#);
    is_given(&several(r#"{"task": "c", "takes": "none"}"#, r#""takes": "list""#), "c {}");
    is_given(&several(r#"{"task": "c"}"#, r#""takes": "list""#), r#"c [["a","b"]]"#);
    is_given(&several(r#"{"task": "c"}"#, r#""takes": "none""#), "c {}");
}

#[test]
fn a_graph_yields_what_nobody_in_it_waits_for() {
    let graph = r#"{"steps": {"a": {"task": "a"}, "b": {"task": "b", "deps": ["a"]}, "c": {"task": "c"}}}"#;
    is_given(&format!(r#"{{"chain": [{graph}, {{"task": "d"}}]}}"#), r#"d [{"b":"b","c":"c"}]"#);
    is_given(&format!(r#"{{"chain": [{graph}, {{"task": "d", "takes": "arguments"}}]}}"#), r#"d {"b":"b","c":"c"}"#);
}

#[test]
fn in_a_graph_behind_something_only_who_says_so_takes() {
    let behind = |takes: &str, part: &str| {
        format!(r#"{{"chain": [{{"task": "a"}}, {{"steps": {{"b": {{"task": "b"{takes}}}}}{part}}}]}}"#)
    };
    is_given(&behind("", ""), "b {}");
    is_given(&behind(r#", "takes": "result""#, ""), r#"b ["a"]"#);
    is_given(&behind("", r#", "takes": "result""#), r#"b ["a"]"#);
}

#[test]
fn callbacks_take_the_result_or_the_failure() {
    is_given(
        r#"{"group": [{"task": "a"}, {"task": "b"}], "on_success": {"task": "s", "args": [1]}}"#,
        r#"s [["a","b"],1]"#,
    );
    is_given(r#"{"task": "a", "on_success": {"task": "s", "takes": "none"}}"#, "s {}");
    let failure = r#"{"step":"chain/1","task":"bad","error":"broken","attempts":1}"#;
    let chain = r#"{"chain": [{"task": "a"}, {"task": "bad"}, {"task": "c"}], "on_failure": {"task": "f""#;
    is_given(&format!("{chain}}}}}"), &format!("f [{failure}]"));
    is_given(&format!("{chain}, \"takes\": \"arguments\"}}}}"), &format!("f {failure}"));
    is_given(&format!("{chain}, \"takes\": \"none\"}}}}"), "f {}");
    assert_eq!(given(&format!("{chain}}}}}")).1, Status::Failed);
}

#[test]
fn errors_become_values_if_the_workflow_goes_on() {
    let chord = r#"{"chord": [{"task": "a"}, {"task": "bad"}], "body": {"task": "c"}, "when_dead": "continue"}"#;
    let (calls, status) = given(chord);
    let error = r#"{"error":{"step":"chord/1","task":"bad","error":"broken","attempts":1}}"#;
    assert_eq!(calls[2], format!(r#"c [[{{"ok":"a"}},{error}]]"#));
    assert_eq!(status, Status::Succeeded);
    let chain = r#"{"chain": [{"task": "bad"}, {"task": "b"}, {"task": "c"}], "when_dead": "continue"}"#;
    is_given(chain, r#"c [{"ok":"b"}]"#);
}

#[test]
fn only_what_is_behind_a_dead_step_waits_for_an_operator() {
    let group = r#"{"group": [{"chain": [{"task": "bad"}, {"task": "b"}]}, {"chain": [{"task": "c"}, {"task": "d"}]}]"#;
    assert_eq!(
        given(&format!(r#"{group}, "when_dead": "wait"}}"#)),
        (vec!["bad {}".to_owned(), "c {}".to_owned(), r#"d ["c"]"#.to_owned()], Status::Waiting,)
    );
    assert_eq!(given(&format!("{group}}}")), (vec!["bad {}".to_owned()], Status::Failed));
}

#[test]
fn a_value_that_is_not_there_is_named() {
    let plan = plan(r#"{"chain": [{"task": "a"}, {"task": "b"}]}"#);
    let error = plan.node(1).unwrap().payload(|_| None).unwrap_err();
    assert_eq!(error.to_string(), "the value of node 0 is not there");
}

#[test]
fn a_failure_says_which_step_it_was() {
    let plan = plan(r#"{"group": [{"task": "a"}]}"#);
    let failure = Failure::of(plan.node(0).unwrap(), "no disk", 4).unwrap();
    assert_eq!(failure.to_json(), r#"{"step":"group/0","task":"a","error":"no disk","attempts":4}"#);
    assert_eq!(Failure::of(plan.node(1).unwrap(), "a join has no job", 1), None);
    assert_eq!(serde_json::from_str::<Failure>(&failure.to_json()).unwrap(), failure);
}
