//! `enqueue --from FILE`.

use serde_json::json;

use crate::place::{Place, fields, ids};

#[test]
fn each_line_is_a_job_and_blank_lines_are_none() {
    let place = Place::new();
    place.write(
        "jobs.jsonl",
        "{\"task\": \"echo\", \"id\": \"a\"}\r\n\n  \n{\"task\": \"images\", \"args\": [1], \"id\": \"b\"}",
    );
    assert_eq!(place.json(&["enqueue", "--from", "jobs.jsonl"]), json!({"enqueued": 2, "ids": ["a", "b"]}));
    let job = place.json(&["job", "get", "b"]);
    assert_eq!((&job["queue"], &job["args"]), (&json!("images"), &json!([1])));
    assert_eq!(place.json(&["job", "get", "a"])["args"], json!({}));
}

#[test]
fn a_line_may_carry_every_option() {
    let place = Place::new();
    let lines = r#"{"task": "sleep", "id": "a", "queue": "q", "retries": 0, "timeout": "10ms"}
        {"task": "echo", "id": "b", "at": "2100-01-31T10:00:00Z"}
        {"task": "echo", "id": "c", "delay": "2h"}"#;
    let answer = place.run_with_input(&["enqueue", "--from", "-"], lines);
    assert_eq!((answer.code, answer.out.as_str()), (0, "enqueued 3 jobs in sqlite:celeriac.db\n"));
    assert_eq!(place.json(&["job", "get", "b"])["due_at"], "2100-01-31T10:00:00.000Z");
    assert_eq!(place.json(&["job", "get", "c"])["state"], "scheduled");
    let _worker = place.worker(&["-q", "q"]);
    assert_eq!(place.run(&["result", "a", "--wait"]).code, 1);
    assert_eq!(place.json(&["job", "get", "a"])["attempt"], 1);
}

#[test]
fn a_bad_line_is_named_and_nothing_is_enqueued() {
    let place = Place::new();
    for (bad, expected) in [
        ("{\"task\": \"echo\"", "line 3: EOF"),
        ("{\"args\": {}}", "line 3: there is no \"task\""),
        ("{\"task\": \"echo\", \"quue\": \"a\"}", "line 3: unknown field `quue`"),
        ("{\"task\": \"echo\", \"delay\": 3}", "line 3: delay: "),
        ("{\"task\": \"echo\", \"id\": \"a\"}", "line 3: id: line 1 has the same"),
        ("null", "line 3: it is no JSON object"),
    ] {
        let lines = format!("{{\"task\": \"echo\", \"id\": \"a\"}}\n\n{bad}\n{{\"task\": \"echo\"}}\n");
        let answer = place.run_with_input(&["enqueue", "--from", "-", "--json"], &lines);
        assert_eq!((answer.code, answer.out.as_str()), (2, ""), "{bad}");
        assert!(answer.err.contains(expected) && answer.err.contains("nothing was enqueued"), "{bad}: {}", answer.err);
    }
    assert_eq!(place.json(&["job", "list"]), json!([]));
}

#[test]
fn every_bad_line_counts_and_the_first_are_named() {
    let place = Place::new();
    let answer = place.run_with_input(&["enqueue", "--from", "-"], &"x\n".repeat(9));
    assert!(answer.err.contains("line 5:") && !answer.err.contains("line 6:"), "{}", answer.err);
    assert!(answer.err.contains("and 4 more"), "{}", answer.err);
}

#[test]
fn ids_in_use_do_not_stop_the_others_so_that_a_load_can_be_repeated() {
    let place = Place::new();
    place.ok(&["enqueue", "echo", "--id", "b"]);
    let lines = ["a", "b", "c"].map(|id| format!("{{\"task\": \"echo\", \"id\": \"{id}\"}}\n")).concat();
    let answer = place.run_with_input(&["enqueue", "--from", "-", "--json"], &lines);
    assert_eq!((answer.code, answer.json()), (5, json!({"enqueued": 2, "ids": ["a", "c"]})));
    assert!(answer.err.contains("line 2: job id b is in use"), "{}", answer.err);
    assert_eq!(ids(&place.json(&["job", "list"])), ["a", "b", "c"]);
}

#[test]
fn many_jobs_keep_their_order() {
    let place = Place::new();
    let lines: String = (0..3_000).map(|n| format!("{{\"task\": \"echo\", \"id\": \"j{n}\"}}\n")).collect();
    let answer = place.run_with_input(&["enqueue", "--from", "-", "--json"], &lines);
    let expected: Vec<_> = (0..3_000).map(|n| format!("j{n}")).collect();
    assert_eq!(answer.json(), json!({"enqueued": 3_000, "ids": expected}));
    assert_eq!(place.json(&["queue", "list"])[0]["ready"], 3_000);
}

#[test]
fn a_wait_brings_all_ends() {
    let place = Place::new();
    let _worker = place.worker(&[]);
    let lines = "{\"task\": \"echo\", \"id\": \"a\", \"args\": 1}\n{\"task\": \"fail\", \"id\": \"b\"}\n";
    let answer = place.run_with_input(&["enqueue", "--from", "-", "--wait", "--json"], lines);
    let json = answer.json();
    assert_eq!(
        (answer.code, &json["succeeded"], &json["failed"], &json["not_ended"]),
        (1, &json!(1), &json!(1), &json!(0))
    );
    assert_eq!(json["results"][0], json!({"id": "a", "state": "succeeded", "result": 1}));
    assert_eq!(fields(&json["results"][1]), ["error", "id", "state"]);
    assert!(answer.err.contains("job b is dead"), "{}", answer.err);
}

#[test]
fn a_wait_that_is_over_counts_what_has_not_ended() {
    let place = Place::new();
    let answer = place.run_with_input(&["enqueue", "--from", "-", "--wait", "50ms"], "{\"task\": \"echo\"}\n");
    assert_eq!(answer.code, 1);
    assert!(answer.out.ends_with(": 0 succeeded, 0 failed, 1 not ended\n"), "{}", answer.out);
}

#[test]
fn a_file_that_is_not_there_or_stands_beside_other_options_is_a_usage_error() {
    let place = Place::new();
    place.write("jobs.jsonl", "");
    for arguments in [
        &["enqueue", "--from", "nothing"][..],
        &["enqueue", "echo", "--from", "jobs.jsonl"],
        &["enqueue", "--from", "jobs.jsonl", "-q", "a"],
        &["enqueue", "--from", "jobs.jsonl", "--id", "a"],
        &["enqueue", "--from", "jobs.jsonl", "--delay", "1s"],
    ] {
        assert_eq!(place.run(arguments).code, 2, "{arguments:?}");
    }
    assert_eq!(place.json(&["enqueue", "--from", "jobs.jsonl"]), json!({"enqueued": 0, "ids": []}));
}
