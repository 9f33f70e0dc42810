//! Headers: what travels with a job and is nobody's argument, such as a trace's context.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::excerpt::excerpt;

/// The most bytes that all headers of a job may have together, names and values.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;

/// A header that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is not 1 to 100 of letters, digits and `._-`.
    #[error("header name {:?} is not 1 to 100 of letters, digits and ._-", excerpt(.0))]
    Name(String),
    /// The value holds a control character.
    #[error("the value of header {0:?} holds a control character")]
    Value(String),
    /// All headers together are too long.
    #[error("the headers have {0} bytes; at most {MAX_HEADER_BYTES} are allowed")]
    TooLong(usize),
}

/// The headers of a job: names to values, in the order of the names. They are stored with the job and handed to its handler untouched.
///
/// A W3C `traceparent` is one: it reaches the handler as it was given, and the worker's log lines about the job carry it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// No header.
    pub(crate) const NONE: Self = Self(BTreeMap::new());

    /// Adds a header; one of the same name is replaced.
    ///
    /// # Errors
    /// [`HeaderError`] says which rule it breaks; then nothing is changed.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<(), HeaderError> {
        let (name, value) = (name.into(), value.into());
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || name.len() > 100 || !name.bytes().all(named) {
            return Err(HeaderError::Name(name));
        }
        if value.chars().any(char::is_control) {
            return Err(HeaderError::Value(name));
        }
        let others = self.0.iter().filter(|(known, _)| **known != name);
        let bytes = others.map(|(name, value)| name.len() + value.len()).sum::<usize>() + name.len() + value.len();
        if bytes > MAX_HEADER_BYTES {
            return Err(HeaderError::TooLong(bytes));
        }
        self.0.insert(name, value);
        Ok(())
    }

    /// The value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All headers, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_trace_context_is_a_header_and_a_line_break_is_not() {
        let mut headers = Headers::default();
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert("traceparent", parent).unwrap();
        assert_eq!(headers.get("traceparent"), Some(parent));
        assert_eq!(headers.insert("a b", "x"), Err(HeaderError::Name("a b".into())));
        assert_eq!(headers.insert("a", "x\r\ny"), Err(HeaderError::Value("a".into())));
        assert!(matches!(headers.insert("a", "x".repeat(9000)), Err(HeaderError::TooLong(_))));
        assert_eq!(serde_json::to_string(&headers).unwrap(), format!(r#"{{"traceparent":"{parent}"}}"#));
    }

    proptest! {
        #[test]
        fn a_header_is_kept_as_it_is_or_refused_in_short(name in "[A-Za-z._-]{1,9}|(.|\\n){0,80}", value in "\\PC*|(.|\\n){0,80}") {
            let mut headers = Headers::default();
            match headers.insert(name.as_str(), value.as_str()) {
                Ok(()) => {
                    let json = serde_json::to_string(&headers).unwrap();
                    let read: Headers = serde_json::from_str(&json).unwrap();
                    prop_assert_eq!(read.get(&name), Some(value.as_str()));
                }
                Err(error) => {
                    let said = error.to_string();
                    prop_assert!(said.len() < 1000 && !said.contains(char::is_control), "{}", said);
                    prop_assert!(headers.is_empty());
                }
            }
        }
    }
}
