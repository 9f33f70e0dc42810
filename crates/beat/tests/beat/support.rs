//! Stores on a clock to turn, and words for what is in them.

use std::sync::Arc;
use std::time::Duration;

use celeriac_beat::{Beat, BeatHandle, Periodic};
use celeriac_broker::redis::RedisBroker;
use celeriac_broker::sqlite::SqliteBroker;
use celeriac_broker::{Broker, JobFilter, Owner, ScheduleView, StoreClock, StoreUrl};
use celeriac_client::Signature;
use celeriac_core::{ScheduleName, Timestamp};
use celeriac_testkit::{shared_redis, temp_sqlite};
use serde_json::value::RawValue;
use tempfile::TempDir;

/// 2026-11-26, 00:30 in UTC.
const BEGIN: u64 = 1_795_653_000_000;

/// A store, and what must live as long as it.
pub(crate) struct Scene {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) url: StoreUrl,
    pub(crate) clock: StoreClock,
    _directory: Option<TempDir>,
}

impl Scene {
    pub(crate) async fn sqlite(clock: StoreClock) -> Self {
        let (directory, url) = temp_sqlite();
        let broker = Arc::new(SqliteBroker::open(&url, clock.clone()).await.unwrap());
        Self { broker, url, clock, _directory: Some(directory) }
    }

    pub(crate) async fn redis(clock: StoreClock) -> Self {
        let url = shared_redis().await;
        let broker = Arc::new(RedisBroker::connect(&url, clock.clone()).await.unwrap());
        Self { broker, url, clock, _directory: None }
    }

    /// Turns the clock forward and wakes every beat, which waits by another clock.
    pub(crate) async fn advance(&self, by: Duration) {
        self.clock.advance_to(self.clock.manual_now().unwrap().after(by));
        let nudge = hourly("nudge").paused(true).into_entry(Owner::Hand).unwrap();
        self.broker.put_schedules(std::slice::from_ref(&nudge)).await.unwrap();
        self.broker.remove_schedules(&[nudge.name], None).await.unwrap();
    }

    pub(crate) async fn put(&self, periodic: Periodic) {
        self.broker.put_schedules(&[periodic.into_entry(Owner::Hand).unwrap()]).await.unwrap();
    }

    pub(crate) async fn view(&self, name: &str) -> ScheduleView {
        self.broker.schedule(&ScheduleName::new(name).unwrap()).await.unwrap().unwrap()
    }

    /// Starts a beat on a handle of its own.
    pub(crate) async fn beat(&self, own: Vec<Periodic>) -> BeatHandle {
        let beat = Beat::builder(self.broker.sibling().await.unwrap()).owner("app").schedules(own).build().unwrap();
        let handle = beat.handle();
        tokio::spawn(beat.run());
        handle
    }

    /// Waits until a schedule was dealt with up to now, whatever came of it.
    pub(crate) async fn until_dealt_with(&self, name: &str) -> ScheduleView {
        let now = self.clock.manual_now().unwrap();
        within(async {
            loop {
                let view = self.view(name).await;
                if view.next.is_none_or(|next| next > now) {
                    return view;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    /// The ids of all jobs, sorted.
    pub(crate) async fn ids(&self) -> Vec<String> {
        let mut filter = JobFilter::default();
        filter.limit = 1000;
        let mut ids: Vec<_> =
            self.broker.jobs(&filter).await.unwrap().into_iter().map(|job| job.id.to_string()).collect();
        ids.sort();
        ids
    }
}

/// A clock to turn.
pub(crate) fn manual() -> StoreClock {
    StoreClock::manual(Timestamp::from_millis(BEGIN))
}

pub(crate) fn job() -> Signature {
    Signature::new("report", RawValue::from_string("{}".to_owned()).unwrap())
}

pub(crate) fn hourly(name: &str) -> Periodic {
    Periodic::new(name, "0 * * * *", job())
}

/// Fails instead of hanging.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("nothing happened for a minute")
}

impl Scene {
    /// Waits until there are so many schedules, and each was dealt with up to now.
    pub(crate) async fn until_dealt_with_all(&self, count: usize) {
        let now = self.clock.manual_now().unwrap();
        within(async {
            loop {
                let views = self.broker.schedules(None, 100).await.unwrap();
                if views.len() == count && views.iter().all(|view| view.next.is_none_or(|next| next > now)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}
