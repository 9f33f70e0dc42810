//! What an order says: which commands it is about, what happens to them, and how often.

use std::fmt;
use std::time::Duration;

use crate::frames::words;

/// Which commands a rule is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    name: Option<String>,
    texts: Vec<Vec<u8>>,
}

/// What a connection says before and after its work. A server gives these their answers in almost any state.
const HANDSHAKE: [&str; 6] = ["HELLO", "AUTH", "CLIENT", "SELECT", "QUIT", "INFO"];

impl Commands {
    /// Every command. An answer in the server's place is not given to `HELLO`, `AUTH`, `CLIENT`, `SELECT`, `QUIT` and `INFO`, as a server
    /// that is loading or a replica does not; name them to refuse them too.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Those whose first word is this, in upper or lower case.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), texts: Vec::new() }
    }

    /// Those that hold this text anywhere: a key, an argument, a part of either.
    #[must_use]
    pub fn holding(text: impl Into<Vec<u8>>) -> Self {
        Self::any().and_holding(text)
    }

    /// Those of them that hold this text too.
    #[must_use]
    pub fn and_holding(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.texts.push(text.into());
        self
    }

    /// Whether this command, or this push, is among them.
    pub(crate) fn include(&self, frame: &[u8]) -> bool {
        let named = |name: &String| words(frame).first().is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()));
        self.name.as_ref().is_none_or(named) && self.texts.iter().all(|text| holds(frame, text))
    }

    /// Whether a server that refuses its work would give this command its answer all the same.
    pub(crate) fn spare(&self, frame: &[u8]) -> bool {
        let known = |word: &&[u8]| HANDSHAKE.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()));
        self.name.is_none() && self.texts.is_empty() && words(frame).first().is_some_and(known)
    }
}

fn holds(frame: &[u8], text: &[u8]) -> bool {
    text.is_empty() || frame.windows(text.len()).any(|window| window == text)
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// Commands.
    ToServer,
    /// Answers and pushes.
    ToClient,
    /// Both.
    Both,
}

impl Way {
    pub(crate) fn covers(self, way: Self) -> bool {
        self == Self::Both || self == way
    }
}

/// What the proxy says in the server's place; the command does not reach the server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// `READONLY`: a replica, or a primary that was demoted.
    ReadOnly,
    /// `LOADING`: a server that reads its data.
    Loading,
    /// `OOM`: a server at its `maxmemory`.
    OutOfMemory,
    /// `MOVED`: a node of a cluster that does not have the slot.
    Moved,
    /// `CLUSTERDOWN`: a node of a cluster that lacks slots.
    ClusterDown,
    /// `BUSY`: a server that runs a script for too long.
    Busy,
    /// `NOSCRIPT`: a server that does not know the script.
    NoScript,
    /// `MASTERDOWN`: a replica without its primary that may not answer.
    MasterDown,
    /// Any other error: its code and its text, without the dash in front.
    Error(String),
}

impl Answer {
    /// The error as the server words it.
    fn text(&self) -> &str {
        match self {
            Self::ReadOnly => "READONLY You can't write against a read only replica.",
            Self::Loading => "LOADING Redis is loading the dataset in memory",
            Self::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            Self::Moved => "MOVED 1 127.0.0.1:1",
            Self::ClusterDown => "CLUSTERDOWN The cluster is down",
            Self::Busy => "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            Self::NoScript => "NOSCRIPT No matching script. Please use EVAL.",
            Self::MasterDown => "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            Self::Error(text) => text,
        }
    }

    /// The frame. A line break in a text of the caller's would end it early.
    pub(crate) fn frame(&self) -> Vec<u8> {
        format!("-{}\r\n", self.text().replace(['\r', '\n'], " ")).into_bytes()
    }
}

