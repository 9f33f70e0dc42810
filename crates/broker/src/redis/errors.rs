//! Turns what redis-rs and the server say into the seam's errors: the one table of error codes.

use std::error::Error;

use redis::{ErrorKind, RedisError};

use crate::error::{BrokerError, Refusal};

/// An error, and what it means for the connection it came from.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: BrokerError,
    /// The connection must not be used again: it is broken, or leads to a server that is no primary (any more).
    pub(super) leave: bool,
}

/// The server's codes: what each refuses, and whether another server may be reached by connecting anew.
const CODES: [(&str, Refusal, bool); 13] = [
    ("OOM", Refusal::Full, false),
    ("READONLY", Refusal::ReadOnly, true),
    ("MASTERDOWN", Refusal::ReadOnly, true),
    ("UNBLOCKED", Refusal::ReadOnly, true),
    ("MISCONF", Refusal::ReadOnly, false),
    ("NOREPLICAS", Refusal::ReadOnly, false),
    ("LOADING", Refusal::NotReady, true),
    ("BUSY", Refusal::NotReady, false),
    ("TRYAGAIN", Refusal::NotReady, false),
    ("CLUSTERDOWN", Refusal::NotReady, false),
    ("NOAUTH", Refusal::Denied, true),
    ("NOPERM", Refusal::Denied, false),
    ("WRONGTYPE", Refusal::Foreign, false),
];

/// The failure of a command that was sent, or may have been.
pub(super) fn of_command(store: &str, error: RedisError) -> Failure {
    let known = refusal(store, &error);
    known.unwrap_or_else(|| Failure { error: in_doubt(store, error), leave: true })
}

/// The failure of an attempt to connect.
pub(super) fn of_connecting(store: &str, error: RedisError) -> BrokerError {
    match refusal(store, &error) {
        Some(failure) => failure.error,
        None => BrokerError::Unreachable { store: store.to_owned(), source: Box::new(error) },
    }
}

/// An answer that took too long, or never came.
pub(super) fn in_doubt(store: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> BrokerError {
    BrokerError::InDoubt { store: store.to_owned(), source: source.into() }
}

/// The failure, if the error says for sure that nothing was carried out.
fn refusal(store: &str, error: &RedisError) -> Option<Failure> {
    let refused = |reason, leave| {
        let detail = error.to_string();
        Some(Failure { error: BrokerError::Refused { store: store.to_owned(), reason, detail }, leave })
    };
    match error.kind() {
        ErrorKind::AuthenticationFailed => return refused(Refusal::Denied, true),
        ErrorKind::InvalidClientConfig => {
            let error = BrokerError::Invalid(format!("{store} cannot be used: {error}"));
            return Some(Failure { error, leave: false });
        }
        ErrorKind::UnexpectedReturnType => {
            let error = BrokerError::Corrupt { what: "an answer", detail: error.to_string() };
            return Some(Failure { error, leave: false });
        }
        _ => {}
    }
    let code = error.code()?;
    match code {
        "WRONGPASS" => return refused(Refusal::Denied, true),
        "MOVED" | "ASK" | "CROSSSLOT" => {
            let error =
                BrokerError::Invalid(format!("{store} is a node of a Redis Cluster, which is not supported yet"));
            return Some(Failure { error, leave: false });
        }
        _ => {}
    }
    let (_, reason, leave) = CODES.iter().find(|(known, ..)| *known == code).or_else(|| code_in_script(error))?;
    refused(*reason, *leave)
}

/// Redis 6.2 wraps what stopped a script into `ERR Error running script … -OOM …`.
fn code_in_script(error: &RedisError) -> Option<&'static (&'static str, Refusal, bool)> {
    let detail = error.detail()?;
    if !detail.contains("unning script") {
        return None;
    }
    let mut words = detail.split(|c: char| !c.is_ascii_uppercase());
    words.find_map(|word| CODES.iter().find(|(code, ..)| *code == word))
}

/// The same error once more, for each of the callers that wait for one command.
pub(super) fn copy(error: &BrokerError) -> BrokerError {
    match error {
        BrokerError::Unreachable { store, source } => {
            BrokerError::Unreachable { store: store.clone(), source: source.to_string().into() }
        }
        BrokerError::InDoubt { store, source } => in_doubt(store, source.to_string()),
        BrokerError::Refused { store, reason, detail } => {
            BrokerError::Refused { store: store.clone(), reason: *reason, detail: detail.clone() }
        }
        BrokerError::SessionLost => BrokerError::SessionLost,
        BrokerError::Corrupt { what, detail } => BrokerError::Corrupt { what, detail: detail.clone() },
        BrokerError::Invalid(text) => BrokerError::Invalid(text.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(answer: &str) -> (Option<Refusal>, bool) {
        let value = redis::parse_redis_value(answer.as_bytes()).unwrap();
        let failure = of_command("redis://h", value.extract_error().unwrap_err());
        match failure.error {
            BrokerError::Refused { reason, .. } => (Some(reason), failure.leave),
            _ => (None, failure.leave),
        }
    }

    #[test]
    fn each_code_has_its_meaning() {
        assert_eq!(reason("-OOM command not allowed\r\n"), (Some(Refusal::Full), false));
        assert_eq!(reason("-READONLY You can't write\r\n"), (Some(Refusal::ReadOnly), true));
        assert_eq!(reason("-LOADING Redis is loading\r\n"), (Some(Refusal::NotReady), true));
        assert_eq!(reason("-NOPERM no permission\r\n"), (Some(Refusal::Denied), false));
        assert_eq!(reason("-WRONGTYPE Operation\r\n"), (Some(Refusal::Foreign), false));
    }

    #[test]
    fn redis_6_hides_the_code_in_a_script_error() {
        let answer = "-ERR Error running script (call to f_0): @user_script:3: -OOM command not allowed\r\n";
        assert_eq!(reason(answer), (Some(Refusal::Full), false));
    }

    #[test]
    fn what_nobody_knows_is_in_doubt() {
        assert_eq!(reason("-ERR something new\r\n"), (None, true));
    }
}
