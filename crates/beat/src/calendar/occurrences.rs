//! The occurrences between two instants, found one at a time from either end.

use std::iter::FusedIterator;

use celeriac_core::Timestamp;

use super::timetable::Timetable;

/// The occurrences of a timetable between two instants, from [`Timetable::occurrences_between`].
#[derive(Debug, Clone)]
pub struct Occurrences<'t> {
    timetable: &'t Timetable,
    /// What is left lies after this instant …
    after: Timestamp,
    /// … and not after this one.
    until: Timestamp,
}

impl<'t> Occurrences<'t> {
    pub(super) fn new(timetable: &'t Timetable, after: Timestamp, until: Timestamp) -> Self {
        Self { timetable, after, until }
    }
}

impl Iterator for Occurrences<'_> {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        let next = self.timetable.next_after(self.after).filter(|next| *next <= self.until);
        self.after = next.unwrap_or(self.until);
        next
    }
}

impl DoubleEndedIterator for Occurrences<'_> {
    fn next_back(&mut self) -> Option<Timestamp> {
        let latest = self.timetable.latest_at_or_before(self.until).filter(|latest| *latest > self.after);
        // An occurrence after `after` is at 1 ms or later.
        self.until = latest.map_or(self.after, |latest| Timestamp::from_millis(latest.as_millis() - 1));
        latest
    }
}

impl FusedIterator for Occurrences<'_> {}
