//! When a worker makes room for suspects: jobs that were running when a worker vanished, and may only run alone.

use std::time::{Duration, Instant};

use celeriac_broker::Fetched;

/// How long suspects are run in one turn before other work goes on.
const SUSPECT_TURN: Duration = Duration::from_secs(5);

/// The longest time other work may keep suspects waiting.
const SUSPECT_WAIT_LONGEST: Duration = Duration::from_secs(60);

/// How long a worker waits for its running jobs to end before a suspect's turn, at first.
const FIRST_PATIENCE: Duration = Duration::from_secs(30);

/// When a busy worker makes room for suspects.
///
/// A suspect must run alone. Other work goes on for as long as the last turn took, at least a second and at most a minute; so
/// suspects neither starve nor take more than about half of a worker's time. While jobs run longer than the patience for a turn, other
/// work goes on and the patience doubles: a long job may not idle its whole worker, and suspects get their turn all the same.
#[derive(Debug)]
pub(crate) struct SuspectTurns {
    waiting: bool,
    turn_began: Option<Instant>,
    next_turn: Instant,
    patience: Duration,
    /// Since when running jobs are waited for.
    room_since: Option<Instant>,
}

impl Default for SuspectTurns {
    fn default() -> Self {
        Self { waiting: false, turn_began: None, next_turn: Instant::now(), patience: FIRST_PATIENCE, room_since: None }
    }
}

impl SuspectTurns {
    /// Whether suspects wait, as far as is known.
    pub(crate) fn are_waiting(&self) -> bool {
        self.waiting
    }

    /// Whether a suspect should run as soon as nothing else does.
    pub(crate) fn is_due(&self) -> bool {
        self.waiting && Instant::now() >= self.next_turn
    }

    /// Whether to fetch nothing now, so that the running jobs end and a suspect can run. Those that do not end in time go on with
    /// other work beside them, and the next try waits longer.
    pub(crate) fn make_room(&mut self, holds_nothing: bool) -> bool {
        if holds_nothing || !self.is_due() {
            self.room_since = None;
            return false;
        }
        let since = *self.room_since.get_or_insert_with(Instant::now);
        if since.elapsed() < self.patience {
            return true;
        }
        self.room_since = None;
        self.next_turn = Instant::now() + SUSPECT_WAIT_LONGEST;
        self.patience *= 2;
        false
    }

    /// Whether running jobs are waited for.
    pub(crate) fn makes_room(&self) -> bool {
        self.room_since.is_some()
    }

    /// Resolves when the next turn is due, or the wait for room is over; never if no suspect waits.
    pub(crate) async fn news(&self) {
        if !self.waiting {
            return std::future::pending().await;
        }
        let at = self.room_since.map_or(self.next_turn, |since| since + self.patience);
        tokio::time::sleep_until(at.into()).await;
    }

    /// Learns from a fetch: a turn goes on while suspects come and its time is not over.
    pub(crate) fn note(&mut self, fetched: &Fetched) {
        let now = Instant::now();
        self.waiting = fetched.suspects_waiting;
        let came = fetched.jobs.iter().any(|delivery| delivery.record.suspect);
        if came {
            self.patience = FIRST_PATIENCE;
        }
        let began = *self.turn_began.get_or_insert(now);
        if came && now.duration_since(began) < SUSPECT_TURN {
            self.next_turn = now;
        } else if came || self.next_turn <= now {
            let took = now.duration_since(began).clamp(Duration::from_secs(1), SUSPECT_WAIT_LONGEST);
            self.next_turn = now + took;
            self.turn_began = None;
        }
        if !came {
            self.turn_began = None;
        }
    }
}
