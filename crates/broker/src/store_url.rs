//! The address of a store.

use std::fmt;
use std::str::FromStr;

use celeriac_core::{Namespace, excerpt};

use crate::error::BrokerError;

/// Which store an address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreKind {
    /// `redis://` and `rediss://`.
    Redis,
    /// `sqlite:`.
    Sqlite,
}

/// The address of a store: `sqlite:PATH`, `sqlite::memory:`, `redis://[user:password@]host[:port][/database]`, `rediss://…`,
/// each with `?prefix=NAME` to name the namespace.
///
/// `Display` and `Debug` leave the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl {
    kind: StoreKind,
    address: String,
    namespace: Namespace,
}

impl StoreUrl {
    /// Which store it names.
    #[must_use]
    pub fn kind(&self) -> StoreKind {
        self.kind
    }

    /// The namespace in the store.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The address without the query: for Redis the whole URL with its password, for SQLite the path.
    #[must_use]
    pub fn address(&self) -> &str {
        match self.kind {
            StoreKind::Redis => &self.address,
            StoreKind::Sqlite => self.address.strip_prefix("sqlite:").unwrap_or(&self.address),
        }
    }

    /// The whole address with its password: what a child process is told. Never log it.
    #[must_use]
    pub fn expose(&self) -> String {
        self.with_query(&self.address)
    }

    fn with_query(&self, address: &str) -> String {
        if self.namespace == Namespace::default() {
            return address.to_owned();
        }
        format!("{address}?prefix={}", self.namespace)
    }
}

impl FromStr for StoreUrl {
    type Err = BrokerError;

    fn from_str(text: &str) -> Result<Self, BrokerError> {
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        if query.contains('@') {
            // It may be a part of the password.
            let text = "the store's URL has an @ behind a ?; in a user name or password, write the ? as %3F";
            return Err(BrokerError::Invalid(text.to_owned()));
        }
        let kind = if address.starts_with("redis://") || address.starts_with("rediss://") {
            StoreKind::Redis
        } else if address.strip_prefix("sqlite:").is_some_and(|path| !path.is_empty()) {
            StoreKind::Sqlite
        } else {
            let has_scheme = text.split_once("://").is_some_and(|(scheme, _)| !scheme.contains([':', '/', '@']));
            let shown = if has_scheme { redact(text) } else { without_user(text) };
            return Err(BrokerError::Invalid(format!(
                "{:?} names no store; write sqlite:PATH, redis://HOST:PORT or rediss://HOST:PORT",
                excerpt(&shown)
            )));
        };
        let mut namespace = Namespace::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("prefix", name)) => {
                    namespace = Namespace::new(name).map_err(|error| BrokerError::Invalid(error.to_string()))?;
                }
                _ => {
                    return Err(BrokerError::Invalid(format!(
                        "unknown option {:?} in the store's URL; there is ?prefix=",
                        excerpt(pair)
                    )));
                }
            }
        }
        Ok(Self { kind, address: address.to_owned(), namespace })
    }
}

/// Replaces what stands between `//` and the last `@` before the path by the user's name and dots.
fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((credentials, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = credentials.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}:…@{host}")
}

/// What is no URL of a store may be one all the same, mistyped: nothing before an `@` is shown.
fn without_user(text: &str) -> String {
    text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, host)| format!("…@{host}"))
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_query(&redact(&self.address)))
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_store_is_known_by_its_scheme() {
        let url: StoreUrl = "sqlite:queue.db".parse().unwrap();
        assert_eq!((url.kind(), url.address()), (StoreKind::Sqlite, "queue.db"));
        let url: StoreUrl = "rediss://h:1/2?prefix=shop".parse().unwrap();
        assert_eq!((url.kind(), url.namespace().as_str()), (StoreKind::Redis, "shop"));
    }

    #[test]
    fn a_password_is_never_printed() {
        let url: StoreUrl = "redis://me:p@ss@host:1?prefix=a".parse().unwrap();
        assert_eq!(url.to_string(), "redis://me:…@host:1?prefix=a");
        assert!(!format!("{url:?}").contains("p@ss"));
        assert_eq!(url.expose(), "redis://me:p@ss@host:1?prefix=a");
        let error = "mysql://me:secret@host".parse::<StoreUrl>().unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn unknown_stores_and_options_are_refused_with_what_to_write() {
        for bad in ["", "sqlite:", "queue.db", "http://x", "redis://h?prefx=a", "redis://h?prefix=a b"] {
            assert!(bad.parse::<StoreUrl>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_read_as_it_is_told_or_refused_in_short(text in "(sqlite:|redis://|rediss://)?[a-z:@/?=&.]{0,20}(\\?prefix=[a-z]{0,9})?|\\PC{0,200}") {
            match text.parse::<StoreUrl>() {
                Ok(url) => prop_assert_eq!(url.expose().parse::<StoreUrl>().unwrap(), url),
                Err(error) => prop_assert!(error.to_string().len() < 1000),
            }
        }

        #[test]
        fn no_part_of_a_password_is_ever_told(
            scheme in "redis://|rediss://|redis:/|redis:|mysql://|",
            password in ("[A-Z]{8}", "[!-/:-@]{1,3}", "[A-Z]{8}"),
            rest in "(:[0-9]{1,5})?(/[0-9])?(\\?prefix=[a-z]{1,5})?",
        ) {
            let text = format!("{scheme}me:{}{}{}@host{rest}", password.0, password.1, password.2);
            let said = match text.parse::<StoreUrl>() {
                Ok(url) => format!("{url} {url:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            prop_assert!(!said.contains(&password.0) && !said.contains(&password.2), "{}", said);
        }
    }
}
