//! The states of a job and the edges between them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::excerpt::excerpt;

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// Waits for its due time; never ran.
    Scheduled,
    /// Ready: the next fetch of its queue may take it.
    Queued,
    /// Held by a worker.
    Running,
    /// Ran without success and waits for its next attempt.
    Retry,
    /// Ended with a result.
    Succeeded,
    /// Ended without one; kept with its history, and can be retried by hand.
    Dead,
    /// Ended because somebody revoked it.
    Revoked,
    /// Ended because nobody ran it before it expired.
    Expired,
    /// Kept aside: no worker that saw it could decode it or knew its task.
    Parked,
}

impl State {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 9] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Retry,
        Self::Succeeded,
        Self::Dead,
        Self::Revoked,
        Self::Expired,
        Self::Parked,
    ];

    /// Whether a job in this state has ended.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Revoked | Self::Expired)
    }

    /// Whether a job may go from this state straight to `next`. This is the state table; docs/state-machine.md
    /// repeats it and a test compares the two.
    ///
    /// `Dead` leads on only because an operator may retry a dead job.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use State::*;
        match self {
            Scheduled | Retry => matches!(next, Queued | Revoked),
            Queued => matches!(next, Running | Revoked),
            Running => matches!(next, Queued | Retry | Succeeded | Dead | Revoked | Expired | Parked),
            Parked => matches!(next, Queued | Revoked),
            Dead => matches!(next, Queued),
            Succeeded | Revoked | Expired => false,
        }
    }

    /// The word used in output and filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Retry => "retry",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Parked => "parked",
        }
    }

    /// The letter that stands for a stored state in a record.
    ///
    /// `Running` has none: a hand-out does not rewrite the record, it is noted beside the worker. Of the jobs that have ended only the
    /// dead have a record, and the revoked for as long as their id stands in the middle of a list.
    #[must_use]
    pub fn letter(self) -> Option<u8> {
        match self {
            Self::Scheduled => Some(b'S'),
            Self::Queued => Some(b'Q'),
            Self::Retry => Some(b'T'),
            Self::Dead => Some(b'D'),
            Self::Parked => Some(b'P'),
            Self::Revoked => Some(b'R'),
            Self::Running | Self::Succeeded | Self::Expired => None,
        }
    }

    /// The letter that stands for a terminal state in the end of a job.
    pub(crate) fn end_letter(self) -> u8 {
        match self {
            Self::Succeeded => b'O',
            Self::Expired => b'E',
            other => other.letter().unwrap_or(b'?'),
        }
    }

    /// The state for the letter of an end.
    pub(crate) fn from_end_letter(letter: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.is_terminal() && state.end_letter() == letter)
    }

    /// The state for a record's letter.
    #[must_use]
    pub fn from_letter(letter: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.letter() == Some(letter))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("{:?} is no state; the states are {}", excerpt(text), names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_states_lead_nowhere_but_dead_by_hand() {
        for state in State::ALL.into_iter().filter(|state| state.is_terminal()) {
            let next: Vec<_> = State::ALL.into_iter().filter(|next| state.may_become(*next)).collect();
            assert_eq!(next, if state == State::Dead { vec![State::Queued] } else { vec![] }, "{state}");
        }
    }

    #[test]
    fn every_state_but_scheduled_can_be_reached() {
        for state in State::ALL.into_iter().filter(|state| *state != State::Scheduled) {
            assert!(State::ALL.into_iter().any(|from| from.may_become(state)), "{state}");
        }
    }

    #[test]
    fn letters_are_distinct_and_read_back() {
        for state in State::ALL {
            if let Some(letter) = state.letter() {
                assert_eq!(State::from_letter(letter), Some(state));
            }
        }
    }
}
