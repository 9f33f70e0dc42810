//! What is refused, and in which words.

use celeriac_beat::{Timetable, TimetableError};

fn refusal(text: &str) -> String {
    match text.parse::<Timetable>() {
        Ok(timetable) => panic!("{text:?} was read as {timetable}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_refusal_names_the_field_the_text_what_is_allowed_and_where() {
    for (text, words) in [
        ("61 * * * *", "minute: 61 is above 59 (0 to 59 are allowed; column 1)"),
        ("0 0,24 * * *", "hour: 24 is above 23 (0 to 23 are allowed; column 5)"),
        ("0 0 0 * *", "day-of-month: 0 is below 1 (1 to 31 are allowed; column 5)"),
        ("0 0 1-40 * *", "day-of-month: 40 is above 31 (1 to 31 are allowed; column 5)"),
        ("  0 0 * 13 *", "month: 13 is above 12 (1 to 12 and JAN to DEC are allowed; column 9)"),
        ("0 0 * * 8", "day-of-week: 8 is above 7 (0 to 7 and SUN to SAT are allowed; column 9)"),
        ("99999999999999999999 * * * *", "minute: 99999999999999999999 is above 59 (0 to 59 are allowed; column 1)"),
        ("0 0 * XYZ *", "month: \"XYZ\" is no number and no name (1 to 12 and JAN to DEC are allowed; column 7)"),
        ("0 0 * * MONDAY", "day-of-week: MONDAY is too long; write MON (0 to 7 and SUN to SAT are allowed; column 9)"),
        ("ä,MON * * * *", "minute: \"ä\" is no number (0 to 59 are allowed; column 1)"),
        ("0,ä,60 * * * *", "minute: \"ä\" is no number (0 to 59 are allowed; column 3)"),
        ("\u{1b}[31m * * * *", "minute: \"\\u{1b}[31m\" is no number (0 to 59 are allowed; column 1)"),
        ("+5 * * * *", "minute: \"+5\" is no number (0 to 59 are allowed; column 1)"),
        ("-5 * * * *", "minute: \"-5\" lacks a number (0 to 59 are allowed; column 1)"),
        ("1,,2 * * * *", "minute: \"\" lacks a number (0 to 59 are allowed; column 3)"),
        ("*/ * * * *", "minute: \"*/\" lacks a number (0 to 59 are allowed; column 1)"),
        ("*-5 * * * *", "minute: \"*\" is no number (0 to 59 are allowed; column 1)"),
        ("0 22-2 * * *", "hour: 22-2 begins after its end; write 22-23,0-2 (0 to 23 are allowed; column 3)"),
        ("5/15 * * * *", "minute: 5/15: a step needs a range; write 5-59/15 (0 to 59 are allowed; column 1)"),
        (
            "*/90 * * * *",
            "minute: \"*/90\": a step is 1 to 59; for longer periods write every, as in every 90m (0 to 59 are allowed; column 1)",
        ),
        (
            "*/0 * * * *",
            "minute: \"*/0\": a step is 1 to 59; for longer periods write every, as in every 90m (0 to 59 are allowed; column 1)",
        ),
    ] {
        assert_eq!(refusal(text), words, "{text}");
    }
}

#[test]
fn what_unix_cron_does_not_have_is_refused_with_advice() {
    for (text, begin) in [
        ("0 0 L * *", "day-of-month: L in \"L\" is not of Unix cron; write 28-31 and let the task look at the date"),
        ("0 0 l-3 * *", "day-of-month: L in \"l-3\" is not of Unix cron"),
        ("0 0 15W * *", "day-of-month: W in \"15W\" is not of Unix cron; write MON-FRI in day-of-week"),
        ("0 0 * * 5L", "day-of-week: L in \"5L\" is not of Unix cron"),
        ("0 0 * * MON#2", "day-of-week: # in \"MON#2\" is not of Unix cron"),
        ("0 0 ? * MON", "day-of-month: ? in \"?\" is not of Unix cron; write *"),
        ("@reboot", "@reboot is no time; enqueue the job where your program starts"),
        ("@dialy", "\"@dialy\" is unknown; there are @hourly @daily"),
        ("@daily @hourly", "\"@daily @hourly\" is unknown"),
        ("TZ=Europe/Berlin 0 3 * * *", "\"TZ=Europe/Berlin\": the zone comes last, as in 0 3 * * * in Europe/Berlin"),
    ] {
        let words = refusal(text);
        assert!(words.starts_with(begin), "{text}: {words}");
    }
}

#[test]
fn another_number_of_fields_than_five_is_refused() {
    let five = "cron has five: minute hour day-of-month month day-of-week";
    assert_eq!(refusal("* * *"), format!("3 fields, {five}"));
    assert_eq!(refusal("*"), format!("1 field, {five}"));
    let hint = "; leave out seconds and years, and write every 30s for less than a minute";
    assert_eq!(refusal("0 * * * * *"), format!("6 fields, {five}{hint}"));
    assert_eq!(refusal("0 * * * * * 2030"), format!("7 fields, {five}{hint}"));
    assert_eq!(refusal("* * * * * * * *"), format!("8 fields, {five}"));
    assert!(refusal(" \t\n").starts_with("nothing is written"));
    assert!(refusal("in UTC").starts_with("nothing is written"));
    assert_eq!(refusal(&"*".repeat(1_001)), "1001 bytes; a timetable has at most 1000");
}

#[test]
fn what_never_comes_is_refused() {
    assert_eq!(refusal("0 0 31 2 *"), "it never comes: there is no day 31 in month 2");
    assert_eq!(refusal("0 0 30,31 FEB *"), "it never comes: there is no day 30,31 in month FEB");
    assert_eq!(refusal("0 0 31 4,6,9,11 */2"), "it never comes: there is no day 31 in month 4,6,9,11");
    assert!("0 0 31 2 MON".parse::<Timetable>().is_ok(), "the Mondays of February");
    assert!("0 0 29 2 *".parse::<Timetable>().is_ok());
}

#[test]
fn a_wrong_zone_is_refused_with_the_nearest_names() {
    assert_eq!(refusal("@daily in berlin"), "\"berlin\" is no time zone; did you mean Europe/Berlin?");
    let words = refusal("@daily in Europe/Berln");
    assert!(words.starts_with("\"Europe/Berln\" is no time zone; did you mean Europe/Berlin"), "{words}");
    assert!(refusal("@daily in Bogata").contains("America/Bogota"));
    for name in
        ["right/Europe/Berlin", "posix/Europe/Berlin", "Etc/Unknown", "+02:00", "/etc/passwd", "../passwd", "\u{1b}"]
    {
        let refused = format!("@daily in {name}").parse::<Timetable>();
        assert!(matches!(refused, Err(TimetableError::UnknownZone { .. })), "{name}: {refused:?}");
    }
}

#[test]
fn periods_and_instants_are_refused_with_an_example() {
    let form = "is not understood; write every 5m, or every 5m from 2030-01-31T12:00:00Z";
    assert_eq!(refusal("every"), format!("every: \"\" {form}"));
    assert_eq!(refusal("every 5m until"), format!("every: \"5m until\" {form}"));
    assert_eq!(refusal("every 500ms"), "every 500ms: the shortest period is 1s");
    assert!(refusal("every 5").starts_with("every: \"5\" is no duration; write a number and a unit"));
    let advice =
        "is no instant from 1970 to 9999; write 2030-01-31T12:00:00Z, or 2030-01-31T12:00 for the clock of the zone";
    let instants = [
        "",
        "soon",
        "1969-12-31T23:59:59Z",
        "10000-01-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-05-01T12:00+99:00",
        "2026-05-01T12:00Z[Europe/Berlin]",
        "2026-05-01T12:00[Europe/Berlin]",
    ];
    for text in instants {
        assert_eq!(refusal(&format!("at {text}")), format!("{text:?} {advice}"));
        assert_eq!(refusal(&format!("every 5m from {text}")), format!("{text:?} {advice}"));
    }
}
