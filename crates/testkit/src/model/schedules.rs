//! Schedules of the model: a view each, which the store keeps as it shows it.

use std::time::Duration;

use async_trait::async_trait;
use celeriac_broker::{
    Acceptance, BrokerError, DueSchedules, Fired, Firing, IdOrigin, MAX_SCHEDULES, NewJob, Owner, Put, ScheduleEntry,
    ScheduleMark, ScheduleView, Schedules, Start,
};
use celeriac_core::{Schedule, ScheduleName, State};

use super::broker::ModelBroker;
use super::store::Store;

#[async_trait]
impl Schedules for ModelBroker {
    async fn put_schedules(&self, entries: &[ScheduleEntry]) -> Result<Vec<Put>, BrokerError> {
        check(entries.len())?;
        Ok(self.call(|store| entries.iter().map(|entry| store.put_schedule(entry)).collect()))
    }

    async fn remove_schedules(&self, names: &[ScheduleName], owner: Option<&Owner>) -> Result<Vec<bool>, BrokerError> {
        check(names.len())?;
        Ok(self.call(|store| names.iter().map(|name| store.remove_schedule(name, owner)).collect()))
    }

    async fn pause_schedule(&self, name: &ScheduleName, paused: bool) -> Result<bool, BrokerError> {
        Ok(self.call(|store| store.pause_schedule(name, paused)))
    }

    async fn schedules(&self, after: Option<&ScheduleName>, max: usize) -> Result<Vec<ScheduleView>, BrokerError> {
        let behind = |view: &&ScheduleView| after.is_none_or(|after| view.name > *after);
        Ok(self.ask(|store| store.schedules.values().filter(behind).take(max.min(MAX_SCHEDULES)).cloned().collect()))
    }

    async fn schedule(&self, name: &ScheduleName) -> Result<Option<ScheduleView>, BrokerError> {
        Ok(self.ask(|store| store.schedules.get(name).cloned()))
    }

    async fn due_schedules(&self, max: usize) -> Result<DueSchedules, BrokerError> {
        Ok(self.ask(|store| store.due_schedules(max.min(MAX_SCHEDULES))))
    }

    async fn fire(&self, firings: &[Firing]) -> Result<Vec<Fired>, BrokerError> {
        Firing::check(firings)?;
        Ok(self.call(|store| firings.iter().map(|firing| store.fire(firing)).collect()))
    }

    async fn wait_for_schedules(&self, mark: &ScheduleMark, timeout: Duration) -> Result<(), BrokerError> {
        let changed = self.until(|store| (store.schedule_changes.to_string() != mark.as_str()).then_some(()));
        drop(tokio::time::timeout(timeout, changed).await);
        Ok(())
    }
}

fn check(count: usize) -> Result<(), BrokerError> {
    if count > MAX_SCHEDULES {
        return Err(BrokerError::Invalid(format!("{count} schedules in one call")));
    }
    Ok(())
}

impl Store {
    fn put_schedule(&mut self, entry: &ScheduleEntry) -> Put {
        let now = self.now;
        let Some(kept) = self.schedules.get_mut(&entry.name) else {
            self.schedules.insert(entry.name.clone(), ScheduleView::new(entry.clone(), now));
            self.schedule_changes += 1;
            return Put::Added;
        };
        if kept.owner != entry.owner {
            return Put::Owned { by: kept.owner.clone() };
        }
        if kept.schedule.as_ref() == Ok(&entry.schedule) {
            return Put::Unchanged;
        }
        if kept.schedule.as_ref().map(Schedule::pace) != Ok(entry.schedule.pace()) {
            kept.last = now;
        }
        kept.schedule = Ok(entry.schedule.clone());
        kept.revision += 1;
        kept.next = (!kept.paused).then_some(now);
        self.schedule_changes += 1;
        Put::Changed
    }

    fn remove_schedule(&mut self, name: &ScheduleName, owner: Option<&Owner>) -> bool {
        let fits = |view: &ScheduleView| owner.is_none_or(|owner| view.owner == *owner);
        let found = self.schedules.get(name).is_some_and(fits);
        if found {
            self.schedules.remove(name);
            self.schedule_changes += 1;
        }
        found
    }

    fn pause_schedule(&mut self, name: &ScheduleName, paused: bool) -> bool {
        let now = self.now;
        let Some(kept) = self.schedules.get_mut(name) else { return false };
        if kept.paused != paused {
            kept.paused = paused;
            kept.revision += 1;
            kept.next = (!paused).then_some(now);
            if !paused {
                kept.last = now;
            }
            self.schedule_changes += 1;
        }
        true
    }

    fn due_schedules(&self, max: usize) -> DueSchedules {
        let mut waiting: Vec<_> = self.schedules.values().filter(|view| view.next.is_some()).cloned().collect();
        waiting.sort_by(|one, other| (one.next, &one.name).cmp(&(other.next, &other.name)));
        let count = waiting.iter().take(max).take_while(|view| view.next <= Some(self.now)).count();
        let next = waiting.get(count).and_then(|view| view.next);
        waiting.truncate(count);
        DueSchedules::new(waiting, next, self.now, ScheduleMark::new(self.schedule_changes.to_string()))
    }

    fn fire(&mut self, firing: &Firing) -> Fired {
        let now = self.now;
        let Some(mut view) = self.schedules.get(&firing.name).cloned() else { return Fired::Moved };
        if (view.revision, view.last, view.paused) != (firing.revision, firing.last, false) {
            return Fired::Moved;
        }
        let unfinished =
            view.job.as_ref().and_then(|id| self.jobs.get(id)).is_some_and(|job| job.state() != State::Dead);
        let blocked = firing.unless_unfinished && !firing.jobs.is_empty() && unfinished;
        for record in &firing.jobs {
            let job = NewJob { record: record.clone(), start: Start::Now, id_origin: IdOrigin::Given };
            if blocked || matches!(self.accept(&job), Acceptance::UniqueInUse { .. }) {
                view.skipped += 1;
            } else {
                (view.job, view.fired_at, view.lag) = (Some(record.id.clone()), Some(now), now.since(firing.due));
                view.fired += 1;
            }
        }
        (view.last, view.next) = (firing.until, firing.next);
        view.missed += firing.missed;
        self.schedules.insert(firing.name.clone(), view);
        if blocked { Fired::Skipped } else { Fired::Done }
    }
}
