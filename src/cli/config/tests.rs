//! What `celeriac.toml` may hold, and what is said of what it may not.

use celeriac_worker::{CommandTask, Tasks};
use proptest::prelude::*;

use super::*;

fn store() -> StoreUrl {
    "sqlite:celeriac.db".parse().unwrap()
}

fn read_tasks(text: &str) -> Result<Tasks, Failure> {
    read_text(Path::new("celeriac.toml"), text, Tasks::new(), &store()).map(|config| config.tasks)
}

fn complaint(text: &str) -> String {
    match read_tasks(text) {
        Ok(tasks) => panic!("{text:?} was accepted: {tasks:?}"),
        Err(failure) => failure.message,
    }
}

#[test]
fn a_task_may_say_everything_there_is() {
    let tasks = read_tasks(
        "[tasks.thumbnail]\ncommand = [\"./thumbnail\", \"--size\", \"200\"]\nqueue = \"images\"\ntimeout = \"30s\"\n\
         retries = 3\nresult_ttl = \"1h\"\nclear_env = true\nenv = { A = \"1\" }\n[tasks.other]\ncommand = [\"true\"]\n",
    )
    .unwrap();
    assert_eq!(tasks.names().collect::<Vec<_>>(), ["other", "thumbnail"]);
    assert_eq!(tasks.queue_of("thumbnail"), Some("images"));
    assert_eq!(tasks.queue_of("other"), Some("default"));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_what_was_meant() {
    assert_eq!(
        complaint("[tasks.a]\ncommand = [\"x\"]\ntimout = \"3s\"\n"),
        "celeriac.toml:3:1: unknown key \"timout\" in [tasks.a]; did you mean \"timeout\"?"
    );
    assert!(complaint("[tasks.a]\ncomand = [\"x\"]\n").ends_with("did you mean \"command\"?"));
    assert!(complaint("[task.a]\ncommand = [\"x\"]\n").ends_with("did you mean \"tasks\"?"));
    assert!(complaint("[tasks.a]\ncommand = [\"x\"]\nzebra = 1\n").contains("there are command, queue"));
}

#[test]
fn a_name_with_dots_must_be_quoted() {
    let said = complaint("[tasks.images.resize]\ncommand = [\"x\"]\n");
    assert!(said.contains("[tasks.\"images.resize\"]"), "{said}");
    let tasks = read_tasks("[tasks.\"images.resize\"]\ncommand = [\"x\"]\n").unwrap();
    assert_eq!(tasks.names().collect::<Vec<_>>(), ["images.resize"]);
}

#[test]
fn a_wrong_type_is_named() {
    for (line, expected) in [
        ("timeout = 30", "3:11: timeout must be a duration in quotes, as in \"30s\", not a whole number"),
        ("timeout = \"30\"", "3:11: \"30\" is no duration"),
        ("timeout = \"0s\"", "3:11: a time limit must be longer than zero"),
        ("retries = \"3\"", "3:11: retries must be a whole number, not a string"),
        ("retries = -1", "3:11: retries must be a number from 0 to"),
        ("queue = \"a b\"", "3:9: queue name \"a b\" holds ' '"),
        ("clear_env = \"yes\"", "3:13: clear_env must be true or false, not a string"),
        ("env = [\"A=1\"]", "3:7: env must be a table, not a list"),
        ("env = { PORT = 80 }", "the variable PORT must be a string in quotes, not a whole number"),
        ("env = { \"A=B\" = \"1\" }", "\"A=B\" cannot name a variable"),
    ] {
        let said = complaint(&format!("[tasks.a]\ncommand = [\"x\"]\n{line}\n"));
        assert!(said.contains(expected), "{line}: {said}");
    }
}

#[test]
fn a_command_must_be_a_list_that_names_a_program() {
    for (text, expected) in [
        ("[tasks.a]\n", "celeriac.toml:1:8: [tasks.a] has no command"),
        ("[tasks.a]\ncommand = \"x y\"\n", "command must be a list"),
        ("[tasks.a]\ncommand = []\n", "command names no program"),
        ("[tasks.a]\ncommand = [\"x\", 1]\n", "command must be a string, not a whole number"),
        ("[tasks]\na = 1\n", "a must be a table"),
        ("[tasks.\"a b\"]\ncommand = [\"x\"]\n", "task name \"a b\" holds ' '"),
    ] {
        let said = complaint(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn a_broken_file_is_refused_with_a_line() {
    assert!(complaint("[tasks.a]\ncommand = [\n").starts_with("celeriac.toml:"), "the line of a broken file is named");
}

#[test]
fn an_owner_is_a_name_at_the_top() {
    let config = read_text(Path::new("f"), "owner = \"shop\"\n", Tasks::new(), &store()).unwrap();
    assert_eq!(config.schedules.owner.map(|(_, owner)| owner.to_string()).as_deref(), Some("shop"));
    assert!(complaint("owner = 3\n").starts_with("celeriac.toml:1:9: owner must be a string"));
    assert!(complaint("owner = \"a b\"\n").starts_with("celeriac.toml:1:9: owner: "));
    assert!(complaint("ownr = \"a\"\n").ends_with("did you mean \"owner\"?"));
}

#[test]
fn a_task_of_the_application_cannot_be_in_the_file_too() {
    let own = Tasks::new().command(CommandTask::new("a", "x", Vec::new()));
    let failure = read_text(Path::new("f.toml"), "[tasks.a]\ncommand = [\"x\"]\n", own, &store()).unwrap_err();
    assert!(failure.message.starts_with("f.toml:1:8: task \"a\" is one of"), "{}", failure.message);
}

/// A value, as TOML: one that fits some key, or any text.
fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,11}|0x[0-9a-f]{1,9}|[0-9]_[0-9]{3}|true|false|[0-9]\\.[0-9]|1979-05-27|\\[\"[a-z]{0,3}\", \"[a-z ]{0,3}\"\\]",
        "\"[0-9]{1,9}(ms|s|m|h|d)\"|\"[a-z]{0,5}\"|\\{ [A-Z]{1,3} = \"[a-z]\" \\}|\\[\\[\\]\\]",
        "\\PC{0,9}",
    ]
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_its_place(text in "([a-z\\[\\]{}=\"'#., \n0-9]|\\PC){0,60}") {
        if let Err(failure) = read_tasks(&text) {
            prop_assert!(failure.message.starts_with("celeriac.toml:"), "{}", failure.message);
        }
    }

    #[test]
    fn any_options_are_read_or_refused_with_their_line(
        options in prop::collection::vec(
            ("command|queue|timeout|soft_timeout|retries|result_ttl|dead_ttl|aliases|clear_env|env|[a-z]{1,4}", values()),
            0..4,
        ),
    ) {
        let lines: String = options.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        if let Err(failure) = read_tasks(&format!("[tasks.a]\ncommand = [\"x\"]\n{lines}")) {
            let message = failure.message;
            let line = message.strip_prefix("celeriac.toml:").and_then(|rest| rest.split_once(':'));
            let line: Option<usize> = line.and_then(|(line, _)| line.parse().ok());
            prop_assert!(line.is_some_and(|line| line <= 3 + options.len()), "{}", message);
        }
    }

    #[test]
    fn what_is_refused_is_said_in_short_however_long_it_is(text in "[a-z\"= .\\[\\]]{1,9}", times in 1usize..3000) {
        let text = text.repeat(times);
        for file in [text.clone(), format!("[tasks.a]\n{text} = 1\n"), format!("[tasks.a]\ncommand = [\"x\"]\nqueue = {text:?}\n")] {
            if let Err(failure) = read_tasks(&file) {
                prop_assert!(failure.message.len() < 2000, "{} bytes", failure.message.len());
            }
        }
    }
}
