//! When a worker of apalis looks for new jobs.

use std::task::{Context, Poll};
use std::time::Duration;

use apalis::prelude::{PollSnapshot, PollStrategy};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Looks for jobs at a fixed interval.
///
/// The interval that apalis brings registers no waker when it comes due while a fetch is under way. With intervals near the time of
/// a fetch the worker then sleeps until its next heartbeat, half a minute. This one asks again until the timer will wake it.
#[derive(Debug)]
pub(super) struct Ticks(Interval);

impl Ticks {
    pub(super) fn new(period: Duration) -> Self {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(ticks)
    }
}

impl PollStrategy for Ticks {
    fn poll_drive(&mut self, context: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        while self.0.poll_tick(context).is_ready() {}
        Poll::Pending
    }
}
