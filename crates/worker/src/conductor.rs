//! Moves workflows on: takes the events that stores leave when a step has ended, and does what only the plan can tell.
//!
//! It looks when this worker has ended a job that may have left an event, when the reclaimer has seen one, and once at the start. So an idle
//! worker costs nothing, and what another process left is seen with the reclaimer's next look.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use celeriac_broker::{BrokerError, Settlement};
use celeriac_core::canvas::{MAX_INLINE_BYTES, StepLink};
use celeriac_core::{Outcome, State, Transition};
use celeriac_workflow::Conductor;
use tokio::sync::Notify;

use crate::post::{Post, pause};

/// How many events one look takes: so few that several workers share the work.
const AT_ONCE: usize = 50;

/// The least time between two looks. Under load many jobs end in it, and one look does for all.
const BETWEEN: Duration = Duration::from_millis(10);

/// How long it waits for a store that does not answer.
const AWAY: Duration = Duration::from_secs(1);

/// At most what is put around a result to make it a value.
const WRAPPING: usize = 16;

/// Conducts until the worker ends.
pub(crate) async fn run(post: Arc<Post>) {
    let events = &post.signals.events;
    loop {
        let told = events.told();
        let wait = match conduct(&post.conductor).await {
            Ok(()) => {
                events.handled(told);
                BETWEEN
            }
            Err(error) => {
                tracing::debug!(%error, "could not carry workflows on");
                AWAY
            }
        };
        if !pause(wait, &post.signals.end).await {
            return;
        }
        tokio::select! {
            () = post.signals.end.cancelled() => return,
            () = events.news() => {}
        }
    }
}

/// Takes and handles events until there are none.
pub(crate) async fn conduct(conductor: &Conductor) -> Result<(), BrokerError> {
    while conductor.conduct(AT_ONCE).await? > 0 {}
    Ok(())
}

/// What is known of events that somebody should look for.
#[derive(Debug)]
pub(crate) struct Events {
    news: Notify,
    state: Mutex<Looks>,
}

#[derive(Debug)]
struct Looks {
    /// How often somebody was told to look.
    told: u64,
    /// How many of these a look has followed, and when it ended.
    handled: u64,
    at: Instant,
}

impl Events {
    /// The first look is owed to what others have left.
    pub(crate) fn new() -> Self {
        Self { news: Notify::new(), state: Mutex::new(Looks { told: 1, handled: 0, at: Instant::now() }) }
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a look.
    pub(crate) fn tell(&self) {
        self.looks().told += 1;
        self.news.notify_one();
    }

    /// Whether every look that was asked for had ended at this time: what these have begun was in its queue then.
    pub(crate) fn were_handled(&self, at: Instant) -> bool {
        let looks = self.looks();
        looks.told == looks.handled && looks.at <= at
    }

    fn told(&self) -> u64 {
        self.looks().told
    }

    fn handled(&self, told: u64) {
        let mut looks = self.looks();
        (looks.handled, looks.at) = (told, Instant::now());
    }

    /// Waits until a look is owed.
    async fn news(&self) {
        loop {
            {
                let looks = self.looks();
                if looks.told != looks.handled {
                    return;
                }
            }
            self.news.notified().await;
        }
    }
}

impl Post {
    /// Asks for a look if the ends of these jobs may have left an event.
    pub(crate) fn look_for_events(&self, settlements: &[Settlement]) {
        if settlements.iter().any(|settlement| may_leave_event(&settlement.transition)) {
            self.signals.events.tell();
        }
    }
}

/// Whether the store may have left an event with this end. It leaves none if it could do by itself all there was to do.
fn may_leave_event(transition: &Transition) -> bool {
    let (step, outcome): (Option<&StepLink>, &Outcome) = match transition {
        Transition::Finish { step, outcome, .. } => (step.as_deref(), outcome),
        Transition::DeadLetter { record, outcome, .. } => (record.options.step.as_deref(), outcome),
        _ => return false,
    };
    let is_large = || outcome.result.as_ref().is_some_and(|result| result.get().len() + WRAPPING > MAX_INLINE_BYTES);
    step.is_some_and(|step| {
        outcome.state != State::Succeeded || !step.counts.is_empty() || step.many || step.last || is_large()
    })
}
