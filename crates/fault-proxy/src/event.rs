//! What the proxy has done, and when.

use std::fmt;
use std::time::Instant;

use crate::frames::words;
use crate::rule::{Fault, Way};

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A rule was carried out on one connection.
    Fault(Fault),
    /// Every connection was cut.
    Cut,
    /// Every connection was reset.
    Reset,
    /// Every connection was cut, and new ones are refused from now on.
    Refuse,
    /// From now on bytes vanish on all connections.
    Vanish(Way),
    /// From now on bytes are held back on all connections.
    Hold(Way),
    /// New connections lead to the server at this port from now on.
    Switch(u16),
    /// Whatever lasted has ended.
    Heal,
}

/// One thing that the proxy has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When.
    pub at: Instant,
    /// What. A rule without a number of times is noted once, when it was first carried out.
    pub what: What,
    /// The connection it happened to, counted from 1; nothing if it happened to all.
    pub connection: Option<u64>,
    /// The command it happened to: its name, and the first key of a script.
    pub command: Option<String>,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(connection) = self.connection {
            write!(f, "connection {connection}: ")?;
        }
        match &self.what {
            What::Fault(fault) => write!(f, "{fault}"),
            What::Cut => write!(f, "cut every connection"),
            What::Reset => write!(f, "reset every connection"),
            What::Refuse => write!(f, "cut every connection and refuse new ones"),
            What::Vanish(way) => write!(f, "{} everywhere", Fault::Vanish(*way)),
            What::Hold(way) => write!(f, "{} everywhere", Fault::Hold(*way)),
            What::Switch(port) => write!(f, "lead new connections to port {port}"),
            What::Heal => write!(f, "heal"),
        }?;
        self.command.as_ref().map_or(Ok(()), |command| write!(f, " ({command})"))
    }
}

/// The name of a command, with the first key of a script. Arguments stay out of it: they may be secret.
pub(crate) fn name(frame: &[u8]) -> String {
    let words = words(frame);
    let Some(first) = words.first() else { return String::new() };
    let name = String::from_utf8_lossy(first).to_ascii_uppercase();
    let key = words.get(3).filter(|_| matches!(name.as_str(), "EVAL" | "EVALSHA") && words[2] != b"0");
    key.map_or_else(|| name.clone(), |key| format!("{name} {}", String::from_utf8_lossy(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_named_without_its_arguments() {
        assert_eq!(name(b"auth secret\r\n"), "AUTH");
        assert_eq!(name(b"EVALSHA abc 1 key secret\r\n"), "EVALSHA key");
        assert_eq!(name(b"EVALSHA abc 0 secret\r\n"), "EVALSHA");
        assert_eq!(name(b"\r\n"), "");
    }
}
