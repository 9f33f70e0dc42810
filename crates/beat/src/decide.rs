//! What becomes of a schedule that is due: a pure function, so that every beat decides the same.

use std::time::Duration;

use celeriac_broker::{Firing, MAX_BATCH_BYTES, MAX_SCHEDULES, ScheduleView};
use celeriac_core::{CatchUp, Overlap, Record, Schedule, ScheduleName, Timestamp};

use crate::calendar::Timetable;
use crate::periodic::{MAX_CATCH_UP, MAX_JITTER};

/// How late an occurrence may be enqueued and still count as on time.
pub(crate) const ON_TIME: Duration = Duration::from_secs(60);

/// How far missed occurrences are counted; of more it is known that there are at least so many.
const MOST_COUNTED: usize = 10_000;

/// How soon a schedule is looked at again that has just been looked at in vain.
const SHORTEST_REST: Duration = Duration::from_millis(1);

/// When a schedule is looked at again that this version cannot read: a newer beat may be there by then.
const POSTPONEMENT: Duration = Duration::from_secs(60);

/// Decides about a schedule at an instant of the store's clock. What cannot be read is postponed, with the reason.
#[expect(clippy::result_large_err, reason = "both ways are a firing, and the caller takes either")]
pub(crate) fn decide(view: &ScheduleView, now: Timestamp) -> Result<Firing, (Firing, String)> {
    let read = |schedule: &Schedule| {
        let timetable = schedule.timetable.parse::<Timetable>();
        timetable.map_err(|error| format!("timetable {:?}: {error}", schedule.timetable))
    };
    let schedule = view.schedule.as_ref().map_err(String::clone);
    match schedule.and_then(|schedule| Ok((schedule, read(schedule)?))) {
        Ok((schedule, timetable)) => {
            let mut firing = Agenda { name: &view.name, schedule, timetable }.fire(view, now);
            // What was dealt with is not due again, whatever a calendar says: a beat must not go round and round.
            firing.next = firing
                .next
                .map(|next| if firing.until > view.last { next } else { next.max(now.after(SHORTEST_REST)) });
            Ok(firing)
        }
        Err(reason) => Err((Firing { next: Some(now.after(POSTPONEMENT)), ..idle(view) }, reason)),
    }
}

/// The same schedule, left as it is and looked at again a little later.
pub(crate) fn postponed(firing: &Firing, now: Timestamp) -> Firing {
    Firing {
        until: firing.last,
        next: Some(now.after(POSTPONEMENT)),
        jobs: Vec::new(),
        due: firing.last,
        missed: 0,
        unless_unfinished: false,
        ..firing.clone()
    }
}

/// A firing that enqueues nothing and never comes again.
fn idle(view: &ScheduleView) -> Firing {
    Firing {
        name: view.name.clone(),
        revision: view.revision,
        last: view.last,
        until: view.last,
        next: None,
        jobs: Vec::new(),
        due: view.last,
        missed: 0,
        unless_unfinished: false,
    }
}

/// A schedule with its timetable.
pub(crate) struct Agenda<'s> {
    pub(crate) name: &'s ScheduleName,
    pub(crate) schedule: &'s Schedule,
    pub(crate) timetable: Timetable,
}

/// Occurrences that are due.
#[derive(Debug, Default, PartialEq, Eq)]
struct Due {
    /// The newest of them, in order, as many as are wanted.
    newest: Vec<Timestamp>,
    /// How many there are in all, as far as they were counted.
    count: usize,
}

