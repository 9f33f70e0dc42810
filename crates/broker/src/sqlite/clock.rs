//! Two clocks: the store's, by which jobs are due, and the machine's, by which leases end.
//!
//! Both are this machine's, but somebody may turn the wall clock. A delay that ends early or late is a nuisance; a lease
//! that ends because the clock was turned takes jobs from workers that are alive. So leases and registrations count on a clock
//! that only runs, together with the boot it runs since: after a reboot nobody who held a job is left.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use celeriac_core::Timestamp;

use crate::clock::StoreClock;

/// Where Linux tells which boot this is.
#[cfg(target_os = "linux")]
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Reads both clocks.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    store: StoreClock,
    /// `None` where the system has no such clock, and with a manual clock.
    boot: Option<Arc<str>>,
}

/// One reading of both clocks.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    /// Now, by the store's clock.
    pub(super) now: Timestamp,
    machine: Option<Uptime>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Uptime {
    boot: Arc<str>,
    millis: u64,
}

/// The end of a lease or registration, by both clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deadline {
    /// By the store's clock: what counts if one of the sides has no machine clock.
    pub(super) at: Timestamp,
    /// The boot in which it was set.
    pub(super) boot: Option<String>,
    /// Milliseconds since that boot.
    pub(super) uptime: Option<u64>,
}

impl Clock {
    pub(super) fn new(store: StoreClock) -> Self {
        let boot = if store.manual_now().is_some() { None } else { boot_id() };
        Self { store, boot }
    }

    /// Reads the clocks; the store's never shows less than `last`, which the store has shown before.
    pub(super) fn read(&self, last: Timestamp) -> Moment {
        if let Some(now) = self.store.manual_now() {
            return Moment { now, machine: None };
        }
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now = Timestamp::from_millis(u64::try_from(wall).unwrap_or(u64::MAX)).max(last);
        let machine = self.boot.clone().map(|boot| Uptime { boot, millis: uptime() });
        Moment { now, machine }
    }
}

impl Moment {
    /// Milliseconds since the machine was started; `None` where the system does not tell, and with a manual clock.
    pub(super) fn uptime(&self) -> Option<u64> {
        self.machine.as_ref().map(|machine| machine.millis)
    }

    /// The end of what begins now and lasts `length`.
    pub(super) fn deadline(&self, length: Duration) -> Deadline {
        let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        Deadline {
            at: self.now.after(length),
            boot: self.machine.as_ref().map(|machine| machine.boot.to_string()),
            uptime: self.machine.as_ref().map(|machine| machine.millis.saturating_add(millis)),
        }
    }

    /// Whether a deadline is over. One of another boot is: its process cannot be alive.
    pub(super) fn is_past(&self, deadline: &Deadline) -> bool {
        match (&self.machine, &deadline.boot, deadline.uptime) {
            (Some(machine), Some(boot), Some(uptime)) => *machine.boot != **boot || uptime <= machine.millis,
            _ => deadline.at <= self.now,
        }
    }

    /// When a deadline will be over, by the store's clock as it runs now.
    pub(super) fn expected_end(&self, deadline: &Deadline) -> Timestamp {
        match (&self.machine, deadline.uptime) {
            (Some(machine), Some(uptime)) => {
                self.now.after(Duration::from_millis(uptime.saturating_sub(machine.millis)))
            }
            _ => deadline.at,
        }
    }
}

#[cfg(target_os = "linux")]
fn boot_id() -> Option<Arc<str>> {
    let text = std::fs::read_to_string(BOOT_ID).ok()?;
    let id = text.trim();
    (!id.is_empty()).then(|| id.into())
}

#[cfg(not(target_os = "linux"))]
fn boot_id() -> Option<Arc<str>> {
    None
}

/// Milliseconds since the boot, time asleep included: a laptop that slept has not renewed its leases either.
#[cfg(target_os = "linux")]
fn uptime() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)
}

#[cfg(not(target_os = "linux"))]
fn uptime() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(now: u64, boot: Option<(&str, u64)>) -> Moment {
        let machine = boot.map(|(boot, millis)| Uptime { boot: boot.into(), millis });
        Moment { now: Timestamp::from_millis(now), machine }
    }

    #[test]
    fn a_turned_wall_clock_ends_no_deadline() {
        let deadline = moment(1_000, Some(("a", 500))).deadline(Duration::from_secs(20));
        assert!(!moment(9_999_999, Some(("a", 20_499))).is_past(&deadline));
        assert!(moment(0, Some(("a", 20_500))).is_past(&deadline));
    }

    #[test]
    fn another_boot_ends_every_deadline() {
        let deadline = moment(1_000, Some(("a", 500))).deadline(Duration::from_secs(20));
        assert!(moment(1_000, Some(("b", 500))).is_past(&deadline));
    }

    #[test]
    fn without_a_machine_clock_the_stores_clock_decides() {
        let deadline = moment(1_000, None).deadline(Duration::from_secs(1));
        assert!(!moment(1_999, Some(("a", 0))).is_past(&deadline));
        assert!(moment(2_000, Some(("a", 0))).is_past(&deadline));
    }

    #[test]
    fn the_stores_clock_never_goes_back() {
        let clock = Clock::new(StoreClock::Store);
        assert_eq!(clock.read(Timestamp::MAX).now, Timestamp::MAX);
    }
}
