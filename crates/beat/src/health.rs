//! Whether a beat does its work: it says so here on its way, and whoever asks for its health reads it.
//!
//! A beat looks at its store at least once a minute, also when nothing is due. So one that has neither had an answer nor an error for longer
//! was stopped by something: a task that blocks its runtime, or a call that never ends. Nothing here asks the store.

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A beat that has heard nothing for so long makes no progress: three of its looks.
const STUCK_AFTER: Duration = Duration::from_secs(180);

/// How a beat is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BeatHealth {
    /// Why it does nothing any more, in a sentence: whoever reads this should start another in its place. `None` while it is alive; one
    /// that waits for its store is.
    pub stuck: Option<String>,
    /// Why it cannot be counted on now, in a sentence: its store is away, or it is stopping.
    pub unready: Option<String>,
}

/// What is known of a beat's progress.
#[derive(Debug)]
pub(crate) struct Pulse(Mutex<Heard>);

#[derive(Debug)]
struct Heard {
    at: Instant,
    unready: Option<String>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new(Heard {
            at: Instant::now(),
            unready: Some("the beat has not reached its store yet".to_owned()),
        }))
    }
}

impl Pulse {
    /// The store has answered.
    pub(crate) fn answered(&self) {
        *self.heard() = Heard { at: Instant::now(), unready: None };
    }

    /// The store does not answer.
    pub(crate) fn away(&self, error: &dyn Error) {
        let unready = Some(format!("waiting for the store: {error}"));
        *self.heard() = Heard { at: Instant::now(), unready };
    }

    pub(crate) fn unready(&self) -> Option<String> {
        self.heard().unready.clone()
    }

    pub(crate) fn stuck(&self) -> Option<String> {
        let silent = self.heard().at.elapsed();
        (silent > STUCK_AFTER).then(|| format!("the beat has not looked at its schedules for {} s", silent.as_secs()))
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_that_hears_nothing_is_stuck_and_one_whose_store_is_away_is_not() {
        let pulse = Pulse::default();
        assert!(pulse.unready().is_some_and(|reason| reason.contains("not reached")));
        pulse.answered();
        assert_eq!((pulse.unready(), pulse.stuck()), (None, None));
        pulse.away(&std::io::Error::other("refused"));
        assert_eq!((pulse.unready().as_deref(), pulse.stuck()), (Some("waiting for the store: refused"), None));
        pulse.heard().at = Instant::now() - STUCK_AFTER - Duration::from_secs(1);
        assert!(pulse.stuck().is_some_and(|reason| reason.contains("181 s")));
    }
}
