//! What `[schedules.NAME]` may hold, and what is said of what it may not.

use std::path::Path;

use celeriac_core::{Schedule, Timestamp};

use super::*;
use crate::cli::config::{Config, read_text};
use crate::cli::exit::Failure;

const TASKS: &str = "[tasks.report]\ncommand = [\"true\"]\nqueue = \"reports\"\n";

fn read_file(text: &str) -> Result<Config, Failure> {
    let store = "sqlite:celeriac.db".parse().unwrap();
    read_text(Path::new("celeriac.toml"), text, Tasks::new(), &store)
}

/// The only schedule of a file, after the task above.
fn schedule(lines: &str) -> Schedule {
    let config = read_file(&format!("{TASKS}[schedules.s]\ntask = \"report\"\n{lines}\n")).unwrap();
    let [(_, entry)] = <[_; 1]>::try_from(config.schedules.entries).unwrap();
    assert_eq!((entry.name.as_str(), entry.owner), ("s", Owner::Hand));
    entry.schedule
}

/// What is said of the lines of a schedule that begins on line 1 and has its task on line 2.
fn complaint(lines: &str) -> String {
    match read_file(&format!("[schedules.s]\ntask = \"t\"\n{lines}\n")) {
        Ok(config) => panic!("{lines:?} was accepted: {config:?}"),
        Err(failure) => failure.message,
    }
}

#[test]
fn a_schedule_needs_a_task_and_a_time() {
    let plain = schedule("cron = \"0 3 * * MON-FRI\"\ntimezone = \"Europe/Berlin\"");
    assert_eq!((plain.timetable.as_str(), plain.args.get()), ("0 3 * * MON-FRI in Europe/Berlin", "{}"));
    assert_eq!((plain.task.as_str(), plain.queue.as_str()), ("report", "reports"), "the queue of the task");
    assert_eq!(schedule("every = \"90s\"").timetable, "every 90s");
    assert_eq!(
        schedule("every = \"6h\"\nanchor = 2030-01-01T01:00:00Z").timetable,
        "every 6h from 2030-01-01T01:00:00Z"
    );
    assert_eq!(schedule("at = 2030-01-31T12:00:00+02:00").timetable, "at 2030-01-31T12:00:00+02:00");
    let on_the_clock = schedule("at = 2030-01-31T12:00:00\ntimezone = \"Asia/Tokyo\"");
    assert_eq!(on_the_clock.timetable, "at 2030-01-31T12:00:00 in Asia/Tokyo");
}

#[test]
fn a_schedule_may_say_everything_there_is() {
    let full = schedule(
        "cron = \"@daily\"\nqueue = \"q\"\npriority = 9\nretries = 2\ntimeout = \"5m\"\nexpires = \"1h\"\nunique = \"k\"\n\
         catch_up = 7\noverlap = \"skip\"\njitter = \"30s\"\nstarts_at = 1970-01-01T00:00:05Z\n\
         ends_at = \"1970-01-01T00:00:09Z\"\npaused = true\nheaders = { a = \"b\" }",
    );
    assert_eq!((full.queue.as_str(), full.priority.get(), full.options.retries), ("q", 9, Some(2)));
    assert_eq!((full.options.timeout_ms, full.options.expires_ms), (Some(300_000), Some(3_600_000)));
    assert_eq!(full.options.unique.as_ref().map(UniqueKey::as_str), Some("k"));
    assert_eq!(full.options.headers.iter().collect::<Vec<_>>(), [("a", "b")]);
    assert_eq!((full.catch_up, full.overlap, full.jitter_ms), (CatchUp::All(7), Overlap::Skip, 30_000));
    let bounds = (Timestamp::from_millis(5_000), Timestamp::from_millis(9_000));
    assert_eq!(full.starts_at.zip(full.ends_at), Some(bounds));
    assert!(full.rests && !full.keeps_late);
    assert!(schedule("cron = \"@daily\"\nexpires = \"never\"").keeps_late);
    let policy = |word: &str| schedule(&format!("cron = \"@daily\"\ncatch_up = \"{word}\"")).catch_up;
    assert_eq!(
        [policy("skip"), policy("latest"), policy("all")],
        [CatchUp::Skip, CatchUp::Latest, CatchUp::All(10_000)]
    );
}

