//! Whether every job of a phase ran exactly once.

use super::record::Ran;

/// How many numbers a message names.
const NAMED: usize = 5;

/// What is wrong with a phase: a sentence that says how many jobs were lost or doubled, and the first of them.
pub(super) fn once_each(ran: &Ran) -> Result<(), String> {
    let of = |wrong: fn(u32) -> bool| -> Vec<usize> {
        ran.runs.iter().enumerate().filter(|(_, runs)| wrong(**runs)).map(|(n, _)| n).collect()
    };
    let (lost, doubled) = (of(|runs| runs == 0), of(|runs| runs > 1));
    if lost.is_empty() && doubled.is_empty() {
        return Ok(());
    }
    let parts = [named(&lost, "never ran"), named(&doubled, "ran more than once")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    Err(format!("of {} jobs {}", ran.runs.len(), parts.join(", ")))
}

fn named(numbers: &[usize], what: &str) -> Option<String> {
    let first = numbers.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = if numbers.len() > NAMED { ", …" } else { "" };
    (!numbers.is_empty()).then(|| format!("{} {what} (number {first}{more})", numbers.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(runs: &[u32]) -> Result<(), String> {
        once_each(&Ran { runs: runs.to_vec(), starts: Vec::new() })
    }

    #[test]
    fn once_each_is_right() {
        assert_eq!(check(&[1, 1, 1]), Ok(()));
    }

    #[test]
    fn a_lost_and_a_doubled_job_are_counted_and_named() {
        assert_eq!(check(&[1, 0, 1]).unwrap_err(), "of 3 jobs 1 never ran (number 1)");
        assert_eq!(check(&[2, 1, 3]).unwrap_err(), "of 3 jobs 2 ran more than once (number 0, 2)");
        let both = check(&[0, 0, 0, 0, 0, 0, 9]).unwrap_err();
        assert_eq!(both, "of 7 jobs 6 never ran (number 0, 1, 2, 3, 4, …), 1 ran more than once (number 6)");
    }
}
