//! Each refusal, with the place that it names.

use celeriac_core::canvas::{Canvas, Graph, Limits, Refusal, Takes, WhenDead, Workflow, compile};
use celeriac_core::{Overrides, WorkflowId};

use crate::support::{compile_it, raw, try_plan};

#[track_caller]
fn refused(json: &str, expected: &str) {
    match try_plan(json) {
        Ok(plan) => panic!("{json} was taken: {plan:?}"),
        Err(error) => assert_eq!(error.to_string(), expected, "{json}"),
    }
}

#[track_caller]
fn refused_where(workflow: &Workflow, expected: &str) {
    assert_eq!(compile_it(workflow).unwrap_err().to_string(), expected);
}

#[test]
fn what_is_no_workflow_is_refused() {
    for (json, expected) in [
        ("", "the workflow: no JSON: EOF while parsing a value at line 1 column 0"),
        ("{", "the workflow: no JSON: EOF while parsing an object at line 1 column 1"),
        ("{} x", "the workflow: no JSON: trailing characters at line 1 column 4"),
        ("[]", "the workflow: expected an object, found a list"),
        ("5", "the workflow: expected an object, found 5"),
        ("{}", "the workflow: it has none of \"task\", \"chain\", \"group\", \"chord\" and \"steps\""),
        (r#"{"task": "a", "group": []}"#, "the workflow: it has both \"task\" and \"group\""),
        (r#"{"task": 1}"#, "task (step step): expected the name of a task, found 1"),
        (r#"{"chain": {}}"#, "chain (step chain): expected a list, found an object"),
        (r#"{"chain": [1]}"#, "chain[0] (step chain/0): expected an object, found 1"),
        (r#"{"steps": []}"#, "steps: expected an object, found a list"),
        (r#"{"chord": []}"#, "step chord: a chord needs a \"body\""),
        (r#"{"task": "a", "on_failure": "b"}"#, "on_failure (step on_failure): expected an object, found \"b\""),
        (
            r#"{"task": "a", "on_failure": {}}"#,
            "on_failure (step on_failure): it has none of \"task\", \"chain\", \"group\", \"chord\" and \"steps\"",
        ),
        (
            r#"{"task": "a", "when_dead": "stop"}"#,
            "when_dead: expected \"fail\", \"continue\" or \"wait\", found \"stop\"",
        ),
    ] {
        refused(json, expected);
    }
}

#[test]
fn a_key_that_has_no_meaning_is_refused() {
    for (json, expected) in [
        (r#"{"taks": "a"}"#, "the workflow: unknown key \"taks\"; did you mean \"task\"?"),
        (
            r#"{"group": [{"task": "a", "timout": "1s"}]}"#,
            "group[0] (step group/0): unknown key \"timout\"; did you mean \"timeout\"?",
        ),
        (r#"{"task": "a", "colour": 1}"#, "the workflow: unknown key \"colour\""),
        (r#"{"task": "a", "task": "b"}"#, "the workflow: \"task\" stands here twice"),
        (
            r#"{"group": [], "queue": "q"}"#,
            "step group: \"queue\" means nothing here: it is an option of a step, which has a \"task\"",
        ),
        (
            r#"{"chain": [{"task": "a", "on_success": {"task": "b"}}]}"#,
            "chain[0] (step chain/0): \"on_success\" means nothing here: only the workflow as a whole has it",
        ),
        (
            r#"{"chain": [{"task": "a", "deps": []}]}"#,
            "chain[0] (step chain/0): \"deps\" means nothing here: only the parts of \"steps\" depend on each other by name",
        ),
        (
            r#"{"steps": {"a": {"task": "a", "name": "b"}}}"#,
            "steps.a (step a): \"name\" means nothing here: in \"steps\" the key is the name, and a callback is called as its key",
        ),
        (
            r#"{"task": "a", "on_success": {"task": "b", "feeds": true}}"#,
            "on_success (step on_success): \"feeds\" means nothing here: a callback is a step",
        ),
        (r#"{"task": "a", "body": {"task": "b"}}"#, "step step: \"body\" means nothing here: only a chord has a body"),
        (
            r#"{"chain": [{"task": "a"}, {"task": "b", "feeds": false}]}"#,
            "chain[1] (step chain/1): \"feeds\": false means something only for a part of a chain behind which another stands",
        ),
        (
            r#"{"task": "a", "when_dead": "continue", "on_failure": {"task": "b"}}"#,
            "on_failure (step on_failure): with \"when_dead\": \"continue\" a workflow does not fail, so this would never run",
        ),
    ] {
        refused(json, expected);
    }
    for part in [
        r#"{"group": [{"task": "a", "feeds": false}]}"#,
        r#"{"chord": [{"task": "a", "feeds": false}], "body": {"task": "b"}}"#,
        r#"{"chord": [], "body": {"task": "b", "feeds": false}}"#,
        r#"{"steps": {"a": {"task": "a", "feeds": false}}}"#,
        r#"{"task": "a", "feeds": false}"#,
    ] {
        assert!(matches!(try_plan(part).unwrap_err().refusal(), Refusal::NoEffect(_)), "{part}");
    }
}

#[test]
fn an_option_that_cannot_be_met_is_refused() {
    for (option, expected) in [
        (r#""task": "a b""#, "task (step group/0): task name \"a b\" holds ' '; use letters, digits and ._:/-"),
        (r#""task": """#, "task (step group/0): task name is empty; use 1 to 200 of letters, digits and ._:/-"),
        (r#""task": "\ud800""#, "task (step group/0): expected the name of a task, found \"\\ud800\""),
        (
            r#""task": "a", "queue": "é""#,
            "queue (step group/0): queue name \"é\" holds 'é'; use letters, digits and ._:/-",
        ),
        (
            r#""task": "a", "priority": 10"#,
            "priority (step group/0): priority 10 is outside 0 to 9 (9 is the most urgent)",
        ),
        (r#""task": "a", "priority": -1"#, "priority (step group/0): expected a whole number from 0 to 9, found -1"),
        (
            r#""task": "a", "retries": 1.5"#,
            "retries (step group/0): expected a whole number from 0 to 4294967295, found 1.5",
        ),
        (
            r#""task": "a", "timeout": 10"#,
            "timeout (step group/0): expected a duration, as in \"250ms\", \"10s\", \"5m\", \"2h\", \"7d\", found 10",
        ),
        (
            r#""task": "a", "expires": "soon""#,
            "expires (step group/0): expected a duration, as in \"250ms\", \"10s\", \"5m\", \"2h\", \"7d\", found \"soon\"",
        ),
        (r#""task": "a", "deadline": "0s""#, "deadline (step group/0): deadline must be longer than zero"),
        (
            r#""task": "a", "timeout": "1s", "soft_timeout": "1s""#,
            "soft_timeout (step group/0): soft_timeout must be shorter than the timeout",
        ),
        (
            r#""task": "a", "headers": {"a b": "c"}"#,
            "headers (step group/0): header name \"a b\" is not 1 to 100 of letters, digits and ._-",
        ),
        (r#""task": "a", "headers": {"a": 1}"#, "headers.a (step group/0): expected a text, found 1"),
        (r#""task": "a", "headers": {"a": "1", "a": "2"}"#, "headers (step group/0): \"a\" stands here twice"),
        (r#""task": "a", "name": 1"#, "name (step group/0): expected a text, found 1"),
        (
            r#""task": "a", "takes": "all""#,
            "takes (step group/0): expected \"none\", \"result\", \"results\", \"list\" or \"arguments\", found \"all\"",
        ),
    ] {
        refused(&format!(r#"{{"group": [{{{option}}}]}}"#), &format!("group[0].{expected}"));
    }
}

#[test]
fn a_bad_name_of_a_part_is_refused() {
    let word = "celeriac uses this word itself";
    let signs = "use 1 to 100 of letters, digits and ._-";
    for (name, rule) in [
        ("a/b", signs),
        ("a:b", signs),
        ("", signs),
        ("a\u{1b}", signs),
        ("deps", word),
        ("body", word),
        ("steps", word),
        ("on_success", word),
        ("on_failure", word),
    ] {
        let part = || Canvas::step("a").named(name);
        let workflows = [
            Workflow::new(part()),
            Workflow::new(Canvas::chain([part()])),
            Workflow::new(Canvas::group([part()])),
            Workflow::new(Canvas::from(Canvas::step("a")).join(part())),
            Workflow::new(Graph::new().part(name, Canvas::step("a"))),
        ];
        for workflow in workflows {
            let error = compile_it(&workflow).unwrap_err();
            assert!(error.to_string().ends_with(rule), "{error}");
        }
    }
    let digits =
        "group[0] (step group/12): \"12\" cannot name a part: digits alone are the place of a part without a name";
    refused_where(&Workflow::new(Canvas::group([Canvas::step("a").named("12")])), digits);
    let long = "x".repeat(101);
    assert!(compile_it(&Workflow::new(Canvas::step("a").named(long))).is_err());
    let twice = Graph::new().part("a", Canvas::step("a").named("b"));
    refused_where(
        &Workflow::new(twice),
        "steps.a (step a): \"name\" means nothing here: in \"steps\" the key is the name",
    );
}

#[test]
fn two_parts_of_one_name_are_refused() {
    refused(r#"{"steps": {"a": {"task": "t"}, "a": {"task": "u"}}}"#, "steps.a (step a): two parts are called \"a\"");
    refused(
        r#"{"chain": [{"task": "t"}, {"group": [{"task": "t", "name": "a"}, {"task": "t", "name": "a"}]}]}"#,
        "chain[1].group[1] (step chain/1/a): two parts are called \"a\"",
    );
    let graph = Graph::new().part("a", Canvas::step("t")).part("a", Canvas::step("t"));
    refused_where(&Workflow::new(graph), "steps.a (step a): two parts are called \"a\"");
    let apart = r#"{"group": [{"chain": [{"task": "t", "name": "a"}]}, {"chain": [{"task": "t", "name": "a"}]}]}"#;
    assert!(try_plan(apart).is_ok());
}

#[test]
fn a_dependency_that_is_not_there_is_refused() {
    refused(
        r#"{"steps": {"load": {"task": "t"}, "sum": {"task": "t", "deps": ["load", "laod"]}}}"#,
        "steps.sum.deps[1] (step sum): no step beside it is called \"laod\"; did you mean \"load\"?",
    );
    refused(
        r#"{"steps": {"sum": {"task": "t", "deps": ["x"]}}}"#,
        "steps.sum.deps[0] (step sum): no step beside it is called \"x\"",
    );
    refused(
        r#"{"steps": {"a": {"task": "t"}, "b": {"task": "t", "deps": ["a", "a"]}}}"#,
        "steps.b.deps[1] (step b): it depends twice on \"a\"",
    );
    refused(
        r#"{"steps": {"a": {"task": "t", "deps": [1]}}}"#,
        "steps.a.deps[0] (step a): expected the name of a part, found 1",
    );
    refused(r#"{"steps": {"a": {"task": "t", "deps": "b"}}}"#, "steps.a.deps (step a): expected a list, found \"b\"");
}

#[test]
fn a_cycle_is_named() {
    refused(
        r#"{"steps": {"a": {"task": "t", "deps": ["a"]}}}"#,
        "steps.a.deps (step a): these wait for each other: a -> a",
    );
    refused(
        r#"{"group": [{"steps": {
            "before": {"task": "t"},
            "behind": {"task": "t", "deps": ["c"]},
            "a": {"task": "t", "deps": ["before", "c"]},
            "b": {"task": "t", "deps": ["a"]},
            "c": {"task": "t", "deps": ["b"]}
        }}]}"#,
        "group[0].steps.a.deps (step group/0/a): these wait for each other: a -> c -> b -> a",
    );
    let ring = (0..100_000).fold(Graph::new(), |graph, at| {
        graph.part_after(format!("s{at}"), [format!("s{}", (at + 1) % 100_000)], Canvas::step("t"))
    });
    let error = compile_it(&Workflow::new(ring)).unwrap_err().to_string();
    assert!(error.ends_with("s0 -> s1 -> s2 -> s3 -> s4 -> s5 -> s6 -> s7 -> … -> s0"), "{error}");
}

#[test]
fn a_workflow_without_a_step_is_refused() {
    let nothing = "the workflow: there is no step in it, so nothing would run";
    refused(r#"{"group": []}"#, nothing);
    refused(r#"{"chain": [{"group": []}, {"group": [{"group": []}]}], "on_success": {"task": "a"}}"#, nothing);
    refused(r#"{"chain": []}"#, "step chain: a chain needs at least one part; only a group may be empty");
    refused(
        r#"{"chain": [{"steps": {}}]}"#,
        "chain[0] (step chain/0): \"steps\" needs at least one part; only a group may be empty",
    );
}

#[test]
fn too_much_of_anything_is_refused() {
    let id = WorkflowId::new("w").unwrap();
    let mut limits = Limits::default();
    assert_eq!((limits.steps, limits.spec_bytes, limits.payload_bytes), (200_000, 8 * 1024 * 1024, 1024 * 1024));
    let group = |steps: usize| Workflow::new(Canvas::group((0..steps).map(|_| Canvas::step("t"))));
    assert_eq!(compile(&group(200_000), &id, &limits).unwrap().steps(), 200_000);
    let error = compile(&group(200_001), &id, &limits).unwrap_err();
    assert_eq!(error.to_string(), "group[200000] (step group/200000): there are more than 200000 steps");

    let large = |bytes: usize| Canvas::step("t").args(raw(&format!("\"{}\"", "x".repeat(bytes - 2))));
    assert!(compile(&Workflow::new(large(1024 * 1024)), &id, &limits).is_ok());
    let error = compile(&Workflow::new(Canvas::chain([large(1024 * 1024 + 1)])), &id, &limits).unwrap_err();
    let expected = "chain[0].args (step chain/0): the arguments have 1048577 bytes; at most 1048576 are allowed";
    assert_eq!(error.to_string(), expected);

    let eight = Workflow::new(Canvas::group((0..8).map(|_| large(1024 * 1024))));
    let bytes = eight.to_json().len();
    let expected = format!("the workflow: it has {bytes} bytes; at most 8388608 are allowed");
    assert_eq!(compile(&eight, &id, &limits).unwrap_err().to_string(), expected);
    assert_eq!(eight.to_json().parse::<Workflow>().unwrap_err().to_string(), expected);
    limits.spec_bytes = bytes;
    assert!(compile(&eight, &id, &limits).is_ok());
    limits.spec_bytes = bytes - 1;
    assert!(compile(&eight, &id, &limits).is_err());
    assert!(Workflow::from_json(eight.to_json().as_bytes(), &limits).is_err());
}

#[test]
fn parts_that_lie_too_deep_in_each_other_are_refused() {
    let nested = |depth: usize| (1..depth).fold(Canvas::from(Canvas::step("t")), |inner, _| Canvas::group([inner]));
    assert!(compile_it(&Workflow::new(nested(64))).is_ok());
    let deep = Workflow::new(nested(65));
    let error = compile_it(&deep).unwrap_err();
    assert!(error.to_string().ends_with("parts lie in each other more than 64 deep"), "{error}");
    assert_eq!(error.place().path.matches("group[0]").count(), 240 / "group[0].".len());
    assert_eq!(deep.to_json().parse::<Workflow>().unwrap_err(), error);
    assert!(compile_it(&nested_json(64).parse().unwrap()).is_ok());
    for open in ["{\"group\":[", "[", "{\"task\":\"t\",\"args\":["] {
        assert!(open.repeat(100_000).parse::<Workflow>().is_err());
    }
    let args = format!(r#"{{"task": "t", "args": {}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(try_plan(&args).is_ok(), "arguments may be as deep as they like");
}

fn nested_json(depth: usize) -> String {
    let (open, close) = ("{\"chain\":[".repeat(depth - 1), "]}".repeat(depth - 1));
    format!("{open}{{\"task\":\"t\"}}{close}")
}

#[test]
fn what_nobody_gives_cannot_be_taken() {
    for (json, expected) in [
        (r#"{"task": "a", "takes": "result"}"#, "step step: it takes \"result\", nothing comes before it"),
        (
            r#"{"chain": [{"task": "a", "feeds": false}, {"task": "b", "takes": "arguments"}]}"#,
            "chain[1] (step chain/1): it takes \"arguments\", but the part before it says \"feeds\": false",
        ),
        (
            r#"{"chain": [{"task": "a"}, {"task": "b", "takes": "results"}]}"#,
            "chain[1] (step chain/1): it takes \"results\", which go by the names of their parts, but the part before it has no name",
        ),
        (
            r#"{"steps": {"a": {"task": "t"}, "b": {"task": "t"}, "c": {"task": "t", "deps": ["a", "b"], "takes": "result"}}}"#,
            "steps.c (step c): it takes \"result\", but it waits for 2 parts: it can take \"results\" or \"list\"",
        ),
        (
            r#"{"steps": {"a": {"task": "t"}, "b": {"task": "t"}, "c": {"group": [], "deps": ["a", "b"], "takes": "arguments"}}}"#,
            "steps.c (step c): it takes \"arguments\", but it waits for 2 parts: it can take \"results\" or \"list\"",
        ),
        (
            r#"{"steps": {"a": {"task": "t", "takes": "list"}}}"#,
            "steps.a (step a): it takes \"list\", nothing comes before it",
        ),
        (
            r#"{"steps": {"a": {"task": "t"}, "b": {"task": "t"}, "c": {"group": [{"task": "t", "takes": "result"}], "deps": ["a", "b"]}}}"#,
            "steps.c.group[0] (step c/0): it takes \"result\", but the part around it takes nothing of what it waits for",
        ),
        (
            r#"{"chain": [{"task": "a"}, {"task": "b", "takes": "arguments"}], "when_dead": "continue"}"#,
            "chain[1] (step chain/1): it takes \"arguments\", but with \"when_dead\": \"continue\" a result says {\"ok\": …} or {\"error\": …}",
        ),
        (
            r#"{"task": "a", "on_success": {"task": "b", "takes": "results"}}"#,
            "on_success (step on_success): it takes \"results\", which go by the names of their parts, but the part before it has no name",
        ),
        (
            r#"{"task": "a", "on_failure": {"task": "b", "takes": "list"}}"#,
            "on_failure (step on_failure): it takes \"list\", but there is one failure: it can take \"result\", \"arguments\" or \"none\"",
        ),
    ] {
        refused(json, expected);
    }
    let root = Workflow::new(Canvas::group([Canvas::step("a")]).takes(Takes::List));
    refused_where(&root, "step group: it takes \"list\", nothing comes before it");
    let fed = Canvas::step("a").then(Canvas::step("b").takes(Takes::Arguments));
    assert!(compile_it(&Workflow::new(fed).when_dead(WhenDead::Wait)).is_ok());
}

#[test]
fn arguments_that_do_not_go_with_what_is_taken_are_refused() {
    let first = "what it takes is its first argument, so its own must be a list; \"takes\": \"results\" adds to an object, by name";
    let all = "what it takes is all of its arguments, so it can have none of its own";
    let beside = "what it takes goes by name, so its own arguments must be an object";
    for (takes, args, rule) in [
        ("result", r#"{"x": 1}"#, first),
        ("list", "5", first),
        ("arguments", "[1]", all),
        ("arguments", "null", all),
        ("results", "[1]", beside),
        ("results", r#"{"x": 1, "a": 2}"#, "\"a\" is also a part whose result it takes by that name"),
    ] {
        let json = format!(
            r#"{{"chain": [{{"task": "t", "name": "a"}}, {{"task": "t", "takes": "{takes}", "args": {args}}}]}}"#
        );
        refused(&json, &format!("chain[1].args (step chain/1): {rule}"));
    }
    refused(
        r#"{"steps": {"a": {"task": "t"}, "b": {"task": "t"}, "c": {"group": [{"task": "t", "args": {"b": 1}}], "deps": ["a", "b"], "takes": "results"}}}"#,
        "steps.c.group[0].args (step c/0): \"b\" is also a part whose result it takes by that name",
    );
    refused(
        r#"{"task": "a", "on_failure": {"task": "b", "args": {"x": 1}}}"#,
        &format!("on_failure.args (step on_failure): {first}"),
    );
}

#[test]
fn a_complaint_repeats_little_of_what_it_refuses() {
    let long = "x".repeat(100_000);
    for json in [
        format!(r#"{{"{long}": 1}}"#),
        format!(r#"{{"task": "{long} "}}"#),
        format!(r#"{{"steps": {{"{long}": {{"task": "t"}}}}}}"#),
        format!(r#"{{"steps": {{"a": {{"task": "t", "deps": ["{long}"]}}}}}}"#),
        format!(r#"{{"task": "t", "name": "{long}"}}"#),
        format!(r#"{{"task": "t", "priority": "{long}"}}"#),
        format!(
            r#"{{"chain": [{{"task": "t", "name": "a"}}, {{"task": "t", "takes": "results", "args": {{"a": "{long}"}}}}]}}"#
        ),
    ] {
        let error = try_plan(&json).unwrap_err().to_string();
        assert!(error.len() < 1000 && !error.contains(char::is_control), "{error}");
    }
}

#[test]
fn a_refusal_in_json_of_serde_names_its_place_too() {
    let error = serde_json::from_str::<Workflow>(r#"{"chain": [{"taks": "a"}]}"#).unwrap_err().to_string();
    assert!(error.starts_with("chain[0] (step chain/0): unknown key \"taks\"; did you mean \"task\"?"), "{error}");
}

#[test]
fn the_times_of_a_job_are_checked_for_others_too() {
    let mut options = Overrides::default();
    assert!(options.check().is_ok());
    options.soft_timeout_ms = Some(0);
    assert_eq!(options.check().unwrap_err().to_string(), "soft_timeout must be longer than zero");
}