#[test]
fn arguments_are_any_value_as_json() {
    let args = |toml: &str| schedule(&format!("cron = \"@daily\"\nargs = {toml}")).args.get().to_owned();
    assert_eq!(args("{ n = 1, deep = { list = [true, 1.5, \"x\"] } }"), r#"{"deep":{"list":[true,1.5,"x"]},"n":1}"#);
    assert_eq!(args("[2030-01-31, -0x7]".replace("-0x7", "0x7").as_str()), r#"["2030-01-31",7]"#);
    assert_eq!(args("\"word\""), "\"word\"");
    assert_eq!(schedule("cron = \"@daily\"\n[schedules.s.args]\nday = \"today\"").args.get(), r#"{"day":"today"}"#);
    assert!(
        complaint("cron = \"@daily\"\nargs = [nan]").starts_with("celeriac.toml:4:9: args: JSON has no such number")
    );
    let long = format!("cron = \"@daily\"\nargs = \"{}\"", "x".repeat(1024 * 1024));
    assert!(complaint(&long).contains("celeriac.toml:4:1: "), "{}", &complaint(&long)[..200]);
}

#[test]
fn a_time_that_cannot_be_is_named_with_its_line() {
    for (lines, expected) in [
        ("cron = \"61 * * * *\"", "3:8: cron: minute: 61 is above 59 (0 to 59 are allowed; column 1)"),
        ("cron = \"* * *\"", "3:8: cron: 3 fields, cron has five"),
        ("cron = \"0 0 31 2 *\"", "3:8: cron: it never comes: there is no day 31 in month 2"),
        (
            "cron = \"@daily\"\ntimezone = \"Europe/Berln\"",
            "4:12: timezone: \"Europe/Berln\" is no time zone; did you mean",
        ),
        ("cron = \"@daily in Asia/Tokyo\"\ntimezone = \"Europe/Berlin\"", "3:8: cron: the zone is given twice"),
        ("cron = 5", "3:8: cron must be a string, not a whole number"),
        ("every = \"5\"", "3:9: every: \"5\" is no duration"),
        ("every = \"10ms\"", "3:9: every 10ms: the shortest period is 1s"),
        ("every = \"5m\"\ntimezone = \"UTC\"", "4:1: timezone has no effect on every"),
        ("cron = \"@daily\"\nanchor = 2030-01-01T00:00:00Z", "4:1: anchor is for every alone"),
        ("at = 2030-01-31T25:00:00Z", "3:"),
        ("at = \"tomorrow\"", "3:6: at: \"tomorrow\" is no instant"),
        ("at = 5", "3:6: at must be an instant, as in 2030-01-31T12:00:00Z, not a whole number"),
        ("at = 2030-01-31T12:00:00Z\ncron = \"@daily\"", "4:1: at and cron cannot go together"),
        ("queue = \"q\"", "1:12: [schedules.s] does not say when; write cron = \"0 3 * * *\", every"),
    ] {
        let said = complaint(lines);
        assert!(said.contains(&format!("celeriac.toml:{expected}")), "{lines}: {said}");
    }
}

#[test]
fn a_wrong_value_is_named_with_its_line() {
    for (line, expected) in [
        ("priority = 10", "4:12: priority 10 is outside 0 to 9"),
        ("priority = 300", "4:12: priority 255 is outside 0 to 9"),
        ("retries = \"3\"", "4:11: retries must be a whole number"),
        ("timeout = \"0s\"", "4:11: a time limit must be longer than zero"),
        ("expires = 5", "4:11: expires must be a duration in quotes"),
        ("unique = \"a b\"", "4:10: unique key \"a b\" holds ' '"),
        (
            "catch_up = \"some\"",
            "4:12: catch_up: write skip, latest, all, or how many at most, 1 to 10000; not \"some\"",
        ),
        ("catch_up = 0", "4:12: catch_up: write skip"),
        ("overlap = \"queue\"", "4:11: overlap: write allow or skip"),
        ("jitter = \"8d\"", "4:1: jitter must be a week at most"),
        ("starts_at = 2030-01-31", "4:13: starts_at: \"2030-01-31\" is no instant"),
        (
            "ends_at = 1970-01-01T00:00:00Z\nstarts_at = 2030-01-01T00:00:00Z",
            "4:1: ends_at must be later than starts_at",
        ),
        ("paused = \"yes\"", "4:10: paused must be true or false"),
        ("headers = { a = 1 }", "the header a must be a string in quotes, not a whole number"),
        ("headers = { \"a b\" = \"c\" }", "4:11: headers: header name \"a b\""),
    ] {
        let said = complaint(&format!("cron = \"@daily\"\n{line}"));
        assert!(said.contains(expected), "{line}: {said}");
    }
}

#[test]
fn unknown_keys_and_names_are_refused() {
    let unknown = complaint("cron = \"@daily\"\ncatchup = \"skip\"");
    assert_eq!(unknown, "celeriac.toml:4:1: unknown key \"catchup\" in [schedules.s]; did you mean \"catch_up\"?");
    assert!(
        complaint("cron = \"@daily\"\nowner = \"shop\"")
            .ends_with("it belongs to the top of the file, before the first table")
    );
    assert!(complaint("cron = \"@daily\"\n[schedules.s.t]\ntask = \"t\"").contains("[schedules.\"s.t\"]"));
    let refusal = |text: &str| read_file(text).unwrap_err().message;
    assert!(refusal("[schedules.s]\ncron = \"@daily\"\n").starts_with("celeriac.toml:1:12: [schedules.s] has no task"));
    assert!(refusal("[schedules.\"a b\"]\n").starts_with("celeriac.toml:1:12: schedule name \"a b\" holds"));
    assert!(refusal("[schedule.a]\n").ends_with("did you mean \"schedules\"?"));
    let twice = refusal("[schedules.s]\ntask = \"t\"\n[schedules.s]\n");
    assert!(twice.starts_with("celeriac.toml:3:"), "{twice}");
}
