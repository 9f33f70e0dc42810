//! What `#[task]` and `derive(Task)` make of functions and structs.
#![cfg(all(feature = "macros", feature = "worker"))]

use celeriac::{Context, State, Task, Tasks, TasksError, task};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Summary {
    month: String,
    rows: u32,
}

type Answer<T> = Result<T, std::io::Error>;

/// Adds up a month.
#[task("reports.summarise", queue = "reports", retries = 5, timeout = "30s", result_ttl = "2h")]
async fn summarise(month: String, #[serde(default)] rows: u32) -> Answer<Summary> {
    Ok(Summary { month, rows })
}

#[task("ping")]
async fn ping() -> Answer<()> {
    Ok(())
}

#[task("mixed")]
async fn mixed(
    _: Context,
    State(limit): State<u32>,
    mut count: u32,
    #[cfg(not(test))] absent: u32,
    #[cfg(test)] r#type: String,
    /// Documented.
    #[serde(rename = "final", default)]
    last: bool,
) -> Result<String, celeriac::TaskError> {
    count += limit;
    Ok(format!("{count} {type} {last}", r#type = r#type))
}

#[derive(Debug, Serialize, Deserialize, Task)]
#[task("images.resize", output = Summary, queue = "images", retries = 0)]
struct Resize {
    path: String,
}

#[tokio::test]
async fn the_function_can_still_be_called() {
    let summary = summarise("2013-01".into(), 3).await.unwrap();
    assert_eq!(summary, Summary { month: "2013-01".into(), rows: 3 });
}

#[test]
fn arguments_are_read_from_an_object_and_from_a_list() {
    let cases = [json!({"month": "2013-01"}), json!(["2013-01"]), json!({"month": "2013-01", "old": 1})];
    for arguments in cases {
        let arguments: summarise = serde_json::from_value(arguments).unwrap();
        assert_eq!((arguments.month.as_str(), arguments.rows), ("2013-01", 0));
    }
    let written = serde_json::to_value(summarise { month: "2013-01".into(), rows: 2 }).unwrap();
    assert_eq!(written, json!({"month": "2013-01", "rows": 2}));
}

#[test]
fn no_arguments_are_an_empty_object_or_list() {
    for arguments in ["{}", "[]", r#"{"old": 1}"#] {
        let _: ping = serde_json::from_str(arguments).unwrap();
    }
    assert_eq!(serde_json::to_string(&ping {}).unwrap(), "{}");
}

#[test]
fn what_the_worker_gives_is_no_argument() {
    let written = serde_json::to_value(mixed { count: 1, r#type: "a".into(), last: true }).unwrap();
    assert_eq!(written, json!({"count": 1, "type": "a", "final": true}));
    assert!(
        matches!(Tasks::new().task::<mixed>().check(), Err(TasksError::MissingState { task, .. }) if task == "mixed")
    );
    assert_eq!(Tasks::new().task::<mixed>().state(5_u32).check(), Ok(()));
}

#[test]
fn options_become_those_of_the_task() {
    let options = summarise::options();
    assert_eq!((summarise::NAME, options.queue, options.retry.retries), ("reports.summarise", "reports", 5));
    assert_eq!((options.timeout.unwrap().as_secs(), options.result_ttl.as_secs()), (30, 7200));
    assert_eq!(ping::options(), celeriac::TaskOptions::default());
    assert_eq!(
        (Resize::NAME, Resize::options().queue, Resize::options().retry.retries),
        ("images.resize", "images", 0)
    );
}

#[test]
fn the_output_is_that_of_the_function_through_an_alias_too() {
    let output: <summarise as Task>::Output = Summary { month: String::new(), rows: 0 };
    let same: <Resize as Task>::Output = output;
    assert_eq!(same.rows, 0);
}
