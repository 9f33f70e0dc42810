//! Schedules by chance: people and applications change them, beats read what is due and enqueue, at once or much later.

use std::time::Duration;

use celeriac_broker::conformance::{queue_name, task_name};
use celeriac_broker::{Broker, BrokerError, Firing, Owner, ScheduleEntry, ScheduleView};
use celeriac_core::{JobId, Overlap, Priority, Schedule, ScheduleName, Timestamp, UniqueKey};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::value::RawValue;

use crate::world::{KEYS, QUEUES, TASKS, name};

const NAMES: [&str; 4] = ["s", "s:1", "S", "t"];
const TIMETABLES: [&str; 2] = ["every 1m", "every 2m"];
/// Between the occurrences that chance may choose: ids of jobs come up again.
const GRID: u64 = 20_000;

/// What a schedule says.
#[derive(Debug, Clone)]
pub(crate) struct EntryWish {
    name: Index,
    by_hand: bool,
    timetable: Index,
    skips: bool,
    queue: Index,
    priority: u8,
}

/// What a beat does about a schedule that is due.
#[derive(Debug, Clone)]
pub(crate) struct FiringWish {
    /// A job for each, with or without a unique key.
    jobs: Vec<Option<Index>>,
    /// Seconds.
    next: Option<u64>,
    missed: u64,
    unless_unfinished: bool,
}

/// Something about schedules by chance.
#[derive(Debug, Clone)]
pub(crate) enum ScheduleWish {
    Put(Vec<EntryWish>),
    Remove {
        names: Vec<Index>,
        by: Option<bool>,
    },
    Pause {
        name: Index,
        paused: bool,
    },
    /// A beat reads what is due, and no more: it may come back to it.
    Look {
        max: usize,
    },
    Tick {
        max: usize,
        firings: Vec<FiringWish>,
    },
    /// A beat that was away for a time fires what it read then.
    Stale(Vec<(Index, FiringWish)>),
}

fn entries() -> impl Strategy<Value = EntryWish> {
    let index = any::<Index>;
    let flag = proptest::bool::weighted;
    (index(), flag(0.7), index(), flag(0.3), index(), 4u8..7).prop_map(
        |(name, by_hand, timetable, skips, queue, priority)| EntryWish {
            name,
            by_hand,
            timetable,
            skips,
            queue,
            priority,
        },
    )
}

fn firings() -> impl Strategy<Value = FiringWish> {
    let jobs = proptest::collection::vec(proptest::option::weighted(0.3, any::<Index>()), 0..4);
    let next = proptest::option::weighted(0.9, 0u64..20);
    let missed = prop_oneof![3 => Just(0u64), 1 => 1u64..5];
    (jobs, next, missed, any::<bool>()).prop_map(|(jobs, next, missed, unless_unfinished)| FiringWish {
        jobs,
        next,
        missed,
        unless_unfinished,
    })
}

pub(crate) fn scheduling() -> impl Strategy<Value = ScheduleWish> {
    use proptest::collection::vec;
    let index = any::<Index>;
    let owner = proptest::option::weighted(0.6, any::<bool>());
    prop_oneof![
        4 => vec(entries(), 0..4).prop_map(ScheduleWish::Put),
        1 => (vec(index(), 0..3), owner).prop_map(|(names, by)| ScheduleWish::Remove { names, by }),
        2 => (index(), any::<bool>()).prop_map(|(name, paused)| ScheduleWish::Pause { name, paused }),
        1 => (0usize..4).prop_map(|max| ScheduleWish::Look { max }),
        8 => (1usize..5, vec(firings(), 4)).prop_map(|(max, firings)| ScheduleWish::Tick { max, firings }),
        2 => vec((index(), firings()), 1..4).prop_map(ScheduleWish::Stale),
    ]
}

/// A call, the same for every side.
#[derive(Debug, Clone)]
pub(crate) enum ScheduleCall {
    Put(Vec<ScheduleEntry>),
    Remove(Vec<ScheduleName>, Option<Owner>),
    Pause(ScheduleName, bool),
    Due(usize),
    Fire(Vec<Firing>),
}

impl ScheduleCall {
    /// The answer as text; marks differ between stores.
    pub(crate) async fn answer(&self, broker: &dyn Broker) -> Result<String, BrokerError> {
        Ok(match self {
            Self::Put(entries) => format!("{:?}", broker.put_schedules(entries).await?),
            Self::Remove(names, owner) => format!("{:?}", broker.remove_schedules(names, owner.as_ref()).await?),
            Self::Pause(name, paused) => format!("{:?}", broker.pause_schedule(name, *paused).await?),
            Self::Due(max) => {
                let due = broker.due_schedules(*max).await?;
                format!("{:#?} {:?} {:?}", due.due, due.next, due.now)
            }
            Self::Fire(firings) => format!("{:?}", broker.fire(firings).await?),
        })
    }

    /// The jobs that it may enqueue.
    pub(crate) fn jobs(&self) -> Vec<JobId> {
        let Self::Fire(firings) = self else { return Vec::new() };
        firings.iter().flat_map(|firing| &firing.jobs).map(|job| job.id.clone()).collect()
    }
}

