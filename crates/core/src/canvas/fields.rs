//! The fields of one JSON object of a workflow: taken one by one, and what is left over is refused by name.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::place::At;
use super::refusal::{Refusal, SpecError, nearest};

/// Every key that some object of a workflow may have, and where it has a meaning.
const KEYS: [(&str, &str); 23] = [
    ("task", STEP),
    ("args", STEP),
    ("queue", STEP),
    ("priority", STEP),
    ("retries", STEP),
    ("timeout", STEP),
    ("soft_timeout", STEP),
    ("expires", STEP),
    ("deadline", STEP),
    ("result_ttl", STEP),
    ("headers", STEP),
    ("chain", PART),
    ("group", PART),
    ("chord", PART),
    ("steps", PART),
    ("body", "only a chord has a body"),
    ("name", "in \"steps\" the key is the name, and a callback is called as its key"),
    ("takes", PART),
    ("feeds", PART),
    ("deps", "only the parts of \"steps\" depend on each other by name"),
    ("on_success", WHOLE),
    ("on_failure", WHOLE),
    ("when_dead", WHOLE),
];
const STEP: &str = "it is an option of a step, which has a \"task\"";
const PART: &str = "a callback is a step";
const WHOLE: &str = "only the workflow as a whole has it";

/// The members of a JSON object, in their order, with their values as they are written.
pub(super) struct Members<'j>(pub(super) Vec<(Cow<'j, str>, &'j RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// A key that is copied only if it has escapes.
#[derive(Deserialize, PartialEq, Eq, Hash)]
struct Key<'j>(#[serde(borrow)] Cow<'j, str>);

/// A value of this type, or a complaint that says what was expected.
pub(super) fn value<T: DeserializeOwned>(raw: &RawValue, expected: &'static str, at: &At<'_>) -> Result<T, SpecError> {
    serde_json::from_str(raw.get()).map_err(|_| unexpected(raw, expected, at))
}

pub(super) fn unexpected(raw: &RawValue, expected: &'static str, at: &At<'_>) -> SpecError {
    // The whole may be long, and a complaint repeats only the beginning.
    let found = match raw.get().as_bytes().first() {
        Some(b'{') => "an object".to_owned(),
        Some(b'[') => "a list".to_owned(),
        _ => raw.get().chars().take(100).collect(),
    };
    at.refuse(Refusal::Unexpected { expected, found })
}

/// The items of a JSON list as they are written.
pub(super) fn items<'j>(raw: &'j RawValue, at: &At<'_>) -> Result<Vec<&'j RawValue>, SpecError> {
    serde_json::from_str(raw.get()).map_err(|_| unexpected(raw, "a list", at))
}

/// The members of a JSON object as they are written.
pub(super) fn members<'j>(raw: &'j RawValue, at: &At<'_>) -> Result<Members<'j>, SpecError> {
    serde_json::from_str(raw.get()).map_err(|_| unexpected(raw, "an object", at))
}

/// The fields of an object that nobody has taken yet.
pub(super) struct Fields<'j>(Vec<(Cow<'j, str>, &'j RawValue)>);

impl<'j> Fields<'j> {
    pub(super) fn read(raw: &'j RawValue, at: &At<'_>) -> Result<Self, SpecError> {
        let Members(fields) = members(raw, at)?;
        let known = |key: &str| KEYS.iter().any(|(known, _)| *known == key);
        for (index, (key, _)) in fields.iter().enumerate() {
            if !known(key) {
                let nearest = nearest(key, KEYS.iter().map(|(known, _)| *known));
                return Err(at.refuse(Refusal::UnknownKey { key: key.clone().into_owned(), nearest }));
            }
            // All before are known and differ, so this looks at no more than there are known keys.
            if fields[..index].iter().any(|(other, _)| other == key) {
                return Err(at.refuse(Refusal::RepeatedKey(key.clone().into_owned())));
            }
        }
        Ok(Self(fields))
    }

    pub(super) fn take(&mut self, key: &str) -> Option<&'j RawValue> {
        let index = self.0.iter().position(|(known, _)| known == key)?;
        Some(self.0.swap_remove(index).1)
    }

    pub(super) fn take_value<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        at: &At<'_>,
    ) -> Result<Option<T>, SpecError> {
        self.take(key).map(|raw| value(raw, expected, &at.key(key))).transpose()
    }

    /// Takes a text that is one of a few words.
    pub(super) fn take_word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
        expected: &'static str,
        at: &At<'_>,
    ) -> Result<Option<T>, SpecError> {
        let Some(raw) = self.take(key) else { return Ok(None) };
        let word: String = value(raw, expected, &at.key(key))?;
        let found = words.iter().find(|(known, _)| *known == word);
        found.map(|(_, meaning)| Some(*meaning)).ok_or_else(|| unexpected(raw, expected, &at.key(key)))
    }

    /// Refuses what nobody has taken.
    pub(super) fn finish(self, at: &At<'_>) -> Result<(), SpecError> {
        let Some((key, _)) = self.0.first() else { return Ok(()) };
        let rule = KEYS.iter().find(|(known, _)| known == key).map_or("", |(_, rule)| *rule);
        Err(at.refuse(Refusal::Misplaced { key: key.clone().into_owned(), rule }))
    }
}
