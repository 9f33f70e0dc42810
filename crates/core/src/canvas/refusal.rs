//! Why a workflow is refused.

use std::fmt;

use super::place::Place;
use crate::excerpt::excerpt;
use crate::headers::HeaderError;
use crate::name::NameError;
use crate::options::{OptionError, PriorityError};

/// How many steps of a cycle are named.
const NAMED: usize = 8;

/// A workflow that was refused: where, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    place: Box<Place>,
    refusal: Box<Refusal>,
}

impl SpecError {
    pub(super) fn new(place: Place, refusal: Refusal) -> Self {
        Self { place: Box::new(place), refusal: Box::new(refusal) }
    }

    /// Where.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Why.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.refusal)
    }
}

impl std::error::Error for SpecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.refusal.source()
    }
}

/// Why something in a workflow is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The text is no JSON.
    #[error("no JSON: {0}")]
    NotJson(String),
    /// The whole has more bytes than are allowed.
    #[error("it has {bytes} bytes; at most {limit} are allowed")]
    SpecTooLarge {
        /// Its size as JSON.
        bytes: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// A value is not what stands there.
    #[error("expected {expected}, found {}", harmless(.found))]
    Unexpected {
        /// What stands there.
        expected: &'static str,
        /// The value.
        found: String,
    },
    /// A key that no part of a workflow has.
    #[error("unknown key {:?}{}", excerpt(.key), did_you_mean(.nearest.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// The known key that is nearest, if one is near.
        nearest: Option<String>,
    },
    /// A key that this kind of part does not have, or not in this place.
    #[error("{key:?} means nothing here: {rule}")]
    Misplaced {
        /// The key.
        key: String,
        /// Where it has a meaning.
        rule: &'static str,
    },
    /// A key that stands twice in one object.
    #[error("{:?} stands here twice", excerpt(.0))]
    RepeatedKey(String),
    /// Nothing says what kind of part it is.
    #[error("it has none of \"task\", \"chain\", \"group\", \"chord\" and \"steps\"")]
    NoKind,
    /// It is said twice what kind of part it is.
    #[error("it has both {0:?} and {1:?}")]
    TwoKinds(&'static str, &'static str),
    /// A chord without a body.
    #[error("a chord needs a \"body\"")]
    NoBody,
    /// The name of a task or of a queue breaks a rule.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name of a part breaks a rule.
    #[error("{:?} cannot name a part: {rule}", excerpt(.name))]
    PartName {
        /// The name.
        name: String,
        /// The rule.
        rule: &'static str,
    },
    /// Two parts that lie beside each other have one name.
    #[error("two parts are called {0:?}")]
    TwoOfOneName(String),
    /// A step depends on one that is not beside it.
    #[error("no step beside it is called {:?}{}", excerpt(.dependency), did_you_mean(.nearest.as_deref()))]
    UnknownDependency {
        /// The name.
        dependency: String,
        /// The name beside it that is nearest, if one is near.
        nearest: Option<String>,
    },
    /// A dependency that is named twice.
    #[error("it depends twice on {0:?}")]
    RepeatedDependency(String),
    /// Steps that wait for each other.
    #[error("these wait for each other: {}", cycle(.0))]
    Cycle(Vec<String>),
    /// There is no step at all.
    #[error("there is no step in it, so nothing would run")]
    Empty,
    /// A chain or a graph without parts.
    #[error("{0} needs at least one part; only a group may be empty")]
    NoParts(&'static str),
    /// There are more steps than are allowed.
    #[error("there are more than {limit} steps")]
    TooManySteps {
        /// The most that are allowed.
        limit: usize,
    },
    /// Parts lie deeper in each other than is allowed.
    #[error("parts lie in each other more than {limit} deep")]
    TooDeep {
        /// The most that is allowed.
        limit: usize,
    },
    /// The arguments of one step have more bytes than are allowed.
    #[error("the arguments have {bytes} bytes; at most {limit} are allowed")]
    PayloadTooLarge {
        /// Their size.
        bytes: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// What a part takes does not fit what comes before it.
    #[error("it takes {takes:?}, {rule}")]
    Takes {
        /// What it takes.
        takes: &'static str,
        /// Why it cannot.
        rule: String,
    },
    /// Arguments of its own do not fit what a step takes.
    #[error("{0}")]
    Arguments(String),
    /// A priority above 9.
    #[error(transparent)]
    Priority(#[from] PriorityError),
    /// A header breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// An option that cannot be met.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// An option that would have no effect.
    #[error("{0}")]
    NoEffect(&'static str),
}

/// The beginning of a JSON value without what a terminal would obey.
fn harmless(json: &str) -> String {
    let shown = |c: char| if matches!(c, '"' | '\'' | '\\') { c.to_string() } else { c.escape_debug().to_string() };
    excerpt(json).chars().map(shown).collect()
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

/// `a -> b -> a`, with `…` in the middle of a long one.
fn cycle(names: &[String]) -> String {
    let first = names.first().map_or("", String::as_str);
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = if names.len() > NAMED { " -> …" } else { "" };
    format!("{}{more} -> {first}", shown.join(" -> "))
}

/// How many names are compared at most: whoever mistypes one of 100,000 shall not wait for the complaint.
const COMPARED: usize = 20_000;

/// The nearest of `known` to a name that is not among them, if one is near.
pub(super) fn nearest<K: AsRef<str>>(unknown: &str, known: impl Iterator<Item = K>) -> Option<String> {
    // No name of a part is that long, and a comparison costs the product of both lengths.
    if unknown.len() > 100 {
        return None;
    }
    let similar = known.take(COMPARED).filter(|name| name.as_ref().len().abs_diff(unknown.len()) <= 3);
    let with_distance = similar.map(|name| (strsim::osa_distance(unknown, name.as_ref()), name));
    let (distance, name) = with_distance.min_by_key(|(distance, _)| *distance)?;
    let name = name.as_ref();
    // Half of a short name may be wrong, and not more than three letters of a long one.
    (distance <= (name.len() / 2).min(3)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_cycle_is_named_whole_and_a_long_one_in_part() {
        let names = |count: usize| -> Vec<String> { (0..count).map(|at| format!("s{at}")).collect() };
        assert_eq!(cycle(&names(1)), "s0 -> s0");
        assert_eq!(cycle(&names(3)), "s0 -> s1 -> s2 -> s0");
        assert_eq!(cycle(&names(99)), "s0 -> s1 -> s2 -> s3 -> s4 -> s5 -> s6 -> s7 -> … -> s0");
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = || ["load", "sum", "publish"].into_iter();
        assert_eq!(nearest("laod", known()).as_deref(), Some("load"));
        assert_eq!(nearest("publsih", known()).as_deref(), Some("publish"));
        assert_eq!(nearest("mail", known()), None);
        assert_eq!(nearest(&"x".repeat(5000), known()), None);
    }
}
