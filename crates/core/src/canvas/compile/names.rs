//! The names of parts: which there may be, and that no two beside each other have the same.

use std::collections::HashSet;

use crate::canvas::place::At;
use crate::canvas::refusal::{Refusal, SpecError};

/// The longest name of a part in bytes.
const MAX_BYTES: usize = 100;

pub(super) const BODY: &str = "body";
pub(super) const DEPS: &str = "deps";
pub(super) const ON_SUCCESS: &str = "on_success";
pub(super) const ON_FAILURE: &str = "on_failure";
/// What plans call nodes that have no name of their own.
const RESERVED: [&str; 5] = [BODY, DEPS, ON_SUCCESS, ON_FAILURE, "steps"];

/// Checks the name of a part.
pub(super) fn check(name: &str, at: &At<'_>) -> Result<(), SpecError> {
    let refuse = |rule| Err(at.refuse(Refusal::PartName { name: name.to_owned(), rule }));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > MAX_BYTES || !name.bytes().all(allowed) {
        return refuse("use 1 to 100 of letters, digits and ._-");
    }
    if RESERVED.contains(&name) {
        return refuse("celeriac uses this word itself");
    }
    Ok(())
}

/// Checks the name of a part that could also be called by its place.
pub(super) fn check_in_list(name: &str, at: &At<'_>) -> Result<(), SpecError> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        let rule = "digits alone are the place of a part without a name";
        return Err(at.refuse(Refusal::PartName { name: name.to_owned(), rule }));
    }
    check(name, at)
}

/// The names that lie beside each other so far.
#[derive(Debug, Default)]
pub(super) struct Siblings<'n>(HashSet<&'n str>);

impl<'n> Siblings<'n> {
    pub(super) fn add(&mut self, name: &'n str, at: &At<'_>) -> Result<(), SpecError> {
        if self.0.insert(name) { Ok(()) } else { Err(at.refuse(Refusal::TwoOfOneName(name.to_owned()))) }
    }
}
