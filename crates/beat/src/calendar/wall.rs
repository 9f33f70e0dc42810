//! Between instants and what the clock on the wall shows.
//!
//! The clock on the wall of a zone runs evenly but for its shifts: at some instants it jumps ahead, leaving a gap, or back, showing some times
//! twice. Everything here is in whole seconds, as all shifts are.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// No shift back is longer than the distance of the two offsets farthest apart that `jiff` knows.
const LONGEST_SHIFT: SignedDuration = SignedDuration::from_hours(52);

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The clock on the wall of one zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wall<'z> {
    zone: &'z TimeZone,
}

impl<'z> Wall<'z> {
    pub(super) fn new(zone: &'z TimeZone) -> Self {
        Self { zone }
    }

    /// The latest time that the clock has shown until `instant`: what it shows now, unless it was put back a short while ago.
    pub(super) fn latest_shown(self, instant: Timestamp) -> DateTime {
        let now = self.zone.to_datetime(instant);
        let recent = self.shifts_until(instant).take_while(|shift| instant.duration_since(*shift) < LONGEST_SHIFT);
        let just_before = recent.filter_map(|shift| shift.checked_sub(SECOND).ok());
        just_before.map(|instant| self.zone.to_datetime(instant)).fold(now, DateTime::max)
    }

    /// The first instant at which the clock shows `time` or has jumped over it.
    pub(super) fn first_reached(self, time: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(time).ok()
            }
            AmbiguousOffset::Gap { after, .. } => {
                let before_the_shift = after.to_timestamp(time).ok()?;
                let mut shifts = self.zone.following(before_the_shift);
                shifts.find(|shift| shift.offset().to_datetime(shift.timestamp()) > time).map(|shift| shift.timestamp())
            }
        }
    }

    /// How far the clock is from UTC at `instant`, and until which shift, if another follows.
    pub(super) fn offset_until(self, instant: Timestamp) -> (Offset, Option<Timestamp>) {
        let shift = self.zone.following(instant).next().map(|shift| shift.timestamp());
        (self.zone.to_offset(instant), shift)
    }

    /// How far the clock is from UTC at `instant`, and since which shift, if there was one.
    pub(super) fn offset_since(self, instant: Timestamp) -> (Offset, Option<Timestamp>) {
        (self.zone.to_offset(instant), self.shifts_until(instant).next())
    }

    /// The shifts at or before `instant`, the latest first.
    fn shifts_until(self, instant: Timestamp) -> impl Iterator<Item = Timestamp> + 'z {
        // jiff gives those that lie strictly before.
        let later = instant.checked_add(SECOND).unwrap_or(instant);
        self.zone.preceding(later).map(|shift| shift.timestamp())
    }
}
