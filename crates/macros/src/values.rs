//! The values an option may have, checked while the user compiles.
//!
//! The rules are those of `celeriac-core`. They are written again here and not shared, because a macro is built for
//! the machine that compiles: whoever links core would build it, and all it needs, twice. The tests compare the two.

/// The longest name in bytes.
const MAX_NAME_BYTES: usize = 200;

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Says what is wrong with the name of a `what`.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._:/-".contains(c);
    if name.is_empty() {
        return Err(format!("the {what} is empty; use 1 to {MAX_NAME_BYTES} of letters, digits and `._:/-`"));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(format!("the {what} has {} bytes; at most {MAX_NAME_BYTES} are allowed", name.len()));
    }
    match name.chars().find(|c| !allowed(*c)) {
        Some(wrong) => Err(format!("the {what} holds {wrong:?}; use letters, digits and `._:/-`")),
        None => Ok(()),
    }
}

/// Reads a duration in milliseconds: `250ms 10s 5m 2h 7d`.
pub(crate) fn duration(text: &str) -> Result<u64, String> {
    let refused = || format!("{text:?} is no duration; write a number and a unit, as in `250ms` `10s` `5m` `2h` `7d`");
    let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(refused)?;
    let (number, unit) = text.split_at(split);
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
    if number.is_empty() || number.len() > 20 || !number.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(refused());
    }
    let total = number.parse::<f64>().map_err(|_| refused())? * *millis as f64;
    if total >= 1e14 {
        return Err(refused());
    }
    Ok(total.round() as u64)
}

/// Reads the bounds of a back-off in milliseconds: `1s..10m`.
pub(crate) fn backoff(text: &str) -> Result<(u64, u64), String> {
    let refused = || format!("{text:?} is no back-off; write the first and the longest wait, as in `1s..10m`");
    let (base, max) = text.split_once("..").ok_or_else(refused)?;
    let (base, max) = (duration(base)?, duration(max)?);
    if base > max { Err(format!("{text:?} begins with the longer wait")) } else { Ok((base, max)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn durations_mean_what_they_mean_in_core() {
        let texts = [
            "250ms",
            "10s",
            "5m",
            "2h",
            "7d",
            "1.5s",
            "0s",
            ".5h",
            "5.m",
            "",
            "10",
            "s",
            "-1s",
            "1e9d",
            "1 day",
            "1s2m",
            "1..5s",
            ".s",
            "9999999999999999999d",
            "1157407d",
            "1157408d",
            "１s",
            "1S",
            "00000000000000000001s",
            "000000000000000000001s",
        ];
        for text in texts {
            let ours = duration(text).map(Duration::from_millis).ok();
            assert_eq!(ours, celeriac_core::parse_duration(text).ok(), "{text:?}");
        }
    }

    #[test]
    fn names_are_those_of_core() {
        let long = "q".repeat(200);
        let longer = "q".repeat(201);
        for name in ["a.b_c:d/e-1", "", "a b", "ä", "a{b}", "a\n", &long, &longer] {
            assert_eq!(check_name("queue", name).is_ok(), celeriac_core::QueueName::new(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn a_back_off_has_a_shorter_and_a_longer_bound() {
        assert_eq!(backoff("1s..10m"), Ok((1_000, 600_000)));
        assert_eq!(backoff("1.5s..1.5s"), Ok((1_500, 1_500)));
        assert!(backoff("1s").unwrap_err().contains("no back-off"));
        assert!(backoff("1s..x").unwrap_err().contains("no duration"));
        assert!(backoff("10m..1s").unwrap_err().contains("begins with the longer"));
    }
}
