//! Before much is changed: who asks, and whether that is meant.

use std::io::{BufRead, IsTerminal, Write};

use crate::cli::exit::Failure;

/// Who gives this order, as it is kept with what it ends.
pub(crate) fn person() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.is_empty());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = format!("{}@{host}", user.as_deref().unwrap_or("somebody"));
    name.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// Asks whether that is meant, unless it was said before with `--yes`.
///
/// Without a terminal nobody can be asked, and nothing is done: a script that means it says so.
pub(crate) fn consent(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("{question} Nothing was done; add --yes to do it")));
    }
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{question} [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    match std::io::stdin().lock().read_line(&mut answer) {
        Ok(_) if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) => Ok(()),
        _ => Err(Failure::usage("nothing was done")),
    }
}

/// `1 job`, `2 jobs`.
pub(crate) fn jobs(count: usize) -> String {
    counted(count, "job")
}

/// A number and a noun, which gets an s unless there is one of it.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_a_name_without_control_characters() {
        let person = person();
        assert!(person.contains('@') && !person.contains('\n'), "{person:?}");
    }
}
