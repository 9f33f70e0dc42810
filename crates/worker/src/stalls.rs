//! Names handlers that do not give their thread back: a `loop {}`, a blocking call in an async function.
//!
//! Each poll of a handler notes when it began, in ticks of a coarse clock, and that it has ended; that costs two stores. A watcher on the
//! heartbeat's thread, which no handler can block, moves the clock and looks for polls that began too long ago. While nothing is held
//! it sleeps, and the first job wakes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::context::Attempt;
use crate::held::Held;
use crate::post::{Post, pause};

/// A tick of the coarse clock.
const TICK: Duration = Duration::from_millis(250);
/// A poll that began so many ticks ago is a stall: half a second at least, three quarters at most.
const STALLED: u32 = 3;
/// A stall that goes on is named again after so many ticks: every ten seconds.
const REMIND: u32 = 40;

/// The coarse clock. It stands while nothing is held, and never shows 0: that means no poll.
#[derive(Debug)]
pub(crate) struct Epoch(AtomicU32);

impl Default for Epoch {
    fn default() -> Self {
        Self(AtomicU32::new(1))
    }
}

impl Epoch {
    pub(crate) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn tick(&self) -> u32 {
        let next = self.now().wrapping_add(1).max(1);
        self.0.store(next, Ordering::Relaxed);
        next
    }
}

/// Watches until the worker ends.
pub(crate) async fn watch(post: Arc<Post>) {
    let mut known = Known::default();
    loop {
        // A stall may outlast its job, which may be lost; its end is told all the same.
        if known.0.is_empty() {
            tokio::select! {
                () = post.signals.end.cancelled() => return,
                () = post.held.any() => {}
            }
        }
        if !pause(TICK, &post.signals.end).await {
            return;
        }
        known.look(post.epoch.tick(), &post.held).iter().for_each(News::tell);
    }
}

/// A poll that has not returned for too long.
struct Stall {
    attempt: Arc<Attempt>,
    began: u32,
}

/// The stalls that were named.
#[derive(Default)]
struct Known(Vec<Stall>);

/// What there is to say of a stall.
struct News {
    attempt: Arc<Attempt>,
    ticks: u32,
    over: bool,
}

impl Stall {
    fn news(&self, now: u32, over: bool) -> News {
        News { attempt: Arc::clone(&self.attempt), ticks: now.wrapping_sub(self.began), over }
    }
}

impl Known {
    /// Compares with what is held now.
    fn look(&mut self, now: u32, held: &Held) -> Vec<News> {
        let age = |began: u32| now.wrapping_sub(began);
        let ended = self.0.extract_if(.., |stall| stall.attempt.polled_since() != stall.began);
        let mut news: Vec<News> = ended.map(|stall| stall.news(now, true)).collect();
        let again = self.0.iter().filter(|stall| (age(stall.began) - STALLED).is_multiple_of(REMIND));
        news.extend(again.map(|stall| stall.news(now, false)));
        let is_stalled = |began: u32| began != 0 && age(began) >= STALLED;
        for attempt in held.select(|attempt| is_stalled(attempt.polled_since())) {
            let began = attempt.polled_since();
            let is_known = self.0.iter().any(|stall| Arc::ptr_eq(&stall.attempt, &attempt));
            // It may have returned since it was chosen.
            if !is_known && is_stalled(began) {
                let stall = Stall { attempt, began };
                news.push(stall.news(now, false));
                self.0.push(stall);
            }
        }
        news
    }
}

impl News {
    fn tell(&self) {
        let attempt = &self.attempt;
        let seconds = (TICK * self.ticks).as_secs_f32();
        if self.over {
            tracing::warn!(task = %attempt.task, job = %attempt.job_id, seconds, "the handler gave its thread back");
        } else {
            tracing::error!(
                task = %attempt.task, job = %attempt.job_id, queue = %attempt.queue, attempt = attempt.attempt, seconds,
                "the handler blocks its thread, and other jobs wait for it; a task that blocks or computes for long is best a blocking one"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use celeriac_broker::Delivery;
    use celeriac_core::{Fence, Incarnation, JobId, Lease, QueueName, Record, TaskName};

    use super::*;

    fn held() -> (Held, Arc<Attempt>) {
        let held = Held::default();
        let record = Record::new(JobId::generate(), TaskName::new("t").unwrap(), QueueName::default(), Vec::new());
        let lease = Lease { holder: Incarnation::from_stored("w~1"), fence: Fence::new(1) };
        let attempt = held.insert(&[Delivery { record, lease }]).remove(0);
        (held, attempt)
    }

    fn said(known: &mut Known, now: u32, held: &Held) -> Vec<(u32, bool)> {
        known.look(now, held).iter().map(|news| (news.ticks, news.over)).collect()
    }

    #[test]
    fn a_stall_is_named_at_once_again_every_ten_seconds_and_when_it_is_over() {
        let (held, attempt) = held();
        let mut known = Known::default();
        attempt.enter(5);
        let named: Vec<_> = (5..=90).flat_map(|now| said(&mut known, now, &held)).collect();
        assert_eq!(named, [(3, false), (43, false), (83, false)]);
        attempt.leave();
        assert_eq!(said(&mut known, 91, &held), [(86, true)]);
        assert_eq!(said(&mut known, 92, &held), []);
    }

    #[test]
    fn polls_that_return_are_no_stall() {
        let (held, attempt) = held();
        let mut known = Known::default();
        for now in 1..100 {
            attempt.enter(now);
            assert_eq!(said(&mut known, now + 2, &held), [], "as long as a poll may last");
        }
        attempt.leave();
        assert_eq!(said(&mut known, 1000, &held), []);
    }

    #[test]
    fn a_poll_after_a_stall_ends_it_and_may_be_the_next() {
        let (held, attempt) = held();
        let mut known = Known::default();
        attempt.enter(1);
        assert_eq!(said(&mut known, 4, &held), [(3, false)]);
        attempt.enter(4);
        assert_eq!(said(&mut known, 5, &held), [(4, true)]);
        assert_eq!(said(&mut known, 7, &held), [(3, false)]);
    }

    #[test]
    fn a_stall_is_over_when_its_poll_returns_also_when_nothing_is_held_any_more() {
        let (held, attempt) = held();
        let mut known = Known::default();
        attempt.enter(1);
        assert_eq!(said(&mut known, 4, &held), [(3, false)]);
        held.keep_only(&[]);
        assert_eq!(said(&mut known, 5, &held), [], "the thread is still kept");
        attempt.leave();
        assert_eq!(said(&mut known, 6, &held), [(5, true)]);
    }
}
