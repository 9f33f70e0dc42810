//! Where in a file something is wrong, and how to say it.

use std::fmt::Display;
use std::path::Path;

use toml::Spanned;
use toml::de::DeValue;

use crate::cli::exit::Failure;

/// The most characters of what is said of a problem.
const LONGEST: usize = 500;

/// How many letters of a name may be wrong.
const TYPOS: usize = 3;

/// The file being read.
pub(super) struct Source<'s> {
    pub(super) path: &'s Path,
    pub(super) text: &'s str,
}

/// Something that cannot work, and where it stands.
#[derive(Debug)]
pub(super) struct Problem {
    /// In bytes from the beginning of the file.
    pub(super) at: usize,
    pub(super) text: String,
}

impl Problem {
    pub(super) fn at<T>(place: &Spanned<T>, text: impl Display) -> Self {
        Self { at: place.span().start, text: text.to_string() }
    }
}

impl Source<'_> {
    /// The problem with file, line and column, as compilers write them.
    pub(super) fn failure(&self, problem: &Problem) -> Failure {
        // It may repeat what it is about.
        let cut = problem.text.char_indices().nth(LONGEST).map(|(end, _)| format!("{}…", &problem.text[..end]));
        Failure::usage(format!("{}: {}", self.place(problem.at), cut.as_deref().unwrap_or(&problem.text)))
    }

    /// File, line and column of a place.
    pub(super) fn place(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{}:{line}:{column}", self.path.display())
    }
}

/// The kind of a value in words.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Asks whether the nearest of `known` was meant, if one is near.
pub(super) fn nearest(unknown: &str, known: &[&str]) -> Option<String> {
    let distance = |name: &&&str| strsim::damerau_levenshtein(unknown, name);
    // Comparing takes as much memory as both are long together, so a name that is much too long is not compared.
    let candidate = known.iter().filter(|name| unknown.len() <= 4 * (name.len() + TYPOS)).min_by_key(distance)?;
    // Half of a short name may be wrong, and not more than three letters of a long one.
    let is_near = distance(&candidate) <= (candidate.len() / 2).min(TYPOS);
    is_near.then(|| format!("did you mean {candidate:?}?"))
}
