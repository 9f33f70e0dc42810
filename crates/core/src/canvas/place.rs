//! Where in a workflow something stands, so that a complaint can say it: the path in the JSON form, and the name of the step.

use std::fmt;

use super::refusal::{Refusal, SpecError};
use crate::excerpt::excerpt;

/// The longest path that is shown, in characters; of a longer one the end is shown.
const SHOWN: usize = 240;

/// A place in a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The path in the JSON form, such as `chain[1].group[3].args`; empty for the whole.
    pub path: String,
    /// The name of the step or part, such as `chain/1/3`; empty for the whole.
    pub step: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.as_str(), self.step.as_str()) {
            ("", "") => f.write_str("the workflow"),
            ("", step) => write!(f, "step {step}"),
            (path, "") => f.write_str(path),
            (path, step) => write!(f, "{path} (step {step})"),
        }
    }
}

/// What leads from a place to one inside it.
#[derive(Debug, Clone, Copy)]
enum Crumb<'a> {
    /// The whole.
    Workflow,
    /// Its one part, which the word for its kind stands for.
    Root(&'a str),
    /// A member of the list under a key.
    Member(&'static str, usize),
    /// A part of a graph.
    Entry(&'a str),
    /// The body of a chord.
    Body,
    /// A callback of the workflow.
    Callback(&'static str),
    /// A value, which is no part.
    Key(&'a str),
    /// An item of a value that is a list.
    Item(usize),
}

/// A place while a workflow is walked. It borrows the place around it, so a walk without complaint builds no text.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    around: Option<&'a At<'a>>,
    crumb: Crumb<'a>,
    /// The name that the part was given.
    name: Option<&'a str>,
    depth: usize,
}

impl<'a> At<'a> {
    pub(super) const WORKFLOW: At<'static> = At { around: None, crumb: Crumb::Workflow, name: None, depth: 0 };

    fn inside(&'a self, crumb: Crumb<'a>, deeper: usize) -> At<'a> {
        At { around: Some(self), crumb, name: None, depth: self.depth + deeper }
    }

    /// The one part of a workflow, of no known kind so far.
    pub(super) fn root(&'a self) -> At<'a> {
        self.inside(Crumb::Root(""), 1)
    }

    /// The same place, now that the kind of the part is known. Only the one part of a workflow is named after it, and a graph is not.
    pub(super) fn of_kind(self, kind: &'a str) -> At<'a> {
        match self.crumb {
            Crumb::Root(_) if kind != "steps" => At { crumb: Crumb::Root(kind), ..self },
            _ => self,
        }
    }

    pub(super) fn member(&'a self, list: &'static str, index: usize) -> At<'a> {
        self.inside(Crumb::Member(list, index), 1)
    }

    pub(super) fn entry(&'a self, name: &'a str) -> At<'a> {
        self.inside(Crumb::Entry(name), 1)
    }

    pub(super) fn body(&'a self) -> At<'a> {
        self.inside(Crumb::Body, 1)
    }

    pub(super) fn callback(&'a self, key: &'static str) -> At<'a> {
        self.inside(Crumb::Callback(key), 1)
    }

    pub(super) fn key(&'a self, key: &'a str) -> At<'a> {
        self.inside(Crumb::Key(key), 0)
    }

    pub(super) fn item(&'a self, index: usize) -> At<'a> {
        self.inside(Crumb::Item(index), 0)
    }

    /// The same place with the name that the part was given.
    pub(super) fn named(self, name: Option<&'a str>) -> At<'a> {
        At { name: name.or(self.name), ..self }
    }

    /// How many parts are around this place, itself included.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn refuse(&self, refusal: Refusal) -> SpecError {
        SpecError::new(self.place(), refusal)
    }

    fn place(&self) -> Place {
        let mut around: Vec<&At<'_>> = std::iter::successors(Some(self), |at| at.around).collect();
        around.reverse();
        let (mut path, mut step) = (String::new(), String::new());
        for at in around {
            match at.crumb {
                Crumb::Workflow | Crumb::Root(_) => {}
                Crumb::Member(list, index) => path.push_str(&format!(".{list}[{index}]")),
                Crumb::Entry(name) => path.push_str(&format!(".steps{}", key(name))),
                Crumb::Body => path.push_str(".body"),
                Crumb::Callback(name) => path.push_str(&format!(".{name}")),
                Crumb::Key(name) => path.push_str(&key(name)),
                Crumb::Item(index) => path.push_str(&format!("[{index}]")),
            }
            if let Some(segment) = at.segment() {
                step.push_str(if step.is_empty() { "" } else { "/" });
                step.push_str(&segment);
            }
        }
        Place { path: shown(path.trim_start_matches('.')), step: shown(&step) }
    }

    /// What this part adds to the names of the steps in it.
    fn segment(&self) -> Option<String> {
        let own = match self.crumb {
            Crumb::Workflow | Crumb::Key(_) | Crumb::Item(_) => return None,
            Crumb::Member(_, index) => index.to_string(),
            Crumb::Body => "body".to_owned(),
            Crumb::Root(word) | Crumb::Entry(word) | Crumb::Callback(word) => escaped(word),
        };
        let segment = self.name.map_or(own, escaped);
        (!segment.is_empty()).then_some(segment)
    }
}

/// A key as it stands in a path.
fn key(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !name.is_empty() && name.len() <= 100 && name.bytes().all(plain) {
        format!(".{name}")
    } else {
        format!("[{:?}]", excerpt(name))
    }
}

/// The beginning of a name without what a terminal would obey: it may be one that is refused.
fn escaped(name: &str) -> String {
    excerpt(name).escape_debug().to_string()
}

fn shown(text: &str) -> String {
    let length = text.chars().count();
    let Some((start, _)) = text.char_indices().nth(length.saturating_sub(SHOWN)).filter(|_| length > SHOWN) else {
        return text.to_owned();
    };
    format!("…{}", &text[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_and_a_name() {
        let root = At::WORKFLOW.root().of_kind("chain");
        let group = root.member("chain", 1);
        let named = group.member("group", 3).named(Some("tuesday"));
        let at = named.key("args");
        assert_eq!(at.place().to_string(), "chain[1].group[3].args (step chain/1/tuesday)");
        assert_eq!(At::WORKFLOW.place().to_string(), "the workflow");
        assert_eq!(At::WORKFLOW.key("when_dead").place().to_string(), "when_dead");
        assert_eq!(At::WORKFLOW.root().of_kind("step").place().to_string(), "step step");
    }

    #[test]
    fn a_strange_or_endless_name_is_shown_in_short_and_harmless() {
        let root = At::WORKFLOW.root().of_kind("steps");
        let entry = root.entry("a\u{1b}[2J b");
        let body = entry.body();
        assert_eq!(body.place().to_string(), "steps[\"a\\u{1b}[2J b\"].body (step a\\u{1b}[2J b/body)");
        let long = "x".repeat(5000);
        let place = root.entry(&long).place().to_string();
        assert!(place.len() < 1000, "{place}");
    }
}
