//! The address of a store.

use std::fmt;
use std::str::FromStr;

use celeriac_core::Namespace;

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
        let (address, query) = text.split_once('?').map_or((text, ""), |(address, query)| (address, query));
        let kind = if address.starts_with("redis://") || address.starts_with("rediss://") {
            StoreKind::Redis
        } else if address.strip_prefix("sqlite:").is_some_and(|path| !path.is_empty()) {
            StoreKind::Sqlite
        } else {
            let shown = redact(text);
            return Err(BrokerError::Invalid(format!(
                "{shown:?} names no store; write sqlite:PATH, redis://HOST:PORT or rediss://HOST:PORT"
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
                        "unknown option {pair:?} in the store's URL; there is ?prefix="
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
}
