//! The documents show workflows that are what they say.

use celeriac_core::canvas::Workflow;

use crate::support::{compile_it, edges};

const FORMAT: &str = include_str!("../../../../docs/workflow-format.md");

/// The blocks of a language in a document.
fn blocks<'d>(document: &'d str, language: &str) -> Vec<&'d str> {
    let begin = format!("```{language}\n");
    document.split(begin.as_str()).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

#[test]
fn each_workflow_in_the_description_of_the_format_compiles() {
    let shown = blocks(FORMAT, "json");
    assert!(shown.len() >= 5, "this test has lost sight of the document");
    for json in shown {
        let workflow: Workflow = json.parse().unwrap_or_else(|error| panic!("{json}: {error}"));
        compile_it(&workflow).unwrap_or_else(|error| panic!("{json}: {error}"));
    }
}

#[test]
fn the_nodes_in_the_description_are_those_of_the_workflow_before_them() {
    let shown = blocks(FORMAT, "nodes");
    assert!(!shown.is_empty());
    for nodes in shown {
        let before = &FORMAT[..FORMAT.find(nodes).unwrap()];
        let json = blocks(before, "json").pop().unwrap();
        let plan = compile_it(&json.parse().unwrap()).unwrap();
        assert_eq!(edges(&plan).join("\n"), nodes, "{json}");
    }
}

#[test]
fn each_key_of_the_format_is_described() {
    let keys = [
        "task",
        "args",
        "queue",
        "priority",
        "retries",
        "timeout",
        "soft_timeout",
        "expires",
        "deadline",
        "result_ttl",
        "headers",
        "chain",
        "group",
        "chord",
        "body",
        "steps",
        "name",
        "takes",
        "feeds",
        "deps",
        "on_success",
        "on_failure",
        "when_dead",
    ];
    for key in keys {
        assert!(FORMAT.contains(&format!("`{key}`")), "{key}");
    }
}
