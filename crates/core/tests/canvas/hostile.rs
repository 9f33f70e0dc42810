//! Whatever somebody sends for a workflow: it is refused in short, or it is one.

use celeriac_core::canvas::{Limits, SpecError, Workflow};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::support::compile_it;
use celeriac_testkit::random_workflows;

/// Reads and compiles it. A complaint must be short and harmless; what is taken must read back.
fn read(json: &[u8]) -> Result<(), TestCaseError> {
    let check = |error: SpecError| {
        let said = error.to_string();
        prop_assert!(said.len() < 1000 && !said.contains(char::is_control), "{}", said);
        Ok(())
    };
    let workflow = match Workflow::from_json(json, &Limits::default()) {
        Ok(workflow) => workflow,
        Err(error) => return check(error),
    };
    prop_assert_eq!(&workflow.to_json().parse::<Workflow>().unwrap(), &workflow);
    match compile_it(&workflow) {
        Ok(plan) => prop_assert!(plan.steps() > 0),
        Err(error) => check(error)?,
    }
    Ok(())
}

/// Every value in a JSON value, itself first.
fn values<'v>(value: &'v mut Value, at: &mut usize, found: &mut dyn FnMut(usize, &mut Value)) {
    found(*at, value);
    *at += 1;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| values(item, at, found)),
        Value::Object(members) => members.values_mut().for_each(|member| values(member, at, found)),
        _ => {}
    }
}

/// What may stand where something else stood.
fn strange() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec!["task", "steps", "group", "args", "deps", "name", "takes", "\u{1b}[2J", "n1"]);
    prop_oneof![
        prop::sample::select(vec![
            json!(null),
            json!(5),
            json!(-1),
            json!(1.5),
            json!(true),
            json!([]),
            json!({}),
            json!("")
        ]),
        prop::sample::select(vec![
            "n1",
            "n2",
            "t0",
            "none",
            "result",
            "results",
            "list",
            "arguments",
            "1s",
            "0s",
            "12"
        ])
        .prop_map(Value::from),
        prop::sample::select(vec![json!("a b"), json!("\u{1b}[2J\0"), json!("deps"), json!(["n1"]), json!({"n1": 1})]),
        ".{0,200}".prop_map(Value::from),
        (keys, ".{0,3}").prop_map(|(key, text)| json!({ key: text, "task": "t" })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        read(&bytes)?;
    }

    #[test]
    fn a_workflow_with_damaged_bytes_is_refused_in_short_or_reads_back(
        workflow in random_workflows(),
        damages in prop::collection::vec((any::<Index>(), any::<Index>(), 0..4u8), 1..4),
    ) {
        let mut json = workflow.to_json().into_bytes();
        for (at, from, kind) in damages {
            let (at, from) = (at.index(json.len()), from.index(json.len()));
            match kind {
                0 => json[at] = json[from],
                1 => drop(json.remove(at)),
                2 => json.insert(at, json[from]),
                _ => json.swap(at, from),
            }
        }
        read(&json)?;
    }

    #[test]
    fn a_workflow_with_strange_values_is_refused_in_short_or_reads_back(
        workflow in random_workflows(),
        damages in prop::collection::vec((any::<Index>(), strange()), 1..3),
    ) {
        let mut json: Value = serde_json::from_str(&workflow.to_json()).unwrap();
        for (place, strange) in damages {
            let mut count = 0;
            values(&mut json, &mut count, &mut |_, _| {});
            let place = place.index(count);
            values(&mut json, &mut 0, &mut |at, value| {
                if at == place {
                    *value = strange.clone();
                }
            });
        }
        read(&serde_json::to_vec(&json).unwrap())?;
    }

    #[test]
    fn a_workflow_with_strange_keys_is_refused_in_short_or_reads_back(
        workflow in random_workflows(),
        place: Index,
        key in prop_oneof![
            prop::sample::select(vec!["task", "chain", "group", "chord", "steps", "body", "name", "takes", "feeds", "deps"])
                .prop_map(str::to_owned),
            prop::sample::select(vec!["on_success", "on_failure", "when_dead", "args", "headers", "queue", "n1", "taks"])
                .prop_map(str::to_owned),
            ".{0,200}",
        ],
        strange in strange(),
    ) {
        let mut json: Value = serde_json::from_str(&workflow.to_json()).unwrap();
        let mut objects = 0;
        values(&mut json, &mut 0, &mut |_, value| objects += usize::from(value.is_object()));
        let mut left = place.index(objects);
        values(&mut json, &mut 0, &mut |_, value| {
            if let Value::Object(members) = value {
                if left == 0 {
                    members.insert(key.clone(), strange.clone());
                }
                left = left.wrapping_sub(1);
            }
        });
        read(&serde_json::to_vec(&json).unwrap())?;
    }
}