/// All schedules as they can be seen, one by one and in pages.
pub(crate) async fn listing(broker: &dyn Broker) -> Result<Vec<ScheduleView>, BrokerError> {
    let mut all = broker.schedules(None, 2).await?;
    while let Some(last) = all.last().map(|view| view.name.clone()) {
        let page = broker.schedules(Some(&last), 2).await?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    for view in &all {
        assert_eq!(broker.schedule(&view.name).await?.as_ref(), Some(view));
    }
    Ok(all)
}

/// What beats have read so far.
#[derive(Debug, Default)]
pub(crate) struct Beats {
    read: Vec<ScheduleView>,
}

impl Beats {
    /// Makes calls of a wish, by what the model says is due.
    pub(crate) async fn decide(
        &mut self,
        wish: &ScheduleWish,
        model: &dyn Broker,
        now: Timestamp,
    ) -> Vec<ScheduleCall> {
        match wish {
            ScheduleWish::Put(entries) => vec![ScheduleCall::Put(entries.iter().map(entry).collect())],
            ScheduleWish::Remove { names, by } => {
                let names = names.iter().map(schedule_name).collect();
                vec![ScheduleCall::Remove(names, by.map(owner))]
            }
            ScheduleWish::Pause { name, paused } => vec![ScheduleCall::Pause(schedule_name(name), *paused)],
            ScheduleWish::Look { max } => {
                self.look(model, *max).await;
                vec![ScheduleCall::Due(*max)]
            }
            ScheduleWish::Tick { max, firings } => {
                let due = self.look(model, *max).await;
                let fired = due.iter().zip(firings).map(|(view, wish)| firing(view, wish, now)).collect();
                vec![ScheduleCall::Due(*max), ScheduleCall::Fire(fired)]
            }
            ScheduleWish::Stale(_) if self.read.is_empty() => Vec::new(),
            ScheduleWish::Stale(picks) => {
                let fired = picks.iter().map(|(pick, wish)| firing(pick.get(&self.read), wish, now)).collect();
                vec![ScheduleCall::Fire(fired)]
            }
        }
    }

    async fn look(&mut self, model: &dyn Broker, max: usize) -> Vec<ScheduleView> {
        let due = model.due_schedules(max).await.map(|due| due.due).unwrap_or_default();
        self.read.extend(due.iter().cloned());
        due
    }
}

fn schedule_name(choice: &Index) -> ScheduleName {
    ScheduleName::new(name(choice, &NAMES)).expect("a name of the list is valid")
}

fn owner(by_hand: bool) -> Owner {
    if by_hand { Owner::Hand } else { Owner::App(ScheduleName::new("shop").expect("a valid name")) }
}

fn entry(wish: &EntryWish) -> ScheduleEntry {
    let queue = queue_name(name(&wish.queue, &QUEUES));
    let mut schedule = Schedule::new(name(&wish.timetable, &TIMETABLES), task_name(TASKS[0]), queue, args());
    schedule.overlap = if wish.skips { Overlap::Skip } else { Overlap::Allow };
    schedule.priority = Priority::new(wish.priority).unwrap_or_default();
    ScheduleEntry { name: schedule_name(&wish.name), owner: owner(wish.by_hand), schedule }
}

/// Schedules for the beginning, so that there is something to tick for.
pub(crate) fn first() -> ScheduleCall {
    let entries = NAMES[..2].iter().zip(QUEUES).map(|(text, queue)| {
        let schedule = Schedule::new(TIMETABLES[0], task_name(TASKS[0]), queue_name(queue), args());
        ScheduleEntry { name: ScheduleName::new(text).expect("a valid name"), owner: Owner::Hand, schedule }
    });
    ScheduleCall::Put(entries.collect())
}

fn args() -> Box<RawValue> {
    RawValue::from_string(r#"{"n": 1}"#.to_owned()).expect("valid JSON")
}

/// Occurrences on the grid, the newest now or a little earlier; a schedule that is put or fired now moves on by a moment.
fn firing(view: &ScheduleView, wish: &FiringWish, now: Timestamp) -> Firing {
    let schedule = view.schedule.as_ref().expect("the model keeps what was put");
    let newest = now.as_millis() / GRID * GRID;
    let ages = (0..wish.jobs.len() as u64).rev();
    let jobs = ages.zip(&wish.jobs).map(|(age, unique)| {
        let mut job = schedule.job(&view.name, Timestamp::from_millis(newest - age * GRID));
        job.options.unique = unique.and_then(|unique| UniqueKey::new(name(&unique, &KEYS)).ok());
        job
    });
    let moment = Duration::from_millis(u64::from(now <= view.last));
    Firing {
        name: view.name.clone(),
        revision: view.revision,
        last: view.last,
        until: view.last.max(now).after(moment),
        next: wish.next.map(|seconds| now.after(Duration::from_secs(seconds))),
        jobs: jobs.collect(),
        due: Timestamp::from_millis(newest),
        missed: wish.missed,
        unless_unfinished: wish.unless_unfinished,
    }
}
