//! Brings the schedules of one owner into a store: adds what is new, changes what has changed, removes what is gone; and touches nobody
//! else's.

use std::collections::BTreeSet;

use celeriac_broker::{Broker, BrokerError, MAX_BATCH_BYTES, MAX_SCHEDULES, Owner, Put, ScheduleEntry};
use celeriac_core::ScheduleName;

/// How much of the arguments goes into one call.
const MOST_BYTES: usize = MAX_BATCH_BYTES;

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registered {
    /// Schedules that are new.
    pub added: usize,
    /// Schedules that say something else now.
    pub changed: usize,
    /// Schedules that are gone.
    pub removed: usize,
    /// Schedules that somebody else keeps: they are as they were.
    pub owned: Vec<(ScheduleName, Owner)>,
}

/// Makes the schedules of an owner in a store those of the list. A crash in the middle leaves a part of it done; the next start does the rest.
///
/// # Errors
/// Whatever the store says.
pub async fn register(
    broker: &dyn Broker,
    owner: &Owner,
    entries: &[ScheduleEntry],
) -> Result<Registered, BrokerError> {
    let mut registered = Registered::default();
    for part in portions(entries) {
        for (entry, put) in part.iter().zip(broker.put_schedules(part).await?) {
            match put {
                Put::Added => registered.added += 1,
                Put::Changed => registered.changed += 1,
                Put::Owned { by } => registered.owned.push((entry.name.clone(), by)),
                _ => {}
            }
        }
    }
    let mine: BTreeSet<_> = entries.iter().map(|entry| &entry.name).collect();
    let mut after = None;
    loop {
        let page = broker.schedules(after.as_ref(), MAX_SCHEDULES).await?;
        let gone = page.iter().filter(|view| view.owner == *owner && !mine.contains(&view.name));
        let gone: Vec<_> = gone.map(|view| view.name.clone()).collect();
        if !gone.is_empty() {
            registered.removed +=
                broker.remove_schedules(&gone, Some(owner)).await?.into_iter().filter(|removed| *removed).count();
        }
        match page.last() {
            Some(last) => after = Some(last.name.clone()),
            None => return Ok(registered),
        }
    }
}

/// Parts that fit into one call each.
fn portions(entries: &[ScheduleEntry]) -> Vec<&[ScheduleEntry]> {
    let mut parts = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take(MAX_SCHEDULES).take_while(|entry| {
            bytes += entry.schedule.args.get().len();
            bytes <= MOST_BYTES
        });
        let (part, left) = rest.split_at(fitting.count().max(1));
        parts.push(part);
        rest = left;
    }
    parts
}