/// What happens to a command, to its answer, or to the connection that it came by.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The first `at` bytes of the command reach the server, then the connection is cut; 0 loses the command. With all of its bytes
    /// or more it is carried out. What was sent before it is carried out too, and its answers are lost unless they have come.
    CutCommand {
        /// How many bytes pass.
        at: usize,
    },
    /// The command is carried out, the first `at` bytes of its answer reach the client, then the connection is cut; 0 loses the answer.
    /// This also takes a command that had reached the server before the order was given and is not answered yet.
    CutAnswer {
        /// How many bytes pass.
        at: usize,
    },
    /// The connection ends with a reset in place of the command.
    Reset,
    /// From this command on bytes vanish on their way and the connection stays open, as with a peer that lost its power. It is cut when
    /// the proxy heals, because what vanished is missing.
    Vanish(Way),
    /// From this command on bytes are held back, and arrive when the proxy heals, as TCP does after a partition: also late commands of a
    /// client that has given up meanwhile.
    Hold(Way),
    /// The command and its answer take this much longer, each way. What comes behind a late one is late too, and commands that are sent
    /// together are late together.
    Delay {
        /// For the command.
        command: Duration,
        /// For the answer, and for pushes.
        answer: Duration,
    },
    /// The client is given an answer in the server's place.
    Answer(Answer),
    /// A push does not reach the client: a message of a subscription. The rule's [`Commands`] are compared with the push.
    LosePush,
}

impl Fault {
    /// Whether it waits for the answer to a command.
    pub(crate) fn is_of_answers(&self) -> bool {
        matches!(self, Self::CutAnswer { .. })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = |way: &Way| match way {
            Way::ToServer => "commands",
            Way::ToClient => "answers",
            Way::Both => "commands and answers",
        };
        match self {
            Self::CutCommand { at: 0 } => write!(f, "lost the command"),
            Self::CutCommand { at } => write!(f, "cut the command after {at} bytes"),
            Self::CutAnswer { at: 0 } => write!(f, "lost the answer"),
            Self::CutAnswer { at } => write!(f, "cut the answer after {at} bytes"),
            Self::Reset => write!(f, "reset the connection"),
            Self::Vanish(ways) => write!(f, "let {} vanish", way(ways)),
            Self::Hold(ways) => write!(f, "held back {}", way(ways)),
            Self::Delay { command, answer } => {
                write!(f, "delayed the command by {command:?}, the answer by {answer:?}")
            }
            Self::Answer(answer) => write!(f, "answered {}", answer.text().split(' ').next().unwrap_or_default()),
            Self::LosePush => write!(f, "lost a push"),
        }
    }
}

/// An order to the proxy: once for the next command that is meant, unless something else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub(crate) commands: Commands,
    pub(crate) fault: Fault,
    /// How often it will still be carried out; without a number until it is lifted.
    pub(crate) left: Option<u64>,
}

impl Rule {
    /// Once, for the next of these commands.
    #[must_use]
    pub fn new(commands: Commands, fault: Fault) -> Self {
        Self { commands, fault, left: Some(1) }
    }

    /// For the next `times` of them.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.left = Some(times);
        self
    }

    /// For all of them, until the order is lifted or the proxy heals.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.left = None;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n";

    #[test]
    fn commands_are_known_by_their_name_and_by_what_they_hold() {
        for among in [
            Commands::any(),
            Commands::named("set"),
            Commands::holding("key"),
            Commands::named("SET").and_holding("key").and_holding("val"),
        ] {
            assert!(among.include(SET), "{among:?}");
        }
        for other in [Commands::named("key"), Commands::holding("KEY"), Commands::named("SET").and_holding("other")] {
            assert!(!other.include(SET), "{other:?}");
        }
    }

    #[test]
    fn a_handshake_is_spared_unless_it_is_named() {
        assert!(Commands::any().spare(b"*1\r\n$5\r\nhello\r\n"));
        assert!(!Commands::any().spare(SET));
        assert!(!Commands::named("HELLO").spare(b"*1\r\n$5\r\nhello\r\n"));
    }

    #[test]
    fn an_answer_is_one_line_whatever_its_text() {
        assert_eq!(Answer::Error("ERR a\r\n+b".to_owned()).frame(), b"-ERR a  +b\r\n");
    }
}