impl Agenda<'_> {
    fn fire(&self, view: &ScheduleView, now: Timestamp) -> Firing {
        if self.schedule.rests {
            return idle(view);
        }
        let due = self.due(view.last, now);
        let Some(newest) = due.newest.last().copied() else {
            return Firing { next: self.next_due(view.last), ..idle(view) };
        };
        let wanted = self.wanted(&due, now);
        let portion = (MAX_BATCH_BYTES / self.schedule.args.get().len().max(1)).clamp(1, MAX_SCHEDULES);
        let (now_enqueued, left) = wanted.split_at(wanted.len().min(portion));
        // What does not fit into one call is due at once, and dropped occurrences are counted with the first portion.
        let until = if left.is_empty() { newest } else { now_enqueued.last().copied().unwrap_or(newest) };
        Firing {
            until,
            next: if left.is_empty() { self.next_due(newest) } else { Some(now) },
            jobs: now_enqueued.iter().map(|occurrence| self.job(*occurrence, now)).collect(),
            due: now_enqueued.last().map_or(newest, |occurrence| self.due_at(*occurrence)),
            missed: (due.count - wanted.len()) as u64,
            unless_unfinished: self.schedule.overlap == Overlap::Skip,
            ..idle(view)
        }
    }

    /// Those that are enqueued, late or not.
    fn wanted<'d>(&self, due: &'d Due, now: Timestamp) -> &'d [Timestamp] {
        let newest = due.newest.len().saturating_sub(1);
        match self.schedule.catch_up {
            CatchUp::Skip if due.newest.last().is_some_and(|last| now.since(self.due_at(*last)) > ON_TIME) => &[],
            // Of several at once all but the first would meet an unfinished one.
            CatchUp::All(_) if self.schedule.overlap == Overlap::Allow => &due.newest,
            _ => &due.newest[newest..],
        }
    }

    /// The occurrences after `last` that are due now. With jitter an occurrence may be due after a later one: then the later one waits.
    fn due(&self, last: Timestamp, now: Timestamp) -> Due {
        let most = match self.schedule.catch_up {
            CatchUp::All(most) => most.clamp(1, MAX_CATCH_UP) as usize,
            _ => 1,
        };
        let jitter = self.jitter_ms();
        let surely = Timestamp::from_millis(now.as_millis().saturating_sub(jitter));
        let (after, end) = self.bounds(last);
        let mut newest = self.timetable.latest_between(after, surely.min(end), most);
        let mut count = self.timetable.occurrences_between(after, surely.min(end)).take(MOST_COUNTED).count();
        if jitter > 0 {
            let late = self.timetable.occurrences_between(after.max(surely), now.min(end)).take(MOST_COUNTED);
            let due: Vec<_> = late.take_while(|occurrence| self.due_at(*occurrence) <= now).collect();
            count += due.len();
            newest.extend(due);
            newest.drain(..newest.len().saturating_sub(most));
        }
        Due { newest, count }
    }

    /// Occurrences lie after the first instant, and not after the second.
    fn bounds(&self, last: Timestamp) -> (Timestamp, Timestamp) {
        let before = |instant: Timestamp| Timestamp::from_millis(instant.as_millis().saturating_sub(1));
        let after = self.schedule.starts_at.map_or(last, |start| last.max(before(start)));
        (after, self.schedule.ends_at.map_or(Timestamp::MAX, before))
    }

    /// The first occurrence after an instant.
    pub(crate) fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        let (after, end) = self.bounds(instant);
        self.timetable.next_after(after).filter(|next| *next <= end)
    }

    fn next_due(&self, last: Timestamp) -> Option<Timestamp> {
        self.next_after(last).map(|next| self.due_at(next))
    }

    fn jitter_ms(&self) -> u64 {
        self.schedule.jitter_ms.min(u64::try_from(MAX_JITTER.as_millis()).unwrap_or(u64::MAX))
    }

    /// When an occurrence is enqueued: a part of the jitter later, which is the same whoever asks.
    pub(crate) fn due_at(&self, occurrence: Timestamp) -> Timestamp {
        match self.jitter_ms() {
            0 => occurrence,
            most => {
                occurrence.after(Duration::from_millis(mix(self.name.as_str(), occurrence.as_millis()) % (most + 1)))
            }
        }
    }

    /// The job of an occurrence. Unless something else is said it expires when the next one comes; one that is caught up with others after
    /// it does not: they came all at once.
    fn job(&self, occurrence: Timestamp, now: Timestamp) -> Record {
        let mut job = self.schedule.job(self.name, occurrence);
        if job.options.expires_ms.is_none()
            && !self.schedule.keeps_late
            && let Some(next) = self.timetable.next_after(occurrence).map(|next| self.due_at(next))
            && next > now
        {
            job.options.expires_ms = Some(next.as_millis() - now.as_millis());
        }
        job
    }
}

/// A number that looks random and is the same in every process and version: FNV-1a over the name and the instant, then the final steps of
/// SplitMix64, because the low bits of the former are weak.
fn mix(name: &str, instant: u64) -> u64 {
    let bytes = name.bytes().chain(instant.to_be_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests;
