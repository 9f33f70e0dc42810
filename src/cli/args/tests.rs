//! What may stand on the command line, and what is said of what may not. `PROPTEST_CASES` asks for more than 256 inputs of each kind.

use clap::CommandFactory;
use proptest::prelude::*;

use super::worker::{lease, worker_name};
use super::*;

fn parse(line: &str) -> Result<CommandLine, clap::Error> {
    CommandLine::try_parse_from(told_apart(line.split(' ').map(OsString::from)))
}

fn wait_of(line: &str) -> Option<Wait> {
    match parse(line).unwrap().verb {
        Verb::Enqueue(args) => args.wait,
        verb => panic!("{verb:?}"),
    }
}

#[test]
fn the_command_line_is_well_formed() {
    CommandLine::command().debug_assert();
}

#[test]
fn a_wait_may_stand_anywhere_with_and_without_its_limit() {
    let ten = Some(Wait(Some(Duration::from_secs(10))));
    assert_eq!(wait_of("c enqueue --wait add {}"), Some(Wait(None)));
    assert_eq!(wait_of("c enqueue add {} --wait"), Some(Wait(None)));
    assert_eq!(wait_of("c enqueue --wait --json add"), Some(Wait(None)));
    assert_eq!(wait_of("c enqueue --wait 10s add"), ten);
    assert_eq!(wait_of("c enqueue add --wait 10s"), ten);
    assert_eq!(wait_of("c enqueue add --wait=10s"), ten);
    assert!(parse("c enqueue add --wait 10").unwrap_err().to_string().contains("is no duration"));
}

#[test]
fn the_defaults_in_the_help_are_those_of_the_worker() {
    let Verb::Worker(args) = parse("c worker").unwrap().verb else { panic!("another verb") };
    assert_eq!(args.grace, celeriac_worker::DEFAULT_GRACE);
    assert_eq!(args.lease, celeriac_broker::DEFAULT_LEASE);
}

#[test]
fn what_cannot_go_together_is_refused() {
    for line in [
        "c enqueue",
        "c enqueue add --from f",
        "c enqueue --from f -q a",
        "c enqueue add --delay 1s --at 2030-01-01T00:00:00Z",
        "c enqueue add --at 2030-01-01",
        "c enqueue add --timeout 0s",
        "c dead retry",
        "c dead retry a --all",
        "c dead delete a --task t",
        "c dead delete",
        "c enqueue add --priority 10",
        "c enqueue add --header a",
        "c enqueue add --expires 0s",
        "c job revoke",
        "c worker -c 0",
        "c worker --lease 10ms",
        "c worker --name a~b",
        "c worker --health 8080",
        "c worker --health health",
        "c worker -q a,,b",
        "c worker -q a=0",
        "c worker --max-tasks 0",
        "c job list --state pending",
        "c job list --limit 0",
        "c bench --jobs 0",
        "c bench --processes 1,,2",
        "c bench --idle 5",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

/// What is refused is named, in short.
fn is_short<T>(answer: Result<T, impl ToString>) -> bool {
    answer.err().is_none_or(|error| error.to_string().len() < 1000)
}

proptest! {
    #[test]
    fn any_value_of_an_argument_is_read_or_refused_in_short(text in "(.|\\n){0,30}", times in 1usize..100) {
        let text = text.repeat(times);
        prop_assert!(is_short(instant(&text)) && is_short(time_limit(&text)) && is_short(lease(&text)));
        prop_assert!(is_short(header(&text)) && is_short(worker_name(&text)) && is_short(text.parse::<Wait>()));
    }

    #[test]
    fn an_instant_is_read_as_it_is_written(seconds in -377_705_023_201i64..253_402_207_200, nanos in 0i32..1_000_000_000) {
        let written = jiff::Timestamp::new(seconds, nanos).unwrap();
        prop_assert_eq!(instant(&written.to_string()), Ok(SystemTime::from(written)));
    }

    #[test]
    fn what_looks_like_an_instant_never_panics(text in "-?[0-9]{1,6}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,10})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?|\\[[A-Z]{1,9}\\])?") {
        prop_assert!(is_short(instant(&text)));
    }

    #[test]
    fn a_header_is_what_stands_on_both_sides_of_the_first_sign(name in "[^=]{0,9}", value in ".{0,9}") {
        prop_assert_eq!(header(&format!("{name}={value}")), Ok((name, value)));
    }

    #[test]
    fn telling_a_wait_apart_keeps_every_word(words in prop::collection::vec("--wait|--|-q|[a-z0-9]{0,3}", 0..9)) {
        let told = told_apart(words.iter().map(OsString::from));
        let plain = told.iter().map(|word| if word == "--wait=forever" { "--wait".into() } else { word.clone() });
        prop_assert!(plain.eq(words.iter().map(OsString::from)));
    }

    #[test]
    fn no_command_line_panics(words in prop::collection::vec(
        "enqueue|worker|job|list|dead|retry|--(wait|at|delay|after|queue|header|health|from|limit)=?|-q|-c|--|[a-z0-9=,.:/{}\"-]{0,9}|\\PC{0,5}",
        0..7,
    )) {
        let all = ["c".to_owned()].into_iter().chain(words);
        let _ = CommandLine::try_parse_from(told_apart(all.map(OsString::from)));
    }
}
